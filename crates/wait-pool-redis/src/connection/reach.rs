//! The redis-rs connection behind a connection of one's own, for code that wants that type.
//!
//! What is done there is not seen here, and a clone of it may be kept: a connection that has been
//! reached this way is replaced when it comes back.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use redis::aio::MultiplexedConnection;

use super::Connection;

/// The connection is replaced when it comes back, as after [`AsMut`].
impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        self.own.reached();
        self.reached.get_or_init(|| self.own.connection())
    }
}

/// The connection is replaced when it comes back, as after [`AsMut`].
impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        self.own.reached();
        let connection = self.reached.take();
        let connection = connection.unwrap_or_else(|| self.own.connection());
        self.reached = OnceLock::from(connection);
        self.reached.get_mut().expect("it has just been put there")
    }
}

/// The connection is replaced when it comes back, as after [`AsMut`].
impl AsRef<MultiplexedConnection> for Connection {
    fn as_ref(&self) -> &MultiplexedConnection {
        self
    }
}

/// Nobody knows what is done on the redis-rs connection itself, and a clone of it may be kept: it is
/// replaced when it comes back. A clone that is kept longer is one connection more than the pool counts.
impl AsMut<MultiplexedConnection> for Connection {
    fn as_mut(&mut self) -> &mut MultiplexedConnection {
        self
    }
}

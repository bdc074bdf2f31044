//! What happens in a pool, told to whoever listens.
//!
//! Names and reasons follow the words of MongoDB's
//! [Connection Monitoring and Pooling](https://github.com/mongodb/specifications/blob/master/source/connection-monitoring-and-pooling/connection-monitoring-and-pooling.md)
//! specification, where it has one.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Hears of everything that happens in a pool. See [`Builder::listener`](crate::Builder::listener).
///
/// Called without the pool's lock by whoever causes the event, in his task or thread: it may ask
/// the pool for its status, and had better be quick. Events of one connection come in their order;
/// those of several may overtake one another. A panic in it ends there and changes nothing.
///
/// # Example
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use wait_pool::event::{CloseReason, Event, Listener};
///
/// #[derive(Debug, Default)]
/// struct Broken(AtomicUsize);
///
/// impl Listener for Broken {
///     fn on_event(&self, _pool: &str, event: &Event<'_>) {
///         if let Event::ConnectionClosed { reason: CloseReason::Error, .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Listener: Send + Sync + 'static {
    /// Something has happened in the pool of that name.
    fn on_event(&self, pool: &str, event: &Event<'_>);
}

/// Something that has happened in a pool. Connections are numbered by the attempts to open them,
/// from 1.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The pool has been made.
    PoolCreated,
    /// Callers are served: [`Pool::ready`](crate::Pool::ready).
    PoolReady,
    /// Callers are refused: [`Pool::pause`](crate::Pool::pause).
    PoolPaused,
    /// All connections are replaced: [`Pool::clear`](crate::Pool::clear).
    PoolCleared,
    /// Nobody is served any more.
    PoolClosed,
    /// An attempt to open a connection has begun.
    ConnectionCreated {
        /// The connection's number.
        connection: u64,
    },
    /// A connection is open and may be used.
    ConnectionReady {
        /// The connection's number.
        connection: u64,
        /// How long it took to open it.
        took: Duration,
    },
    /// A connection, or the attempt to open it, has ended.
    ConnectionClosed {
        /// The connection's number.
        connection: u64,
        /// Why.
        reason: CloseReason,
    },
    /// Somebody has asked for a connection.
    CheckOutStarted,
    /// Somebody has a connection.
    CheckedOut {
        /// The connection's number.
        connection: u64,
        /// How long he waited.
        waited: Duration,
    },
    /// Somebody has got no connection.
    CheckOutFailed {
        /// Why.
        reason: CheckOutFailedReason,
        /// How long he waited.
        waited: Duration,
    },
    /// Somebody has given a connection back, or his part in one.
    CheckedIn {
        /// The connection's number.
        connection: u64,
        /// How long he had it.
        used: Duration,
    },
    /// A connection has been held for longer than
    /// [`leak_warning_after`](crate::Builder::leak_warning_after). Told once for each hold.
    LeakSuspected {
        /// Where it was taken.
        taken_at: &'a Location<'static>,
        /// For how long it has been held.
        held: Duration,
    },
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The pool has been cleared since it was opened.
    Stale,
    /// Nobody needed it for `idle_timeout`.
    Idle,
    /// It has lived for `max_lifetime`.
    Lifetime,
    /// It could not be opened, failed its check, came back broken, or its holder has said so or
    /// panicked.
    Error,
    /// There are more than there may be since the pool was made smaller.
    Excess,
    /// Another pool of the [group](crate::Group) had need of its place.
    MadeRoom,
    /// [`Pool::retain`](crate::Pool::retain) did not want it.
    NotRetained,
    /// Its holder has taken it [out of the pool](crate::Pooled::detach); it is still open.
    Detached,
    /// The pool is closed.
    PoolClosed,
}

/// Why somebody has got no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckOutFailedReason {
    /// His deadline passed, or could not be met.
    Timeout,
    /// No connection could be opened.
    ConnectionError,
    /// Too many waited, or he waited too long in an overload.
    Overload,
    /// The pool is paused.
    PoolPaused,
    /// The pool is closed.
    PoolClosed,
    /// He was cancelled while he waited.
    Cancelled,
}

impl CloseReason {
    /// The reason as a metric's label and the specification have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Error => "error",
            Self::Excess => "excess",
            Self::MadeRoom => "madeRoom",
            Self::NotRetained => "notRetained",
            Self::Detached => "detached",
            Self::PoolClosed => "poolClosed",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

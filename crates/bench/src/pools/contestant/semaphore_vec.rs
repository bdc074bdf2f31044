//! The least that could be called a pool: a semaphore and a vector. No rival, but the floor: it
//! opens nothing in the background, checks, replaces, counts and tells nothing.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Connection, Connector, Contestant, GaveUp, SECONDS_5, Setup, within};

#[derive(Clone)]
pub(crate) struct SemaphoreVec {
    shared: Arc<Shared>,
    limit: Option<Duration>,
}

struct Shared {
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    connector: Connector,
}

/// Given back before the permit is, which is a field and so dropped later.
pub(crate) struct Held<'a> {
    connection: Option<Connection>,
    shared: &'a Shared,
    _permit: SemaphorePermit<'a>,
}

const PRESENT: &str = "the connection is there until the drop";

impl Contestant for SemaphoreVec {
    const NAME: &'static str = "semaphore+vec";
    const PACKAGE: Option<&'static str> = Some("tokio");
    const USUAL: &'static str = "has none: `tokio::time::timeout` of 5 s around it";
    const NEVER: &'static str = "has none";

    type Held<'a> = Held<'a>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        let shared = Shared {
            permits: Semaphore::new(setup.size.into()),
            idle: Mutex::new(Vec::with_capacity(setup.size.into())),
            connector,
        };
        Self {
            shared: Arc::new(shared),
            limit: setup.limit.after(SECONDS_5),
        }
    }

    async fn acquire(&self) -> Result<Held<'_>, GaveUp> {
        let shared = &*self.shared;
        let permit = within(self.limit, shared.permits.acquire()).await?;
        let idle = shared.idle.lock().pop();
        Ok(Held {
            connection: Some(idle.unwrap_or_else(|| shared.connector.open())),
            shared,
            _permit: permit.expect("never closed"),
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let connection = self.connection.take().expect(PRESENT);
        self.shared.idle.lock().push(connection);
    }
}

impl Deref for Held<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect(PRESENT)
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect(PRESENT)
    }
}

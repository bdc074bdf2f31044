//! One attempt to open a connection, in a task of its own.
//!
//! The attempt owns a [`Place`] in the pool, which reports exactly one outcome whatever happens:
//! success, failure, timeout, a panic in the manager, the end of the runtime. It keeps the manager
//! alive, not the pool.

use std::future::Future;
use std::sync::{Arc, Weak};

use crate::error::ConnectError;
use crate::event::{CloseReason, Event};
use crate::group;
use crate::hook::Hook;
use crate::manager::Manager;
use crate::moment::Moment;
use crate::shared::Shared;
use crate::transition::Opens;

/// Waits as long as it has to, then opens a connection and hands it to the pool.
pub(crate) fn attempt<M: Manager>(
    pool: &Arc<Shared<M>>,
    opens: Opens,
) -> impl Future<Output = ()> + Send + use<M> {
    let mut place = Place {
        pool: Arc::downgrade(pool),
        held_up: false,
        connecting: false,
        opens,
        room: None,
    };
    let manager = Arc::clone(&pool.manager);
    let hook = pool.observers.after_connect.clone();
    let timeout = pool.config.connect_timeout;
    async move {
        if !opens.after.is_zero() {
            tokio::time::sleep(opens.after).await;
        }
        place.find_room().await;
        if let Some(begun) = place.begin() {
            let connect = connect(&*manager, hook.as_deref());
            let outcome = match tokio::time::timeout(timeout, connect).await {
                Ok(connected) => connected.map_err(ConnectError::Failed),
                Err(_) => Err(ConnectError::TimedOut(timeout)),
            };
            place.settle(outcome, begun);
        }
    }
}

async fn connect<M: Manager>(
    manager: &M,
    hook: Option<&dyn Hook<M>>,
) -> Result<M::Connection, M::Error> {
    let mut connection = manager.connect().await?;
    if let Some(hook) = hook {
        hook.call(&mut connection).await?;
    }
    Ok(connection)
}

/// The right to open one connection. Dropped without an outcome, it reports that.
#[must_use]
struct Place<M: Manager> {
    pool: Weak<Shared<M>>,
    /// Whether it waits for room in the group.
    held_up: bool,
    connecting: bool,
    opens: Opens,
    /// Its place in the group, if the pool has one.
    room: Option<group::Place>,
}

impl<M: Manager> Place<M> {
    /// Waits for room in the group, where there is one. Comes back without if the pool needs it no more.
    async fn find_room(&mut self) {
        let pool = self.pool.upgrade().filter(|pool| pool.is_open());
        let Some(mut asking) = pool.as_ref().and_then(|pool| pool.ask_for_room()) else {
            return;
        };
        self.room = asking.at_once();
        if self.room.is_some() {
            return;
        }
        if let Some(pool) = pool {
            self.held_up = true;
            pool.attempt_held_up();
        }
        // The wait keeps nothing alive.
        let room = asking.await;
        self.held_up = false;
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let wanted = match room.is_some() {
            true => pool.attempt_admitted(),
            false => {
                pool.attempt_spared();
                false
            }
        };
        match wanted {
            true => self.room = room,
            // There is nothing to report any more.
            false => self.pool = Weak::new(),
        }
    }

    /// Says since when, unless the pool needs it no more.
    fn begin(&mut self) -> Option<Moment> {
        let pool = self.pool.upgrade().filter(|pool| pool.is_open())?;
        self.connecting = true;
        pool.emit(&Event::ConnectionCreated {
            connection: self.opens.number,
        });
        Some(pool.clock.now())
    }

    fn settle(mut self, outcome: Result<M::Connection, ConnectError<M::Error>>, begun: Moment) {
        let pool = std::mem::take(&mut self.pool);
        let Some(pool) = pool.upgrade() else { return };
        match outcome {
            Ok(connection) => {
                let took = pool.clock.now().since(begun);
                pool.metrics.created(took);
                pool.emit(&Event::ConnectionReady {
                    connection: self.opens.number,
                    took,
                });
                pool.connected(connection, self.room.take(), self.opens);
            }
            Err(error) => self.fail(&pool, error),
        }
    }

    fn fail(&self, pool: &Arc<Shared<M>>, error: ConnectError<M::Error>) {
        tracing::warn!(pool = %pool.config.name, %error, "could not connect");
        pool.emit(&Event::ConnectionClosed {
            connection: self.opens.number,
            reason: CloseReason::Error,
        });
        pool.connect_failed(Arc::new(error));
    }
}

impl<M: Manager> Drop for Place<M> {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        if self.connecting && std::thread::panicking() {
            self.fail(&pool, ConnectError::Panicked);
            return;
        }
        if self.connecting {
            pool.emit(&Event::ConnectionClosed {
                connection: self.opens.number,
                reason: CloseReason::Error,
            });
        }
        pool.attempt_lost(self.held_up);
    }
}

//! What the clones of a connection of one's own have in common: the checkout, and what is known of
//! the session on it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, ServerError, Value};
use wait_pool::Pooled;

use crate::connector::{Connector, closed};
use crate::error;
use crate::pinned::Owner;
use crate::pushes::Pushes;
use crate::session::{Kind, Session};

/// The checkout. Its drop, with the last clone, is the way back.
pub(super) struct Own {
    held: Mutex<Held>,
    session: Mutex<Session>,
    /// Somebody has had the connection itself in hand, and may have a clone of it.
    reached: AtomicBool,
    /// None where the protocol has no pushes.
    pushes: Option<Weak<Pushes>>,
    pub(super) pool: wait_pool::Pool<Connector>,
    /// How long a request may take.
    pub(super) limit: Option<Duration>,
    /// The node of a cluster that it is pinned to.
    pub(super) owner: Option<Owner>,
}

/// The connection itself.
struct Held {
    /// Before its place, so that it is gone when the pool takes that to be free.
    connection: MultiplexedConnection,
    place: Place,
    /// Nobody may use it any more.
    closed: bool,
}

/// The connection's place in the pool. Its drop is the way back.
struct Place {
    /// None once it has been taken out of the pool.
    pooled: Option<Pooled<Connector>>,
    /// Others may use the connection.
    fit: bool,
}

impl Own {
    pub(super) fn new(
        held: Pooled<Connector>,
        pool: wait_pool::Pool<Connector>,
        limit: Option<Duration>,
        owner: Option<Owner>,
    ) -> Self {
        Self {
            session: Mutex::new(Session::new(held.db())),
            pushes: held.pushes().cloned(),
            held: Mutex::new(Held {
                connection: held.connection(),
                place: Place {
                    pooled: Some(held),
                    fit: false,
                },
                closed: false,
            }),
            reached: AtomicBool::new(false),
            pool,
            limit,
            owner,
        }
    }

    pub(super) fn session<T>(&self, with: impl FnOnce(&mut Session) -> T) -> T {
        with(&mut self.session.lock())
    }

    /// # Errors
    ///
    /// If the server is known not to be the one to ask any more.
    pub(super) fn check(&self) -> RedisResult<()> {
        self.owner.as_ref().map_or(Ok(()), Owner::check)
    }

    /// None where the protocol has no pushes, and once no more can come.
    pub(super) fn pushes(&self) -> Option<Arc<Pushes>> {
        self.pushes.as_ref()?.upgrade()
    }

    pub(super) const fn has_pushes(&self) -> bool {
        self.pushes.is_some()
    }

    /// A request is about to be sent.
    pub(super) fn begin(self: &Arc<Self>, request: Request) -> RedisResult<UnderWay> {
        if self.held.lock().closed {
            return Err(error::given_up());
        }
        let pushes = self.pushes();
        if let Some(pushes) = &pushes {
            if pushes.are_mixed_up() {
                return Err(error::mixed_up());
            }
            pushes.begin(&request.leaving);
        }
        self.session(|session| session.begin(request.kind));
        Ok(UnderWay {
            own: Arc::clone(self),
            request,
            pushes,
            answered: false,
        })
    }

    pub(super) fn reached(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    /// The connection, for one request or for good. If it was closed, one to nothing.
    pub(super) fn connection(&self) -> MultiplexedConnection {
        self.held.lock().connection.clone()
    }

    /// Takes the connection out of the pool, unless that has been done.
    pub(super) fn detach(&self) {
        let pooled = self.held.lock().place.pooled.take();
        drop(pooled.map(Pooled::detach));
    }

    /// Closes the connection now, whoever still has a clone. Who has [reached](Self::reached) it keeps it open.
    fn close(&self) {
        let Some(nothing) = closed() else {
            return;
        };
        let mut held = self.held.lock();
        held.closed = true;
        let connection = std::mem::replace(&mut held.connection, nothing);
        let pooled = held.place.pooled.take();
        drop(held);
        drop(connection);
        drop(Place { pooled, fit: false });
    }

    /// Has what an answer says of the cluster made known.
    pub(super) fn notice(&self, answer: &Value) {
        if let (Some(owner), Value::ServerError(error)) = (&self.owner, answer) {
            owner.notice(error);
        }
    }

    /// The same for an error that stands for several answers.
    pub(super) fn notice_error(&self, error: &RedisError) {
        if error.is_unrecoverable_error() {
            self.pool.doubt_idle();
        }
        let Some(owner) = &self.owner else {
            return;
        };
        match error.clone().into_server_errors() {
            Some(refused) => refused
                .iter()
                .for_each(|(_, error): &(usize, ServerError)| owner.notice(error)),
            None => owner.suspect(error),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let clean = self.session.get_mut().is_clean() && !*self.reached.get_mut();
        self.held.get_mut().place.fit = clean;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pooled) = self.pooled.take()
            && !self.fit
        {
            pooled.discard();
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("session", &self.session)
            .field("reached", &self.reached)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// What is known of a request before it is sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// How long it may take.
    pub(super) limit: Option<Duration>,
    /// A command in it waits at the server, and would take something for nobody.
    pub(super) waits: bool,
    /// The sharded channels that it leaves.
    pub(super) leaving: Vec<Vec<u8>>,
}

/// A request. If it is dropped before its answer, the answer may yet come, to nobody: what the
/// connection is left with is not known then.
pub(super) struct UnderWay {
    own: Arc<Own>,
    request: Request,
    pushes: Option<Arc<Pushes>>,
    answered: bool,
}

impl UnderWay {
    /// The answer has come; `follow` says what it means for the session.
    ///
    /// # Errors
    ///
    /// If it may be the answer to another request.
    pub(super) fn answered(mut self, follow: impl FnOnce(&mut Session)) -> RedisResult<()> {
        let pushes = self.pushes.as_ref();
        if pushes.is_some_and(|pushes| !pushes.answered(&self.request.leaving)) {
            return Err(error::mixed_up());
        }
        self.answered = true;
        self.own.session(follow);
        Ok(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let answered = self.answered;
        self.own.session(|session| {
            session.end(self.request.kind);
            if !answered {
                session.stain();
            }
        });
        if !answered && self.request.waits {
            self.own.close();
        }
    }
}

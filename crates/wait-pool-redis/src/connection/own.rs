//! What the clones of a connection of one's own have in common: the checkout, and what is known of
//! the session on it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{RedisError, RedisResult, ServerError, Value};
use wait_pool::Pooled;

use crate::connector::Connector;
use crate::pinned::Owner;
use crate::session::{Kind, Session};

/// The checkout. Its drop, with the last clone, is the way back.
pub(super) struct Own {
    /// None once it has been taken out of the pool.
    held: Mutex<Option<Pooled<Connector>>>,
    session: Mutex<Session>,
    /// Somebody has had the connection itself in hand, and may have a clone of it.
    reached: AtomicBool,
    pub(super) pool: wait_pool::Pool<Connector>,
    /// How long a request may take.
    pub(super) limit: Option<Duration>,
    /// The node of a cluster that it is pinned to.
    pub(super) owner: Option<Owner>,
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
            held: Mutex::new(Some(held)),
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

    /// A request is about to be sent.
    pub(super) fn begin(self: &Arc<Self>, kind: Kind) -> UnderWay {
        self.session(|session| session.begin(kind));
        UnderWay {
            own: Arc::clone(self),
            kind,
            answered: false,
        }
    }

    pub(super) fn reached(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    /// Takes the connection out of the pool, unless that has been done.
    pub(super) fn detach(&self) {
        let held = self.held.lock().take();
        drop(held.map(Pooled::detach));
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
        if let Some(held) = self.held.get_mut().take()
            && !clean
        {
            held.discard();
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

/// A request. If it is dropped before its answer, the answer may yet come, to nobody: what the
/// connection is left with is not known then.
pub(super) struct UnderWay {
    own: Arc<Own>,
    kind: Kind,
    answered: bool,
}

impl UnderWay {
    /// The answer has come; `follow` says what it means for the session.
    pub(super) fn answered(mut self, follow: impl FnOnce(&mut Session)) {
        self.answered = true;
        self.own.session(follow);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let answered = self.answered;
        self.own.session(|session| {
            session.end(self.kind);
            if !answered {
                session.stain();
            }
        });
    }
}

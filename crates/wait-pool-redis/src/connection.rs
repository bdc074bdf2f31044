//! A connection of one's own.

use std::fmt;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};
use wait_pool::Pooled;

use crate::connector::Connector;
use crate::keys;

/// A connection that nobody else uses, given back to its [`Pool`](crate::Pool) when dropped.
///
/// Every command may run on it. If it has been used for one that leaves something behind (`WATCH`,
/// `MULTI`, `SELECT`, `SUBSCRIBE`, …), or if a request on it was dropped before its answer came,
/// it is closed instead of given back, and the pool opens another one when it is needed: nothing of
/// one user's session reaches the next.
#[must_use = "a connection that is not used goes straight back"]
pub struct Connection {
    held: Option<Pooled<Connector>>,
    /// The next user would notice.
    marked: bool,
}

impl Connection {
    pub(crate) const fn new(held: Pooled<Connector>) -> Self {
        Self {
            held: Some(held),
            marked: false,
        }
    }

    /// Takes the connection out of its pool for good. Its place is free at once, and the pool no
    /// longer counts it.
    pub fn take(mut this: Self) -> MultiplexedConnection {
        this.held.take().expect(HELD).detach().into_connection()
    }

    /// Marks the connection for as long as a request is under way, and for good if `mark`.
    async fn run<T>(
        &mut self,
        mark: bool,
        request: impl AsyncFnOnce(&Pooled<Connector>) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let marked = self.marked || mark;
        self.marked = true;
        let outcome = request(self.held.as_ref().expect(HELD)).await;
        self.marked = marked;
        outcome
    }
}

/// Cancel-safe, in that a connection whose request was dropped is not used again. What has been
/// sent may run all the same.
impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let mark = keys::touches_session(cmd);
        Box::pin(self.run(mark, async move |link| link.command(cmd).await))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let mark = pipeline.cmd_iter().any(keys::touches_session);
        Box::pin(self.run(mark, async move |link| {
            link.pipeline(pipeline, offset, count).await
        }))
    }

    fn get_db(&self) -> i64 {
        self.held.as_ref().expect(HELD).db()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(held) = self.held.take()
            && self.marked
        {
            held.discard();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("marked", &self.marked)
            .finish_non_exhaustive()
    }
}

const HELD: &str = "a connection is there until it is taken or dropped";

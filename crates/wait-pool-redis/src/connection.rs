//! A connection of one's own.

use std::fmt;
use std::future::ready;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use wait_pool::Pooled;

use crate::connector::Connector;
use crate::error;
use crate::keys;

/// A connection that nobody else uses, given back to its [`Pool`](crate::Pool) when dropped.
///
/// Every command may run on it, though what is published to a `SUBSCRIBE` is not delivered. If it
/// has been used for one that leaves something behind (`WATCH`, `MULTI`, `SELECT`, …), or if a request on it was dropped before its answer came,
/// it is closed instead of given back, and the pool opens another one when it is needed: nothing of
/// one user's session reaches the next.
///
/// A request on it ends at the pool's `request_timeout`, except for commands that may wait by
/// themselves, as `BLPOP` does.
///
/// # Example
///
/// Optimistic locking: the transaction happens only if nobody writes to the key in between.
///
/// ```no_run
/// use redis::AsyncCommands;
///
/// # async fn example(pool: wait_pool_redis::Pool) -> redis::RedisResult<()> {
/// let mut own = pool.get().await?;
/// loop {
///     redis::cmd("WATCH").arg("stock").exec_async(&mut own).await?;
///     let stock: i64 = own.get("stock").await?;
///     let mut take_one = redis::pipe();
///     take_one.atomic().set("stock", stock - 1);
///     let done: Option<()> = take_one.query_async(&mut own).await?;
///     if done.is_some() {
///         return Ok(());
///     }
/// }
/// # }
/// ```
#[must_use = "a connection that is not used goes straight back"]
pub struct Connection {
    held: Option<Pooled<Connector>>,
    pool: wait_pool::Pool<Connector>,
    /// How long a request may take.
    limit: Option<Duration>,
    /// The next user would notice.
    marked: bool,
}

impl Connection {
    pub(crate) const fn new(
        held: Pooled<Connector>,
        pool: wait_pool::Pool<Connector>,
        limit: Option<Duration>,
    ) -> Self {
        Self {
            held: Some(held),
            pool,
            limit,
            marked: false,
        }
    }

    /// Takes the connection out of its pool for good. Its place is free at once, and the pool no
    /// longer counts it. The pool's `request_timeout` becomes its response timeout.
    pub fn take(mut this: Self) -> MultiplexedConnection {
        let held = this.held.take().expect(HELD);
        let mut connection = held.detach().into_connection();
        if let Some(limit) = this.limit {
            connection.set_response_timeout(limit);
        }
        connection
    }

    /// None for commands that may wait by themselves: they say for how long.
    fn limit_for<'a>(&self, commands: impl IntoIterator<Item = &'a Cmd>) -> Option<Duration> {
        let blocks = |cmd: &Cmd| keys::find(cmd).is_some_and(|info| info.is_blocking(cmd));
        self.limit.filter(|_| !commands.into_iter().any(blocks))
    }

    /// Marks the connection for as long as a request is under way, and for good if `mark`.
    async fn run<T>(
        &mut self,
        mark: bool,
        limit: Option<Duration>,
        request: impl AsyncFnOnce(&Pooled<Connector>) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let marked = self.marked || mark;
        self.marked = true;
        let held = self.held.as_ref().expect(HELD);
        let outcome = match limit {
            Some(limit) => match tokio::time::timeout(limit, request(held)).await {
                Ok(outcome) => outcome,
                // Still marked: the answer may yet come, to nobody.
                Err(_) => {
                    let what = format!("no answer within {limit:?} (request_timeout)");
                    return Err(error::timed_out(what));
                }
            },
            None => request(held).await,
        };
        self.marked = marked;
        if outcome
            .as_ref()
            .is_err_and(RedisError::is_unrecoverable_error)
        {
            self.pool.doubt_idle();
        }
        outcome
    }
}

/// Cancel-safe, in that a connection whose request was dropped is not used again. What has been
/// sent may run all the same.
impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        if cmd.args_iter().len() == 0 {
            return Box::pin(ready(Err(error::empty())));
        }
        let (mark, limit) = (keys::touches_session(cmd), self.limit_for([cmd]));
        Box::pin(self.run(mark, limit, async move |link| link.command(cmd).await))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if pipeline.cmd_iter().any(|cmd| cmd.args_iter().len() == 0) {
            return Box::pin(ready(Err(error::empty())));
        }
        let mark = pipeline.cmd_iter().any(keys::touches_session);
        let limit = self.limit_for(pipeline.cmd_iter());
        Box::pin(self.run(mark, limit, async move |link| {
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

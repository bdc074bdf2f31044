//! A connection of one's own.

mod own;
mod reach;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};
use wait_pool::Pooled;

use crate::connector::Connector;
use crate::error;
use crate::keys;
use crate::pinned::Owner;
use crate::session::Kind;

use own::Own;

/// A connection that nobody else uses, given back to its [`Pool`](crate::Pool) when it and its clones
/// are dropped.
///
/// Every command may run on it, though what is published to a `SUBSCRIBE` is not delivered.
///
/// Clones share the one connection: requests of theirs may be under way at the same time, in the
/// order in which they were first polled, and whatever one of them does to the connection holds for
/// all. So [`redis::aio::transaction_async`] locks what it says; one transaction at a time.
///
/// # What the next user gets
///
/// A connection goes back only if nothing is left on it: after `WATCH` that means `EXEC`, `DISCARD` or
/// `UNWATCH`, after `MULTI` `EXEC` or `DISCARD`, after `SELECT` the pool's own database again. After anything else
/// that stays on a connection (a subscription, `CLIENT NO-TOUCH`, `READONLY`, …), if a request on it was dropped or
/// ran into its timeout before its answer came, or if the redis-rs connection behind it was [reached](#deref-methods-MultiplexedConnection), it is
/// closed instead, and the pool opens another one when it is needed. That holds however its user ends: by returning, with an error, by a
/// panic, aborted.
///
/// A request on it ends at the pool's `request_timeout`. Commands that wait by themselves, as `BLPOP` does,
/// have as much longer as they say.
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
#[derive(Clone)]
pub struct Connection {
    /// Before `own`, so that it is gone when the pool takes its place to be free.
    connection: MultiplexedConnection,
    own: Arc<Own>,
}

impl Connection {
    pub(crate) fn new(
        mut held: Pooled<Connector>,
        pool: wait_pool::Pool<Connector>,
        limit: Option<Duration>,
        owner: Option<Owner>,
    ) -> Self {
        held.hand_out();
        Self {
            connection: held.connection(),
            own: Arc::new(Own::new(held, pool, limit, owner)),
        }
    }

    /// Takes the connection out of its pool for good. Its place is free at once, and the pool no
    /// longer counts it. The pool's `request_timeout` becomes its response timeout.
    ///
    /// Clones of `this` go on using the same connection, as clones of the returned one would.
    pub fn take(this: Self) -> MultiplexedConnection {
        this.own.detach();
        let mut connection = this.connection;
        if let Some(limit) = this.own.limit {
            connection.set_response_timeout(limit);
        }
        connection
    }

    /// Commands that wait by themselves have as much longer as they say.
    fn limit_for<'a>(&self, commands: impl IntoIterator<Item = &'a Cmd>) -> Option<Duration> {
        let patience = |cmd| keys::patience(keys::find(cmd)?, cmd);
        let waits = commands.into_iter().filter_map(patience);
        waits.fold(self.own.limit, |limit, own| own.extend(limit))
    }

    async fn command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let change = keys::session(cmd);
        let kind = change.map_or(Kind::Plain, |_| Kind::Changing);
        let limit = self.limit_for([cmd]);
        let request = self.own.begin(kind);
        let answer = within(limit, self.connection.send_packed_command(cmd)).await;
        match &answer {
            Ok(value) => {
                self.own.notice(value);
                request.answered(|session| match change {
                    // Whose answer nobody waits for.
                    Some(_) if cmd.is_no_response() => session.stain(),
                    Some(change) => session.answered(change, value),
                    None => {}
                });
            }
            Err(error) => self.own.notice_error(error),
        }
        answer
    }

    async fn pipeline(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let changing = pipeline.cmd_iter().any(keys::touches_session);
        let kind = match pipeline.is_transaction() {
            _ if changing => Kind::Changing,
            true => Kind::Atomic,
            false => Kind::Plain,
        };
        let limit = self.limit_for(pipeline.cmd_iter());
        let request = self.own.begin(kind);
        let sent = self
            .connection
            .send_packed_commands(pipeline, offset, count);
        let answer = within(limit, sent).await;
        match &answer {
            Ok(values) => values.iter().for_each(|value| self.own.notice(value)),
            Err(error) => self.own.notice_error(error),
        }
        // Not an answer, but none: the request is taken for dropped.
        if let Err(error) = &answer
            && error.clone().into_server_errors().is_none()
        {
            return answer;
        }
        request.answered(|session| match kind {
            Kind::Plain => {}
            Kind::Atomic if offset + count == pipeline.len() + 2 => session.transaction(&answer),
            Kind::Changing if !pipeline.is_transaction() && offset == 0 => match &answer {
                Ok(values) => {
                    let answered = pipeline.cmd_iter().zip(values);
                    for (cmd, value) in answered {
                        if let Some(change) = keys::session(cmd) {
                            session.answered(change, value);
                        }
                    }
                }
                Err(_) => session.stain(),
            },
            // What was done inside of the transaction, or what the answers are of, is not followed.
            Kind::Atomic | Kind::Changing => session.stain(),
        });
        answer
    }
}

/// Ends a request at its limit.
async fn within<T>(
    limit: Option<Duration>,
    request: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    match limit {
        Some(limit) => match tokio::time::timeout(limit, request).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let what = format!("no answer within {limit:?} (request_timeout)");
                Err(error::timed_out(what))
            }
        },
        None => request.await,
    }
}

/// Cancel-safe, in that a connection whose request was dropped is not used by others again. What has
/// been sent may run all the same.
impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        if cmd.args_iter().len() == 0 {
            return Box::pin(ready(Err(error::empty())));
        }
        Box::pin(self.command(cmd))
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
        Box::pin(self.pipeline(pipeline, offset, count))
    }

    /// That of the last `SELECT` which was answered.
    fn get_db(&self) -> i64 {
        self.own.session(|session| session.db())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

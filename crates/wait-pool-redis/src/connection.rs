//! A connection of one's own.

mod messages;
mod own;
mod pubsub;
mod reach;

use std::fmt;
use std::future::ready;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};
use wait_pool::Pooled;

use crate::connector::Connector;
use crate::error;
use crate::keys::{self, SessionCommand};
use crate::pinned::Owner;
use crate::session::{Kind, Session};

pub use messages::PushMessages;
use own::{Own, Request};

/// A connection that nobody else uses, given back to its [`Pool`](crate::Pool) when it and its clones
/// are dropped.
///
/// Every command may run on it, save for those that turn it into a stream (`MONITOR`, `CLIENT REPLY OFF`,
/// …). What is published to its [subscriptions](Self::subscribe) comes as
/// [`push_messages`](Self::push_messages).
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
/// If a request with a command that waits at the server (`BLPOP`, …) is dropped or runs into its timeout, the connection is
/// closed at once, so that nothing is taken from a list for nobody; requests on it fail from then on.
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
    /// What this handle has been [reached](reach) by. Before `own`, so that it is gone when the pool takes
    /// its place to be free.
    reached: OnceLock<MultiplexedConnection>,
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
            reached: OnceLock::new(),
            own: Arc::new(Own::new(held, pool, limit, owner)),
        }
    }

    /// Takes the connection out of its pool for good. Its place is free at once, and the pool no
    /// longer counts it. The pool's `request_timeout` becomes its response timeout.
    ///
    /// Clones of `this` go on using the same connection, as clones of the returned one would.
    pub fn take(this: Self) -> MultiplexedConnection {
        this.own.detach();
        let mut connection = this.connection();
        if let Some(limit) = this.own.limit {
            connection.set_response_timeout(limit);
        }
        connection
    }

    fn connection(&self) -> MultiplexedConnection {
        match self.reached.get() {
            // It may have a response timeout of its own.
            Some(reached) => reached.clone(),
            None => self.own.connection(),
        }
    }

    async fn command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        self.own.check()?;
        let Some(change) = keys::session(cmd) else {
            let request = self.request(Kind::Plain, [cmd]);
            let mut connection = self.connection();
            let sent = connection.send_packed_command(cmd);
            let value = carry(&self.own, request, sent, |_, _| {}).await?;
            self.own.notice(&value);
            return Ok(value);
        };
        match change {
            SessionCommand::Deafening => return Err(error::refused(DEAFENING, cmd)),
            SessionCommand::Subscribe | SessionCommand::Unsubscribe(_) => {
                return self.subscription(cmd, change).await;
            }
            _ => {}
        }
        self.change(cmd, change).await
    }

    /// Sends a command that changes the connection and has one answer.
    async fn change(&mut self, cmd: &Cmd, change: SessionCommand) -> RedisResult<Value> {
        let request = self.request(Kind::Changing, [cmd]);
        let mut connection = self.connection();
        let sent = connection.send_packed_command(cmd);
        let value = carry(&self.own, request, sent, |session, answer| match answer {
            // Nobody waits for its answer.
            Ok(_) if cmd.is_no_response() => session.stain(),
            Ok(value) => session.answered(change, value),
            Err(_) => session.stain(),
        });
        let value = value.await?;
        self.own.notice(&value);
        Ok(value)
    }

    async fn pipeline(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.own.check()?;
        self.check_pipeline(pipeline)?;
        let changing = pipeline.cmd_iter().any(keys::touches_session);
        let kind = match pipeline.is_transaction() {
            _ if changing => Kind::Changing,
            true => Kind::Atomic,
            false => Kind::Plain,
        };
        let request = self.request(kind, pipeline.cmd_iter());
        let mut connection = self.connection();
        let sent = connection.send_packed_commands(pipeline, offset, count);
        let answer = carry(&self.own, request, sent, |session, answer| match kind {
            Kind::Plain => {}
            Kind::Atomic if offset + count == pipeline.len() + 2 => session.transaction(answer),
            Kind::Changing if !pipeline.is_transaction() && offset == 0 => match answer {
                Ok(values) => {
                    for (cmd, value) in pipeline.cmd_iter().zip(values) {
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
        let values = answer.await?;
        values.iter().for_each(|value| self.own.notice(value));
        Ok(values)
    }

    fn request<'a>(&self, kind: Kind, commands: impl IntoIterator<Item = &'a Cmd>) -> Request {
        let mut request = Request {
            kind,
            limit: self.own.limit,
            waits: false,
            leaving: Vec::new(),
        };
        for cmd in commands {
            // Commands that wait by themselves have as much longer as they say.
            if let Some(own) = keys::find(cmd).and_then(|info| keys::patience(info, cmd)) {
                request.limit = own.extend(request.limit);
                request.waits = true;
            }
            if kind == Kind::Changing {
                pubsub::add_left(cmd, &mut request.leaving);
            }
        }
        request
    }
}

const DEAFENING: &str = "after this command answers no longer match what is asked, and redis-rs's \
    connection cannot go on; open one for it alone with redis::Client";

/// Sends a request and follows what comes of it.
async fn carry<T>(
    own: &Arc<Own>,
    request: Request,
    sent: impl Future<Output = RedisResult<T>>,
    follow: impl FnOnce(&mut Session, &RedisResult<T>),
) -> RedisResult<T> {
    let limit = request.limit;
    let under_way = own.begin(request)?;
    let answer = within(limit, sent).await;
    if let Err(error) = &answer {
        own.notice_error(error);
        // Not an answer, but none: the request is taken for dropped.
        if error.clone().into_server_errors().is_none() {
            return answer;
        }
    }
    under_way.answered(|session| follow(session, &answer))?;
    answer
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

//! A connection of a pool's.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool::managed::Metrics;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisResult, Value};

use crate::error::Lost;
use crate::plan::Outgoing;
use crate::pushes::Pushes;
use crate::wire::{self, Call, Wire};

/// A connection, and whether anybody has found it dead.
///
/// Any number of callers may use it at once, and each may be dropped at any time: answers are
/// matched to requests by the connection's own task, and one that nobody waits for is thrown away.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) connection: MultiplexedConnection,
    /// The same connection, for those who share it.
    wire: Option<Wire>,
    /// None where the protocol has no pushes.
    pushes: Option<Weak<Pushes>>,
    dead: AtomicBool,
    /// Somebody may have a handle of it.
    lent: AtomicBool,
    /// Of those who had it for themselves.
    pub(super) metrics: Metrics,
    /// Somebody had it for himself.
    pub(super) used: bool,
}

impl Link {
    /// How those who share it send, if not through redis-rs.
    pub(crate) const fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// Sends one command.
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        self.judge(connection.send_packed_command(cmd).await)
    }

    /// Sends a pipeline in one write.
    pub(crate) async fn pipeline(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut connection = self.connection.clone();
        let sent = connection.send_packed_commands(pipeline, offset, count);
        self.judge(sent.await)
    }

    /// Sends commands in one write, each behind its prelude. Gives as many answers as there are commands,
    /// unless the server gave another number.
    pub(crate) async fn commands(&self, commands: &[Outgoing<'_>]) -> Result<Vec<Value>, Lost> {
        let count = commands.iter().map(Outgoing::len).sum();
        let values = match &self.wire {
            Some(wire) => {
                Call::alone(count)
                    .ask(count, wire, |bytes| {
                        for command in commands {
                            command.for_each(|cmd| wire::write(bytes, cmd));
                        }
                    })
                    .await?
            }
            None => self
                .by_redis_rs(commands, count)
                .await
                .map_err(Lost::from)?,
        };
        if count == commands.len() || values.len() != count {
            return Ok(values);
        }
        let mut values = values.into_iter();
        let own = |command: &Outgoing<'_>| values.nth(command.len() - 1);
        Ok(commands.iter().filter_map(own).collect())
    }

    /// The answers to commands and their preludes.
    async fn by_redis_rs(
        &self,
        commands: &[Outgoing<'_>],
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        // A command whose answer is not wanted has it all the same here: it may be a redirect.
        if let [Outgoing { cmd, prelude: None }] = commands
            && !cmd.is_no_response()
        {
            return Ok(vec![self.command(cmd).await?]);
        }
        let mut pipeline = Pipeline::with_capacity(count);
        for command in commands {
            command.for_each(|cmd| {
                pipeline.add_command(cmd.clone());
            });
        }
        self.pipeline(&pipeline, 0, count).await
    }

    /// Sends a transaction behind `ASKING`. A server forgets `ASKING` after the next command, but not
    /// between `MULTI` and `EXEC`.
    pub(crate) async fn asking(
        &self,
        transaction: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(transaction.len() + 3);
        pipeline.cmd("ASKING").cmd("MULTI");
        for cmd in transaction.cmd_iter() {
            pipeline.add_command(cmd.clone());
        }
        pipeline.cmd("EXEC");
        let mut values = self.pipeline(&pipeline, 0, pipeline.len()).await?;
        let aborted = matches!(values.last(), Some(Value::ServerError(_)));
        let is_error = |value: &&Value| matches!(value, Value::ServerError(_));
        match values.iter().find(is_error).filter(|_| aborted) {
            Some(first) => Err(first.clone().extract_error().expect_err("it is an error")),
            None => {
                values.drain(..(offset + 1).min(values.len()));
                values.truncate(count);
                Ok(values)
            }
        }
    }

    pub(super) fn new(
        connection: MultiplexedConnection,
        wire: Option<Wire>,
        pushes: Option<Weak<Pushes>>,
    ) -> Self {
        Self {
            connection,
            wire,
            pushes,
            dead: AtomicBool::new(false),
            lent: AtomicBool::new(false),
            metrics: Metrics::default(),
            used: false,
        }
    }

    /// Whether it is of no use any more.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed) || self.wire().is_some_and(Wire::is_closed)
    }

    pub(crate) fn db(&self) -> i64 {
        self.connection.get_db()
    }

    /// A handle of the connection itself, for somebody who has it alone.
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.lent.store(true, Ordering::Relaxed);
        self.connection.clone()
    }

    pub(crate) const fn pushes(&self) -> Option<&Weak<Pushes>> {
        self.pushes.as_ref()
    }

    fn judge<T>(&self, outcome: RedisResult<T>) -> RedisResult<T> {
        if let Err(error) = &outcome
            && error.is_unrecoverable_error()
        {
            self.dead.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Drop for Link {
    /// Without any handle left redis-rs ends the connection, sooner or later; if nobody else can have one, at once.
    fn drop(&mut self) {
        if let Some(wire) = self.wire.as_ref().filter(|_| !*self.lent.get_mut()) {
            wire.close();
        }
    }
}

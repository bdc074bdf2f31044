//! The seam to redis-rs: how a connection is opened, checked, written to and found dead.
//!
//! Everything that depends on the inside of redis-rs's connections is in this file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, ProtocolVersion, RedisResult,
    Value,
};

use crate::plan::{Outgoing, Prelude};
use crate::pushes::Pushes;

/// Opens connections to one server.
pub(crate) struct Connector {
    client: Client,
    config: AsyncConnectionConfig,
}

impl Connector {
    pub(crate) fn new(info: ConnectionInfo) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(with_user_timeout(info))?,
            // The pool and the request path have deadlines of their own, which cover more.
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None),
        })
    }

    pub(crate) async fn open(&self) -> RedisResult<MultiplexedConnection> {
        self.open_with(&self.config).await
    }

    async fn open_with(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let client = &self.client;
        client
            .get_multiplexed_async_connection_with_config(config)
            .await
    }

    /// Opens a connection whose pushes are kept, where the protocol has them. What is given out is gone
    /// as soon as nothing more can come.
    async fn open_with_pushes(&self) -> RedisResult<(MultiplexedConnection, Option<Weak<Pushes>>)> {
        if self
            .client
            .get_connection_info()
            .redis_settings()
            .protocol()
            != ProtocolVersion::RESP3
        {
            return Ok((self.open().await?, None));
        }
        let pushes = Arc::new(Pushes::default());
        let given_out = Arc::downgrade(&pushes);
        let hand_over = move |push| -> Result<(), SendError> {
            pushes.take(push);
            Ok(())
        };
        let config = self.config.clone().set_push_sender(hand_over);
        Ok((self.open_with(&config).await?, Some(given_out)))
    }
}

impl wait_pool::Manager for Connector {
    type Connection = Link;
    type Error = redis::RedisError;

    async fn connect(&self) -> RedisResult<Link> {
        let (connection, pushes) = self.open_with_pushes().await?;
        Ok(Link {
            connection,
            pushes,
            dead: AtomicBool::new(false),
        })
    }

    async fn check(&self, link: &mut Link) -> RedisResult<()> {
        link.command(&redis::cmd("PING")).await?.extract_error()?;
        Ok(())
    }

    fn is_broken(&self, link: &Link) -> bool {
        link.dead.load(Ordering::Relaxed)
    }
}

/// Has the operating system give up a connection whose peer has not confirmed anything sent to it
/// for this long: a host that vanished without a word would hold it for a quarter of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

fn with_user_timeout(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.tcp_settings().clone();
    match settings.user_timeout() {
        Some(_) => info,
        None => info.set_tcp_settings(settings.set_user_timeout(USER_TIMEOUT)),
    }
}

/// A connection, and whether anybody has found it dead.
///
/// Any number of callers may use it at once, and each may be dropped at any time: answers are
/// matched to requests by the connection's own task, and one that nobody waits for is thrown away.
#[derive(Debug)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    /// None where the protocol has no pushes.
    pushes: Option<Weak<Pushes>>,
    dead: AtomicBool,
}

impl Link {
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
    pub(crate) async fn commands(&self, commands: &[Outgoing<'_>]) -> RedisResult<Vec<Value>> {
        // A command whose answer is not wanted has it all the same here: it may be a redirect.
        if let [Outgoing { cmd, prelude: None }] = commands
            && !cmd.is_no_response()
        {
            return Ok(vec![self.command(cmd).await?]);
        }
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for Outgoing { cmd, prelude } in commands {
            match prelude {
                Some(Prelude::Asking) => drop(pipeline.cmd("ASKING")),
                Some(Prelude::Script(load)) => drop(pipeline.add_command((**load).clone())),
                None => {}
            }
            pipeline.add_command((*cmd).clone());
        }
        let values = self.pipeline(&pipeline, 0, pipeline.len()).await?;
        if pipeline.len() == commands.len() || values.len() != pipeline.len() {
            return Ok(values);
        }
        let mut values = values.into_iter();
        let own = |command: &Outgoing<'_>| {
            command.prelude.and_then(|_| values.next());
            values.next()
        };
        Ok(commands.iter().filter_map(own).collect())
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

    pub(crate) fn db(&self) -> i64 {
        self.connection.get_db()
    }

    /// A handle of the connection itself, for somebody who has it alone.
    pub(crate) fn connection(&self) -> MultiplexedConnection {
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

//! Subscriptions: commands that are answered by a push for each channel.
//!
//! redis-rs takes the first push for the answer and any other for that of the next request. So a command
//! that names several channels is sent as one for each.

use redis::{Cmd, Pipeline, RedisResult, ToRedisArgs, Value};

use super::{Connection, carry};
use crate::error;
use crate::keys::{self, Channels, SessionCommand};
use crate::session::Kind;

const NEEDS_RESP3: &str = "messages of subscriptions come as pushes, which RESP2 does not have; add \
    ?protocol=resp3 to the URL";
const PROTOCOL_CHANGED: &str = "after HELLO or RESET it is not known whether the connection has pushes; \
    subscribe on another, with ?protocol=resp3 in the URL";
const IN_TRANSACTION: &str = "a subscription in a transaction is confirmed in the middle of other answers; \
    subscribe before it or after it";
const ONE_CHANNEL: &str = "in a pipeline each of these commands has to name one channel: each channel is \
    confirmed by itself";
const DEAFENING: &str = super::DEAFENING;

/// Without any channel: all of them.
const ALL: &[&str] = &[];

impl Connection {
    /// Subscribes to channels. What is published there comes to [`push_messages`](Self::push_messages),
    /// so call that first.
    ///
    /// In a cluster any node will do. Once a connection has been subscribed to anything, it is
    /// closed instead of given back.
    ///
    /// # Errors
    ///
    /// The protocol has no pushes (it takes `?protocol=resp3` in the URL), the connection is in a
    /// transaction, or the server's own: with some of the channels it may have succeeded.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.subscribed("SUBSCRIBE", channels).await
    }

    /// Leaves channels; all of them, if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.subscribed("UNSUBSCRIBE", channels).await
    }

    /// Subscribes to all channels whose names match a pattern.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.subscribed("PSUBSCRIBE", patterns).await
    }

    /// Leaves patterns; all of them, if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.subscribed("PUNSUBSCRIBE", patterns).await
    }

    /// Subscribes to sharded channels, all of one slot: to what is published with `SPUBLISH`.
    ///
    /// In a cluster this is for the primary that owns the slot of the channel,
    /// [`pin(channel)`](crate::cluster::Pool::pin); others answer `MOVED`. When the slot goes elsewhere the server
    /// ends the subscription, and `SUnsubscribe` is among the [`push_messages`](Self::push_messages). redis-rs takes
    /// that for the answer to a request which is under way at that moment; such a request, and all later ones on the connection, fail.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn ssubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.subscribed("SSUBSCRIBE", channels).await
    }

    /// Leaves sharded channels; all of them, if none is named.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn sunsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.subscribed("SUNSUBSCRIBE", channels).await
    }

    async fn subscribed(&mut self, name: &str, channels: impl ToRedisArgs) -> RedisResult<()> {
        let cmd = redis::cmd(name).arg(channels).take();
        let value = self.command(&cmd).await?;
        value.extract_error().map(drop)
    }

    /// Runs a command that subscribes or unsubscribes.
    pub(super) async fn subscription(
        &mut self,
        cmd: &Cmd,
        change: SessionCommand,
    ) -> RedisResult<Value> {
        self.check_subscription(cmd)?;
        let channels = keys::channels(cmd);
        match (change, channels.len()) {
            (SessionCommand::Unsubscribe(all), 0) => self.leave_all(cmd, all).await,
            // Without a channel it is refused by the server.
            (_, 0 | 1) => self.change(cmd, change).await,
            _ => {
                let channels: Vec<_> = channels.map(<[u8]>::to_vec).collect();
                self.each(cmd, &channels).await
            }
        }
    }

    async fn leave_all(&mut self, cmd: &Cmd, all: Channels) -> RedisResult<Value> {
        if all == Channels::Sharded {
            let channels = self.own.pushes().map(|pushes| pushes.sharded());
            return match channels.unwrap_or_default().as_slice() {
                // One confirmation, of nothing.
                [] => self.change(cmd, SessionCommand::Unsubscribe(all)).await,
                channels => self.each(cmd, channels).await,
            };
        }
        let request = self.request(Kind::Changing, [cmd]);
        let mut connection = self.connection();
        // It knows how many confirmations are to come.
        let sent = async move {
            match all {
                Channels::Patterns => connection.punsubscribe(ALL).await,
                Channels::Named | Channels::Sharded => connection.unsubscribe(ALL).await,
            }
        };
        carry(&self.own, request, sent, |session, _| session.stain()).await?;
        Ok(Value::Okay)
    }

    /// Sends a command for each channel, and gives the last answer or the first error.
    async fn each(&mut self, cmd: &Cmd, channels: &[Vec<u8>]) -> RedisResult<Value> {
        let mut pipeline = Pipeline::with_capacity(channels.len());
        let name = cmd.args_iter().next();
        for channel in channels {
            if let Some(redis::Arg::Simple(name)) = name {
                pipeline.add_command(Cmd::new().arg(name).arg(channel).take());
            }
        }
        let values = self.pipeline(&pipeline, 0, channels.len()).await?;
        let refused = |value: &Value| matches!(value, Value::ServerError(_));
        let answer = values
            .iter()
            .find(|value| refused(value))
            .or_else(|| values.last());
        Ok(answer.cloned().unwrap_or_default())
    }

    fn check_subscription(&self, cmd: &Cmd) -> RedisResult<()> {
        if !self.own.has_pushes() {
            return Err(error::refused(NEEDS_RESP3, cmd));
        }
        let (protocol_known, may_queue) = self
            .own
            .session(|session| (session.is_protocol_known(), session.may_queue()));
        match (protocol_known, may_queue) {
            (false, _) => Err(error::refused(PROTOCOL_CHANGED, cmd)),
            (true, true) => Err(error::refused(IN_TRANSACTION, cmd)),
            (true, false) => Ok(()),
        }
    }

    /// Refuses what would have more answers in a pipeline than it has commands, or fewer.
    pub(super) fn check_pipeline(&self, pipeline: &Pipeline) -> RedisResult<()> {
        let mut queues = pipeline.is_transaction();
        for cmd in pipeline.cmd_iter() {
            match keys::session(cmd) {
                Some(SessionCommand::Deafening) => return Err(error::refused(DEAFENING, cmd)),
                Some(SessionCommand::Multi) => queues = true,
                Some(SessionCommand::Subscribe | SessionCommand::Unsubscribe(_)) => {
                    self.check_subscription(cmd)?;
                    if queues {
                        return Err(error::refused(IN_TRANSACTION, cmd));
                    }
                    if keys::channels(cmd).len() != 1 {
                        return Err(error::refused(ONE_CHANNEL, cmd));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Adds the sharded channels that a command leaves.
pub(super) fn add_left(cmd: &Cmd, left: &mut Vec<Vec<u8>>) {
    if keys::session(cmd) != Some(SessionCommand::Unsubscribe(Channels::Sharded)) {
        return;
    }
    match keys::channels(cmd) {
        // Confirmed without a name.
        none if none.len() == 0 => left.push(Vec::new()),
        channels => left.extend(channels.map(<[u8]>::to_vec)),
    }
}

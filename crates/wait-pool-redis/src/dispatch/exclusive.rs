//! Commands that keep their connection waiting: each takes one of its own for as long as it waits.
//!
//! It holds a place among the node's connections meanwhile, like any connection of one's own. It is
//! given back with the answer, and closed at once if nobody waits for that any more: a server that
//! sees the connection go takes nothing from a list for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, RedisResult, Value};
use wait_pool::Pooled;

use super::onward::Target;
use super::{Dispatch, random_slot};
use crate::connector::Connector;
use crate::error::{self, Failure, FailureKind};
use crate::keys::{self, Patience};
use crate::nodes::Node;
use crate::pinned::{self, To};
use crate::redirect::MOST_REPEATS;
use crate::route::Route;
use crate::slot::Slot;

const WAITS_FOR_OWN_WRITES: &str = "this command waits for what was written on the connection that it \
    runs on, and the writes of a shared handle are made on others; take a connection of your own with \
    Pool::get() or cluster::Pool::pin(key), write there, and wait there";

impl Dispatch {
    /// Runs a command that waits. Its answer may take as much longer than `request_timeout` as the command says.
    ///
    /// Where the slot moves or its primary is replaced meanwhile, the command is sent to the new owner and begins to
    /// wait anew.
    pub(super) async fn exclusive(&self, cmd: &Cmd) -> RedisResult<Value> {
        if keys::waits_for_own_writes(cmd) {
            return Err(error::refused(WAITS_FOR_OWN_WRITES, cmd));
        }
        let info = keys::find(cmd).unwrap_or(&keys::UNLISTED);
        let patience = keys::patience(cmd).unwrap_or(Patience::ForEver);
        let slot = info.first_key(cmd).map_or_else(random_slot, Slot::of);
        let mut deadline = self.deadline()?;
        let mut node = pinned::find_in_time(&self.topologies, &To::Slot(slot), deadline).await?;
        let mut asking = false;
        for repeats in (0..=MOST_REPEATS).rev() {
            let limit = patience.extend(self.settings.request_timeout);
            let sent = node.exclusive(cmd, asking, deadline, limit).await;
            match &sent {
                Ok(value) => match self.elsewhere(value, &node, slot).await {
                    Some(target) if repeats > 0 => (node, asking) = target,
                    _ => return sent.map_err(|failure| failure.error),
                },
                Err(failure) => {
                    self.suspect(failure, &node);
                    let again = failure.kind == FailureKind::ConnectionLost && info.is_readonly();
                    if !again || repeats == 0 {
                        return sent.map_err(|failure| failure.error);
                    }
                }
            }
            // It may have waited for long.
            deadline = self.deadline()?;
        }
        Err(Failure::unserved().error)
    }

    async fn elsewhere(
        &self,
        value: &Value,
        asked: &Node,
        slot: Slot,
    ) -> Option<(Arc<Node>, bool)> {
        if let Some(Target::Node { node, asking }) = self.redirected(value, asked) {
            return Some((node, asking));
        }
        if !lost_its_primary(value) {
            return None;
        }
        let newer = self.topologies.after_refresh().await.ok()?;
        Some((newer.primary(Route::Slot(slot), slot)?, false))
    }
}

/// Whether the server has become a replica while the command waited. Nothing was taken. It is another thing if somebody
/// unblocks the client on purpose.
fn lost_its_primary(value: &Value) -> bool {
    match value {
        Value::ServerError(error) => {
            let detail = error.details().unwrap_or_default();
            error.code() == "UNBLOCKED" && detail.contains("state changed")
        }
        _ => false,
    }
}

impl Node {
    /// Runs a command on a connection of its own: `deadline` is for getting one, `limit` for the answer.
    ///
    /// A dropped future closes the connection.
    async fn exclusive(
        &self,
        cmd: &Cmd,
        asking: bool,
        deadline: Option<Instant>,
        limit: Option<Duration>,
    ) -> Result<Value, Failure> {
        let held = self.pool().request().deadline(deadline).get().await;
        let held = held.map_err(|error| Failure::no_connection(self.addr(), error))?;
        let own = Exclusive(Some(held));
        let answer = match limit {
            Some(limit) => tokio::time::timeout(limit, own.send(cmd, asking)).await,
            None => Ok(own.send(cmd, asking).await),
        };
        match answer {
            Ok(Ok(value)) => {
                own.give_back();
                Ok(value)
            }
            Ok(Err(error)) => Err(Failure::after_sending(error)),
            Err(_) => {
                let addr = self.addr();
                let limit = limit.unwrap_or_default();
                Err(Failure::late(format!(
                    "no answer from {addr} within {limit:?} (request_timeout and the command's own)"
                )))
            }
        }
    }
}

/// A connection with one command under way. Its drop closes the connection.
struct Exclusive(Option<Pooled<Connector>>);

impl Exclusive {
    async fn send(&self, cmd: &Cmd, asking: bool) -> RedisResult<Value> {
        let Some(link) = &self.0 else {
            return Err(error::closed());
        };
        if !asking {
            return link.command(cmd).await;
        }
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("ASKING").add_command(cmd.clone());
        let mut values = link.pipeline(&pipeline, 1, 1).await?;
        Ok(values.pop().unwrap_or_default())
    }

    fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_of_roles_sends_elsewhere() {
        let reply = |line: &str| redis::parse_redis_value(line.as_bytes()).unwrap();
        let state = "-UNBLOCKED force unblock from blocking operation, instance state changed \
                     (master -> replica?)\r\n";
        assert!(lost_its_primary(&reply(state)));
        let asked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
        assert!(!lost_its_primary(&reply(asked)));
        assert!(!lost_its_primary(&Value::Nil));
    }
}

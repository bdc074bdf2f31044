//! Commands that keep their connection waiting: each takes one of its own for as long as it waits.
//!
//! It holds a place among the node's connections meanwhile, like any connection of one's own. It is
//! given back with the answer, and closed at once if nobody waits for that any more: a server that
//! sees the connection go takes nothing from a list for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, RedisResult, ServerError, Value};
use wait_pool::Pooled;

use super::{Dispatch, random_slot};
use crate::connector::Connector;
use crate::error::{self, Failure};
use crate::keys::{self, Patience};
use crate::nodes::Node;
use crate::pinned::{self, To};
use crate::redirect::{self, Budget, Next};
use crate::route::Route;
use crate::slot::Slot;

/// Where a command goes, and what it may still spend after that.
struct Attempt {
    node: Arc<Node>,
    asking: bool,
    pause: Duration,
    budget: Budget,
}

impl Dispatch {
    /// Runs a command that waits. Its answer may take as much longer than `request_timeout` as the
    /// command says.
    ///
    /// Where the slot moves or its primary is replaced meanwhile, the command is sent to the new
    /// owner and begins to wait anew.
    pub(super) async fn exclusive(&self, cmd: &Cmd) -> RedisResult<Value> {
        let info = self.commands.find(cmd).unwrap_or(keys::UNLISTED);
        let patience = keys::patience(&info, cmd).unwrap_or(Patience::ForEver);
        let limit = patience.extend(self.settings.request_timeout);
        let slot = info.first_key(cmd).map_or_else(random_slot, Slot::of);
        let repeatable = info.is_readonly() || self.settings.retry_writes;
        let mut deadline = self.deadline()?;
        let mut attempt = Attempt {
            node: pinned::find_in_time(&self.topologies, &To::Slot(slot), deadline).await?,
            asking: false,
            pause: Duration::ZERO,
            budget: Budget::WHOLE,
        };
        loop {
            if !attempt.pause.is_zero() {
                tokio::time::sleep(attempt.pause).await;
            }
            let node = &attempt.node;
            let answer = node.exclusive(cmd, attempt.asking, deadline, limit).await;
            let next = match &answer {
                Ok(Value::ServerError(error)) if lost_its_primary(error) => Next::Owner,
                Ok(Value::ServerError(error)) => redirect::after_error(error, node.addr()),
                Ok(_) => Next::Stands,
                Err(failure) => {
                    self.suspect(failure, node);
                    redirect::after_failure(failure.kind, repeatable)
                }
            };
            match self.attempt(next, slot, &attempt).await {
                Some(another) => attempt = another,
                None => return answer.map_err(|failure| failure.error),
            }
            // It may have waited for long.
            deadline = self.deadline()?;
        }
    }

    /// The next attempt, if there is one.
    async fn attempt(&self, next: Next, slot: Slot, last: &Attempt) -> Option<Attempt> {
        let (budget, pause) = last
            .budget
            .spend(matches!(next, Next::Later | Next::Owner))?;
        let (node, asking) = match next {
            Next::Stands | Next::WithScript => return None,
            Next::Moved(slot, addr) => (self.moved(slot, &addr)?, false),
            Next::Ask(addr) => (self.named(&addr)?, true),
            Next::Again | Next::Later => (Arc::clone(&last.node), last.asking),
            Next::Owner if !self.topologies.may_change() => return None,
            Next::Owner => {
                let newer = self.topologies.after_refresh().await.ok()?;
                (newer.primary(Route::Slot(slot), slot)?, false)
            }
            Next::Elsewhere => {
                let known = self.topologies.known()?.primary(Route::Slot(slot), slot)?;
                if known.addr() == last.node.addr() {
                    return None;
                }
                (known, false)
            }
        };
        Some(Attempt {
            node,
            asking,
            pause,
            budget,
        })
    }
}

/// Whether the server has become a replica while the command waited. Nothing was taken. It is another
/// thing if somebody unblocks the client on purpose.
fn lost_its_primary(error: &ServerError) -> bool {
    let detail = error.details().unwrap_or_default();
    error.code() == "UNBLOCKED" && detail.contains("state changed")
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
        let reply = |line: &str| match redis::parse_redis_value(line.as_bytes()).unwrap() {
            Value::ServerError(error) => error,
            other => panic!("{other:?}"),
        };
        let state = "-UNBLOCKED force unblock from blocking operation, instance state changed \
                     (master -> replica?)\r\n";
        assert!(lost_its_primary(&reply(state)));
        let asked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
        assert!(!lost_its_primary(&reply(asked)));
        assert!(!lost_its_primary(&reply("-ERR state changed\r\n")));
    }
}

//! Requests whose callers want to know of each command by itself what became of it.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use redis::{Cmd, RedisResult, Value};
use tokio::runtime::Handle;

use super::{Answered, Dispatch, Few, expiry};
use crate::error::{self, Failure};
use crate::node::NodeAddr;
use crate::slot::Slot;

impl Dispatch {
    /// Runs commands as a pipeline and gives each its own result, by its position. What has no
    /// answer at the deadline has a failure of its own; others keep theirs.
    ///
    /// Cancel-safe, as every request.
    pub(crate) async fn positions(
        &self,
        commands: &[Cmd],
        deadline: Option<Instant>,
    ) -> Vec<Result<Value, Failure>> {
        match self.each(commands, deadline).await {
            Ok(Answered::Plain(values)) => values.into_iter().map(Ok).collect(),
            Ok(Answered::Mixed(answers)) => answers.into_positions().collect(),
            Err(error) => vec![Err(Failure::before_sending(error)); commands.len()],
        }
    }

    /// The positions of keys, those of one shard together, and those that nobody serves. The groups
    /// stand in the order of their first keys.
    pub(crate) async fn by_shard(
        &self,
        keys: impl Iterator<Item = &[u8]>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Vec<usize>>, Failure> {
        let expired = pin!(expiry(deadline));
        let current = pin!(self.topologies.current());
        let snapshot = match select(current, expired).await {
            Either::Left((snapshot, _)) => snapshot.map_err(Failure::before_sending)?,
            Either::Right(_) => return Err(self.late("the topology is not known yet")),
        };
        let mut group_of = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (position, key) in keys.enumerate() {
            let shard = snapshot.topology.shard_of(Slot::of(key));
            let group = *group_of.entry(shard).or_insert(groups.len());
            match groups.get_mut(group) {
                Some(positions) => positions.push(position),
                None => groups.push(vec![position]),
            }
        }
        Ok(groups)
    }

    /// Who serves a key, as far as is known.
    pub(crate) fn owner_of(&self, key: &[u8]) -> Option<NodeAddr> {
        let snapshot = self.topologies.known()?;
        let shard = snapshot.topology.shard_of(Slot::of(key))?;
        Some(snapshot.topology.primary(shard).clone())
    }

    /// How long a request may take that says nothing of it.
    pub(crate) const fn request_timeout(&self) -> Option<Duration> {
        self.settings.request_timeout
    }

    async fn each(&self, commands: &[Cmd], deadline: Option<Instant>) -> RedisResult<Answered> {
        if Handle::try_current().is_err() {
            return Err(error::no_runtime());
        }
        let commands: Few<'_> = commands.iter().collect();
        self.answered(&commands, None, deadline).await
    }
}

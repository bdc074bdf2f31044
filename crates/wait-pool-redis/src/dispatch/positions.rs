//! Requests whose callers want to know of each command by itself what became of it.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use redis::{Cmd, Value};
use tokio::runtime::Handle;

use super::batch::Sent;
use super::short::{Errand, Short};
use super::{Dispatch, Few, expiry};
use crate::error::{self, Failure};
use crate::node::NodeAddr;
use crate::refresh::Snapshot;
use crate::slot::Slot;

/// Commands that have one key each, and need not be made to be written.
pub(crate) trait Asked: Sync {
    fn len(&self) -> usize;

    fn key(&self, position: usize) -> &[u8];

    fn write(&self, position: usize, bytes: &mut Vec<u8>);

    fn command(&self, position: usize) -> Cmd;
}

/// What is asked for, on its short way.
struct ByKeys<'a, A> {
    dispatch: &'a Dispatch,
    asked: &'a A,
}

impl<A: Asked> Errand for ByKeys<'_, A> {
    fn count(&self) -> usize {
        self.asked.len()
    }

    fn shard(&self, position: usize, snapshot: &Snapshot) -> Option<usize> {
        self.dispatch.shard_of(self.asked.key(position), snapshot)
    }

    fn write(&self, position: usize, bytes: &mut Vec<u8>) {
        self.asked.write(position, bytes);
    }
}

/// What came of commands, by their positions.
pub(crate) enum Positions {
    /// All have been answered, none with an error.
    All(Vec<Value>),
    Each(Vec<Result<Value, Failure>>),
}

impl Positions {
    pub(crate) fn each(self) -> Vec<Result<Value, Failure>> {
        match self {
            Self::All(values) => values.into_iter().map(Ok).collect(),
            Self::Each(each) => each,
        }
    }
}

impl Dispatch {
    /// Runs commands as a pipeline and gives each its own result, by its position. What has no
    /// answer at the deadline has a failure of its own; others keep theirs.
    ///
    /// Cancel-safe, as every request.
    pub(crate) async fn positions(
        &self,
        asked: &impl Asked,
        deadline: Option<Instant>,
    ) -> Positions {
        if Handle::try_current().is_err() {
            let failure = Failure::before_sending(error::no_runtime());
            return Positions::Each(vec![Err(failure); asked.len()]);
        }
        let errand = ByKeys {
            dispatch: self,
            asked,
        };
        let sent = match self.short(&errand, deadline).await {
            Short::Done(values) => return Positions::All(values),
            Short::Begun(sent) => Some(sent),
            Short::Unfit => None,
        };
        let commands: Vec<Cmd> = (0..asked.len()).map(|at| asked.command(at)).collect();
        let commands: Few<'_> = commands.iter().collect();
        Positions::Each(Box::pin(self.each_long(&commands, sent, deadline)).await)
    }

    /// Runs commands as a pipeline; each has its own result.
    pub(super) async fn each(
        &self,
        commands: &[&Cmd],
        deadline: Option<Instant>,
    ) -> Vec<Result<Value, Failure>> {
        let sent = match self.short(&self.given(commands), deadline).await {
            Short::Done(values) => return values.into_iter().map(Ok).collect(),
            Short::Begun(sent) => Some(sent),
            Short::Unfit => None,
        };
        self.each_long(commands, sent, deadline).await
    }

    async fn each_long(
        &self,
        commands: &[&Cmd],
        sent: Option<Vec<Sent>>,
        deadline: Option<Instant>,
    ) -> Vec<Result<Value, Failure>> {
        match self.long(commands, None, sent, deadline).await {
            Ok(answers) => answers.into_positions().collect(),
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
}

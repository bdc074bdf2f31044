//! The way of every request: route, plan, lease, send, redirect, merge.
//!
//! A single command is a batch of one, and a server that stands alone is a topology with one
//! shard. The parts of a batch run side by side inside the caller's own future, each with a lease
//! of its own that it gives back on its own answers: nobody holds one node's place while waiting
//! for another's. What a part answers is kept as it comes; what is sent on becomes a part of its
//! own. Dropping the future drops all of it.

mod batch;
mod cuts;
mod exclusive;
mod onward;
mod positions;
mod scripts;
mod short;
mod target;
mod transaction;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use smallvec::SmallVec;
use tokio::runtime::Handle;

use crate::error::{self, Failure};
use crate::keys::Commands;
use crate::plan::{self, Answers, Piece};
use crate::refresh::Topologies;
use crate::route::{self, Refusal, Routed};
use crate::settings::Settings;
use crate::slot::Slot;

use batch::Sent;
pub(crate) use positions::{Asked, Positions};
use scripts::Scripts;
use short::{Given, Short};

/// The commands of a request, in order.
type Few<'a> = SmallVec<[&'a Cmd; 16]>;

/// Carries requests to their nodes and answers back.
#[derive(Debug)]
pub(crate) struct Dispatch {
    topologies: Arc<Topologies>,
    /// Whether keys are spread over shards by their slots, and servers redirect.
    sharded: bool,
    commands: Commands,
    scripts: Scripts,
    /// Goes up with every batch that replicas may answer.
    turn: AtomicUsize,
    settings: Settings,
}

impl Dispatch {
    pub(crate) fn new(topologies: Arc<Topologies>, settings: Settings) -> Self {
        Self {
            sharded: topologies.is_sharded(),
            topologies,
            commands: settings.commands.clone(),
            scripts: Scripts::default(),
            turn: AtomicUsize::new(0),
            settings,
        }
    }

    /// Runs one command.
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        // A plain one is never refused, and is routed further on.
        if self.commands.plain_key(cmd).is_none() {
            match self.route(cmd) {
                Ok(routed) => {
                    if let Some(cuts) = routed.split.and_then(|range| plan::cut(cmd, range)) {
                        return Box::pin(self.cut(cmd, routed, cuts)).await;
                    }
                }
                Err(Refusal::Blocking) => return Box::pin(self.exclusive(cmd)).await,
                Err(refusal) => return Err(self.refused(refusal, cmd)),
            }
        }
        let mut values = self.values(&[cmd], None).await?;
        Ok(values.pop().unwrap_or_default())
    }

    /// Runs a pipeline and gives `count` of its answers, from the one at `offset` on.
    pub(crate) async fn pipeline(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if pipeline.is_transaction() {
            let pieces = self.pieces(pipeline.cmd_iter())?;
            return Box::pin(self.transaction(&pieces, pipeline, offset, count)).await;
        }
        let commands: Few<'_> = pipeline.cmd_iter().collect();
        if commands.is_empty() {
            return Err(error::empty());
        }
        let mut values = match plan::turn(&commands) == commands.len() {
            true => self.values(&commands, Some(pipeline)).await?,
            false => Box::pin(self.in_turns(&commands)).await?,
        };
        values.truncate(offset.saturating_add(count));
        values.drain(..offset.min(values.len()));
        Ok(values)
    }

    /// Runs commands, which are `pipeline` if that is given: the short way, if that is one for them.
    async fn values(
        &self,
        commands: &[&Cmd],
        pipeline: Option<&Pipeline>,
    ) -> RedisResult<Vec<Value>> {
        let deadline = self.deadline()?;
        let sent = match self.short(&self.given(commands), deadline).await {
            Short::Done(values) => return Ok(values),
            Short::Begun(sent) => Some(sent),
            Short::Unfit => None,
        };
        // In a box, since few requests need its room.
        let long = Box::pin(self.long(commands, pipeline, sent, deadline));
        long.await?.into_values()
    }

    const fn given<'a>(&'a self, commands: &'a [&'a Cmd]) -> Given<'a> {
        Given {
            dispatch: self,
            commands,
        }
    }

    /// Runs a long pipeline in turns, one after another, so that others get at the connections in between.
    async fn in_turns(&self, mut commands: &[&Cmd]) -> RedisResult<Vec<Value>> {
        let deadline = self.deadline()?;
        let mut positions = Vec::with_capacity(commands.len());
        while !commands.is_empty() {
            let (turn, rest) = commands.split_at(plan::turn(commands));
            positions.extend(self.each(turn, deadline).await);
            commands = rest;
        }
        plan::values(positions)
    }

    /// Runs commands the long way, or goes on with what has been sent of them.
    async fn long(
        &self,
        commands: &[&Cmd],
        pipeline: Option<&Pipeline>,
        sent: Option<Vec<Sent>>,
        deadline: Option<Instant>,
    ) -> RedisResult<Answers> {
        let pieces = self.pieces(commands.iter().copied())?;
        match sent {
            Some(sent) => {
                let answers = Answers::new(pieces.len());
                Ok(self.resume(pieces, answers, sent, deadline).await)
            }
            None => self.batch(pieces, pipeline, deadline).await,
        }
    }

    fn pieces<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Cmd>,
    ) -> RedisResult<Vec<Piece<'a>>> {
        let numbered = commands.into_iter().enumerate();
        numbered
            .map(|(position, cmd)| self.piece(position, cmd))
            .collect()
    }

    fn piece<'a>(&self, position: usize, cmd: &'a Cmd) -> RedisResult<Piece<'a>> {
        let routed = self.route(cmd);
        let routed = routed.map_err(|refusal| self.refused(refusal, cmd))?;
        Ok(Piece::whole(position, cmd, routed))
    }

    fn route(&self, cmd: &Cmd) -> Result<Routed, Refusal> {
        match self.sharded {
            false => route::route_alone(&self.commands, cmd),
            true => route::route(&self.commands, cmd),
        }
    }

    fn refused(&self, refusal: Refusal, cmd: &Cmd) -> RedisError {
        match (refusal, self.sharded) {
            (Refusal::Empty, _) => error::empty(),
            (_, true) => error::refused(refusal.reason(), cmd),
            (_, false) => error::refused(refusal.reason_alone(), cmd),
        }
    }

    /// When a request that begins now has to end.
    fn deadline(&self) -> RedisResult<Option<Instant>> {
        // Timers and connections need one.
        if Handle::try_current().is_err() {
            return Err(error::no_runtime());
        }
        let now = tokio::time::Instant::now().into_std();
        let timeout = self.settings.request_timeout;
        Ok(timeout.and_then(|timeout| now.checked_add(timeout)))
    }

    fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Has the topology looked up, in the background and not too often.
    fn look_again(&self) {
        self.topologies.request();
    }

    fn late(&self, what: &str) -> Failure {
        let limit = self.settings.request_timeout.unwrap_or_default();
        Failure::late(format!("{what} within {limit:?} (request_timeout)"))
    }
}

fn random_slot() -> Slot {
    Slot::of(&fastrand::u32(..).to_ne_bytes())
}

/// Resolves a moment after the deadline. The parts end at the deadline themselves where they can
/// say more, as one does that still waits for a connection. Arms its timer when first polled.
async fn expiry(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until((deadline + MOMENT).into()).await,
        None => pending().await,
    }
}

const MOMENT: Duration = Duration::from_millis(2);

//! The way of every request: route, plan, lease, send, redirect, merge.
//!
//! A single command is a batch of one, and a server that stands alone is a topology with one
//! shard. The parts of a batch run side by side inside the caller's own future, each with a lease
//! of its own that it gives back on its own answers: nobody holds one node's place while waiting
//! for another's. What a part answers is kept as it comes; what is sent on becomes a part of its
//! own. Dropping the future drops all of it.

mod onward;
mod positions;
mod transaction;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::runtime::Handle;

use crate::error::{self, Failure};
use crate::plan::{self, Answers, Item, Part};
use crate::redirect::MOST_REPEATS;
use crate::refresh::Topologies;
use crate::route::{self, Route};
use crate::settings::Settings;
use crate::slot::Slot;

use onward::Target;

/// Carries requests to their nodes and answers back.
#[derive(Debug)]
pub(crate) struct Dispatch {
    topologies: Arc<Topologies>,
    /// Whether keys are spread over shards by their slots, and servers redirect.
    sharded: bool,
    settings: Settings,
}

/// What a part came back with.
struct Outcome<'a> {
    answered: Vec<(usize, Result<Value, Failure>)>,
    again: Vec<(Target, Item<'a>)>,
    repeats: u32,
}

impl Dispatch {
    pub(crate) fn new(topologies: Arc<Topologies>, settings: Settings) -> Self {
        Self {
            sharded: topologies.is_sharded(),
            topologies,
            settings,
        }
    }

    /// Runs one command.
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        let item = self.item(0, cmd)?;
        let mut values = self.batch(&[item], None).await?;
        Ok(values.pop().unwrap_or_default())
    }

    /// Runs a pipeline and gives `count` of its answers, from the one at `offset` on.
    pub(crate) async fn pipeline(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let commands = pipeline.cmd_iter().enumerate();
        let items = commands.map(|(position, cmd)| self.item(position, cmd));
        let items = items.collect::<RedisResult<Vec<_>>>()?;
        if pipeline.is_transaction() {
            return self.transaction(&items, pipeline, offset, count).await;
        }
        if items.is_empty() {
            return Err(error::empty());
        }
        let mut values = self.batch(&items, Some(pipeline)).await?;
        values.truncate(offset.saturating_add(count));
        values.drain(..offset.min(values.len()));
        Ok(values)
    }

    fn item<'a>(&self, position: usize, cmd: &'a Cmd) -> RedisResult<Item<'a>> {
        let routed = match self.sharded {
            false => route::route_alone(cmd).map_err(|refusal| (refusal, refusal.reason_alone())),
            true => route::route(cmd).map_err(|refusal| (refusal, refusal.reason())),
        };
        match routed {
            Ok(routed) => Ok(Item {
                position,
                cmd,
                routed,
            }),
            Err((route::Refusal::Empty, _)) => Err(error::empty()),
            Err((_, reason)) => Err(error::refused(reason, cmd)),
        }
    }

    async fn batch<'a>(
        &'a self,
        items: &'a [Item<'a>],
        pipeline: Option<&'a Pipeline>,
    ) -> RedisResult<Vec<Value>> {
        let deadline = self.deadline()?;
        self.answers(items, pipeline, deadline).await?.into_values()
    }

    async fn answers<'a>(
        &'a self,
        items: &'a [Item<'a>],
        pipeline: Option<&'a Pipeline>,
        deadline: Option<Instant>,
    ) -> RedisResult<Answers> {
        let mut expired = pin!(expiry(deadline));
        let first = pin!(self.topologies.current());
        let snapshot = match select(first, expired.as_mut()).await {
            Either::Left((snapshot, _)) => snapshot?,
            Either::Right(_) => return Err(self.late("the topology is not known yet").error),
        };

        let any = any_slot(items);
        let mut targets = Vec::with_capacity(items.len());
        for item in items {
            match item.routed.route {
                Route::Every => {
                    let nodes = snapshot.serving().cloned().map(Some);
                    targets.extend(nodes.map(|node| (Target::from(node), *item)));
                }
                route => targets.push((Target::from(snapshot.primary(route, any)), *item)),
            }
        }
        let parts = plan::group(targets);
        let whole = pipeline.filter(|_| parts.len() == 1);
        let mut answers = Answers::new(items.len());
        let mut running = FuturesUnordered::new();
        for part in parts {
            part.items
                .iter()
                .for_each(|item| answers.expect(item.position));
            running.push(self.part(part, whole, MOST_REPEATS, deadline));
        }
        let late = {
            let gathered = pin!(async {
                while let Some(outcome) = running.next().await {
                    for (position, answer) in outcome.answered {
                        answers.put(position, answer);
                    }
                    for part in plan::group(outcome.again) {
                        running.push(self.part(part, None, outcome.repeats, deadline));
                    }
                }
            });
            matches!(select(gathered, expired).await, Either::Right(_))
        };
        if late {
            self.fill(items, any, &mut answers);
        }
        Ok(answers)
    }

    /// Runs items that go to one target. `whole` is the pipeline that they are, whole and in order.
    async fn part<'a>(
        &self,
        part: Part<'a, Target>,
        whole: Option<&Pipeline>,
        repeats: u32,
        deadline: Option<Instant>,
    ) -> Outcome<'a> {
        let mut outcome = Outcome {
            answered: Vec::with_capacity(part.items.len()),
            again: Vec::new(),
            repeats: repeats.saturating_sub(1),
        };
        let items = part.items;
        let Target::Node { node, asking } = &part.target else {
            self.find_owners(items, &mut outcome).await;
            return outcome;
        };
        let sent = match whole {
            Some(pipeline) => node.pipeline(pipeline, 0, items.len(), deadline).await,
            None => node.items(&items, *asking, deadline).await,
        };
        match sent {
            Ok(values) => {
                for (item, value) in items.into_iter().zip(values) {
                    match self.redirected(&value, node) {
                        Some(target) if repeats > 0 => outcome.again.push((target, item)),
                        _ => outcome.answered.push((item.position, Ok(value))),
                    }
                }
            }
            Err(failure) => {
                self.suspect(&failure, node);
                for item in items {
                    match self.another_try(&failure, &item, &part.target) {
                        Some(target) if repeats > 0 => outcome.again.push((target, item)),
                        _ => outcome.answered.push((item.position, Err(failure.clone()))),
                    }
                }
            }
        }
        outcome
    }

    /// Sends items whose slots nobody serves to whoever does so after the next refresh.
    async fn find_owners<'a>(&self, items: Vec<Item<'a>>, outcome: &mut Outcome<'a>) {
        let snapshot = self.topologies.after_refresh().await;
        for item in items {
            let owner = snapshot.as_ref().ok();
            let owner = owner.and_then(|known| known.primary(item.routed.route, random_slot()));
            match owner {
                Some(node) => outcome.again.push((
                    Target::Node {
                        node,
                        asking: false,
                    },
                    item,
                )),
                None => outcome
                    .answered
                    .push((item.position, Err(Failure::unserved()))),
            }
        }
    }

    /// Answers what has no answer at the deadline.
    fn fill(&self, items: &[Item<'_>], any: Slot, answers: &mut Answers) {
        let snapshot = self.topologies.known();
        for item in items {
            answers.fill(item.position, || {
                let node = snapshot
                    .as_ref()
                    .and_then(|known| known.primary(item.routed.route, any));
                match node {
                    Some(node) => {
                        self.look_again();
                        self.late(&format!("no answer from {}", node.addr()))
                    }
                    None => Failure::unserved(),
                }
            });
        }
    }

    fn deadline(&self) -> RedisResult<Option<Instant>> {
        // Timers and connections need one.
        if Handle::try_current().is_err() {
            return Err(error::no_runtime());
        }
        let now = tokio::time::Instant::now().into_std();
        let timeout = self.settings.request_timeout;
        Ok(timeout.and_then(|timeout| now.checked_add(timeout)))
    }

    fn late(&self, what: &str) -> Failure {
        let limit = self.settings.request_timeout.unwrap_or_default();
        Failure::late(format!("{what} within {limit:?} (request_timeout)"))
    }
}

/// Says where commands go that any node may serve: where the batch goes anyway, else anywhere.
fn any_slot(items: &[Item<'_>]) -> Slot {
    let keyed = items.iter().find_map(|item| match item.routed.route {
        Route::Slot(slot) => Some(slot),
        Route::Any | Route::Every => None,
    });
    keyed.unwrap_or_else(random_slot)
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

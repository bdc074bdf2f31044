//! The way of every request: route, plan, lease, send, redirect, merge.
//!
//! A single command is a batch of one, and a server that stands alone is a topology with one
//! shard. The parts of a batch run side by side inside the caller's own future, each with a lease
//! of its own that it gives back on its own answers: nobody holds one node's place while waiting
//! for another's. Dropping the future drops all of it.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures_util::future::{BoxFuture, Either, join_all, select};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};

use crate::error::{self, Failure, FailureKind};
use crate::nodes::Node;
use crate::plan::{self, Answers, Item};
use crate::redirect::{self, MOST_REPEATS, Redirect};
use crate::refresh::{Snapshot, Topologies};
use crate::route::{self, Route};
use crate::settings::Settings;
use crate::topology::Topology;

/// Carries requests to their nodes and answers back.
#[derive(Debug)]
pub(crate) struct Dispatch {
    servers: Servers,
    settings: Settings,
}

#[derive(Debug)]
enum Servers {
    Alone(Arc<Snapshot>),
    Cluster(Arc<Topologies>),
}

/// Where items go together.
struct Target {
    node: Arc<Node>,
    asking: bool,
}

type Answered = Vec<(usize, Result<Value, Failure>)>;

impl Dispatch {
    /// For one server.
    pub(crate) fn alone(node: Node, settings: Settings) -> Self {
        let snapshot = Snapshot {
            topology: Topology::single(node.addr().clone()),
            primaries: vec![Arc::new(node)],
        };
        Self {
            servers: Servers::Alone(Arc::new(snapshot)),
            settings,
        }
    }

    pub(crate) const fn cluster(topologies: Arc<Topologies>, settings: Settings) -> Self {
        Self {
            servers: Servers::Cluster(topologies),
            settings,
        }
    }

    /// Runs one command.
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        let item = self.item(0, cmd)?;
        let mut values = self.batch(&[item]).await?;
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
        let mut values = self.batch(&items).await?;
        values.truncate(offset.saturating_add(count));
        values.drain(..offset.min(values.len()));
        Ok(values)
    }

    fn item<'a>(&self, position: usize, cmd: &'a Cmd) -> RedisResult<Item<'a>> {
        let routed = match self.servers {
            Servers::Alone(_) => route::route_alone(cmd),
            Servers::Cluster(_) => route::route(cmd),
        };
        Ok(Item {
            position,
            cmd,
            routed: routed.map_err(|refusal| error::refused(refusal.reason(), cmd))?,
        })
    }

    async fn batch(&self, items: &[Item<'_>]) -> RedisResult<Vec<Value>> {
        let deadline = self.deadline();
        let mut expired = pin!(expiry(deadline));
        let snapshot = pin!(self.snapshot(items));
        let snapshot = match select(snapshot, expired.as_mut()).await {
            Either::Left((snapshot, _)) => snapshot?,
            Either::Right(_) => return Err(self.late("the topology is not known yet").error),
        };

        let any = any_shard(items, &snapshot.topology);
        let shard = |item: &Item<'_>| plan::shard_for(item.routed.route, &snapshot.topology, any);
        let mut answers = Answers::new(items.len());
        let mut running = Vec::new();
        for part in plan::group(items.iter().map(|item| (shard(item), *item))) {
            let Some(shard) = part.target else {
                let unserved = Failure::unserved();
                part.items
                    .iter()
                    .for_each(|item| answers.fill(item.position, &unserved));
                continue;
            };
            let target = Target {
                node: Arc::clone(&snapshot.primaries[shard]),
                asking: false,
            };
            running.push(self.part(target, part.items, MOST_REPEATS, deadline));
        }

        let late = {
            let gathered = pin!(gather(running, &mut answers));
            matches!(select(gathered, expired).await, Either::Right(_))
        };
        if late {
            for item in items {
                let Some(shard) = shard(item) else { continue };
                let node = snapshot.primaries[shard].addr();
                answers.fill(item.position, &self.late(&format!("no answer from {node}")));
            }
        }
        answers.into_values()
    }

    /// Runs items at one node, and at others what it sends on.
    fn part<'a>(
        &'a self,
        target: Target,
        items: Vec<Item<'a>>,
        repeats: u32,
        deadline: Option<Instant>,
    ) -> BoxFuture<'a, Answered> {
        Box::pin(async move {
            let mut answered = Vec::with_capacity(items.len());
            let mut again = Vec::new();
            let sent = target.node.items(&items, target.asking, deadline);
            match sent.await {
                Ok(values) => {
                    for (item, value) in items.into_iter().zip(values) {
                        match self.redirected(&value, &target.node) {
                            Some(target) if repeats > 0 => again.push((target, item)),
                            _ => answered.push((item.position, Ok(value))),
                        }
                    }
                }
                Err(failure) => {
                    self.suspect(&failure);
                    let lost = failure.kind == FailureKind::ConnectionLost;
                    for item in items {
                        if lost && item.routed.repeatable && repeats > 0 {
                            again.push((target.clone(), item));
                        } else {
                            answered.push((item.position, Err(failure.clone())));
                        }
                    }
                }
            }
            let again = plan::group(again).into_iter();
            let again = again.map(|part| self.part(part.target, part.items, repeats - 1, deadline));
            answered.extend(join_all(again).await.into_iter().flatten());
            answered
        })
    }

    /// Runs a transaction, which is never split.
    async fn transaction(
        &self,
        items: &[Item<'_>],
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let slot = match self.servers {
            Servers::Alone(_) => None,
            Servers::Cluster(_) => plan::common_slot(items).map_err(|_| error::cross_slot())?,
        };
        let route = slot.map_or(Route::Any, Route::Slot);
        let deadline = self.deadline();
        let expired = pin!(expiry(deadline));
        let run = pin!(async {
            let snapshot = self.snapshot(items).await?;
            let shard = plan::shard_for(
                route,
                &snapshot.topology,
                any_shard(items, &snapshot.topology),
            );
            let shard = shard.ok_or_else(|| Failure::unserved().error)?;
            let mut node = Arc::clone(&snapshot.primaries[shard]);
            let mut repeats = MOST_REPEATS;
            loop {
                match node.pipeline(pipeline, offset, count, deadline).await {
                    Ok(values) => return Ok(values),
                    Err(failure) => match self.moved_whole(&failure.error, &node) {
                        Some(owner) if repeats > 0 => (node, repeats) = (owner, repeats - 1),
                        _ => {
                            self.suspect(&failure);
                            return Err(failure.error);
                        }
                    },
                }
            }
        });
        match select(run, expired).await {
            Either::Left((values, _)) => values,
            Either::Right(_) => Err(self.late("no answer to the transaction").error),
        }
    }

    /// The topology that these items are sent by: the current one, or the next where that knows no
    /// owner for one of them.
    async fn snapshot(&self, items: &[Item<'_>]) -> RedisResult<Arc<Snapshot>> {
        let topologies = match &self.servers {
            Servers::Alone(snapshot) => return Ok(Arc::clone(snapshot)),
            Servers::Cluster(topologies) => topologies,
        };
        let snapshot = topologies.current().await?;
        let served = |item: &Item<'_>| plan::shard_for(item.routed.route, &snapshot.topology, 0);
        if items.iter().all(|item| served(item).is_some()) {
            return Ok(snapshot);
        }
        topologies.after_refresh().await
    }

    /// Where a redirect sends a command.
    fn redirected(&self, value: &Value, asked: &Node) -> Option<Target> {
        let Servers::Cluster(topologies) = &self.servers else {
            return None;
        };
        match redirect::of_value(value, asked.addr())? {
            Redirect::Moved(slot, addr) => {
                topologies.moved(slot, &addr);
                let node = topologies.nodes.at(&addr).ok()?;
                Some(Target {
                    node,
                    asking: false,
                })
            }
            Redirect::Ask(addr) => {
                let node = topologies.nodes.at(&addr).ok()?;
                Some(Target { node, asking: true })
            }
        }
    }

    /// Where a transaction has to go that was refused as a whole: a command in it has moved, so
    /// none has run.
    fn moved_whole(&self, error: &RedisError, asked: &Node) -> Option<Arc<Node>> {
        let Servers::Cluster(topologies) = &self.servers else {
            return None;
        };
        let refused = error.clone().into_server_errors()?;
        refused.iter().find_map(
            |(_, error)| match redirect::of_error(error, asked.addr())? {
                Redirect::Moved(slot, addr) => {
                    topologies.moved(slot, &addr);
                    topologies.nodes.at(&addr).ok()
                }
                Redirect::Ask(_) => None,
            },
        )
    }

    /// A node that could not be reached or hung up may have been replaced. One that is only busy or
    /// slow has not.
    fn suspect(&self, failure: &Failure) {
        let gone = matches!(
            failure.kind,
            FailureKind::NoConnection | FailureKind::ConnectionLost
        );
        if let Servers::Cluster(topologies) = &self.servers
            && gone
        {
            topologies.request();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let now = tokio::time::Instant::now().into_std();
        now.checked_add(self.settings.request_timeout?)
    }

    fn late(&self, what: &str) -> Failure {
        let limit = self.settings.request_timeout.unwrap_or_default();
        Failure::late(format!("{what} within {limit:?} (request_timeout)"))
    }
}

impl Clone for Target {
    fn clone(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
            asking: self.asking,
        }
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node) && self.asking == other.asking
    }
}

/// The shard for commands that any may serve: one that the batch goes to anyway, else any.
fn any_shard(items: &[Item<'_>], topology: &Topology) -> usize {
    let keyed = items.iter().find_map(|item| match item.routed.route {
        Route::Slot(slot) => topology.shard_of(slot),
        Route::Any => None,
    });
    keyed.unwrap_or_else(|| rand::random_range(0..topology.shards().len().max(1)))
}

/// Runs parts side by side. What they answer is kept when this is dropped before the last is done.
async fn gather(mut running: Vec<BoxFuture<'_, Answered>>, answers: &mut Answers) {
    poll_fn(|cx| {
        running.retain_mut(|part| match part.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(answered) => {
                for (position, answer) in answered {
                    answers.put(position, answer);
                }
                false
            }
        });
        match running.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Resolves at the deadline. Arms its timer when it is first polled.
async fn expiry(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

//! The short way of a request all of whose commands have one key, or stand for one server.
//!
//! Each shard's commands are written into a connection of its node as soon as there is room on one, and
//! the caller is woken when all have been answered. Nothing is kept of them but their positions: if any answer is not
//! what was asked for, the request goes on the long way ([`batch`](super::batch)) with what it has.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use redis::{Cmd, Value};
use smallvec::SmallVec;
use wait_pool::Lease;

use super::Dispatch;
use super::batch::Sent;
use crate::connector::Connector;
use crate::error::{Failure, Lost};
use crate::plan::{self, ByShard};
use crate::refresh::Snapshot;
use crate::route::Route;
use crate::slot::Slot;
use crate::wire::{self, Call, Calling, Ended};

/// What came of the short way.
pub(super) enum Short {
    /// It is not for this request.
    Unfit,
    /// All answers are there.
    Done(Vec<Value>),
    /// The rest is for the long way.
    Begun(Vec<Sent>),
}

/// The commands of a request, by their positions.
pub(super) trait Errand: Sync {
    fn count(&self) -> usize;

    /// The shard that a command is for, if it only has to be sent there.
    fn shard(&self, position: usize, snapshot: &Snapshot) -> Option<usize>;

    fn write(&self, position: usize, bytes: &mut Vec<u8>);
}

/// Commands as they were given.
pub(super) struct Given<'a> {
    pub(super) dispatch: &'a Dispatch,
    pub(super) commands: &'a [&'a Cmd],
}

impl Errand for Given<'_> {
    fn count(&self) -> usize {
        self.commands.len()
    }

    fn shard(&self, position: usize, snapshot: &Snapshot) -> Option<usize> {
        self.dispatch.shard(self.commands[position], snapshot)
    }

    fn write(&self, position: usize, bytes: &mut Vec<u8>) {
        wire::write(bytes, self.commands[position]);
    }
}

type Leasing<'a> = Pin<Box<dyn Future<Output = Result<Lease<Connector>, Failure>> + Send + 'a>>;

impl Dispatch {
    /// Runs commands the short way, if it is one for all of them.
    pub(super) async fn short(&self, errand: &impl Errand, deadline: Option<Instant>) -> Short {
        let Some(snapshot) = self.topologies.current_now() else {
            return Short::Unfit;
        };
        let Some(plan) = self.plan(errand, &snapshot) else {
            return Short::Unfit;
        };
        let places = plan.parts.iter().map(|(_, places)| places.clone());
        let request = Request {
            call: Call::begin(plan.order.clone(), places),
            plan: &plan,
            errand,
            deadline,
            snapshot: &snapshot,
        };
        let mut leasing = self.begin(&request);
        let mut refused = Vec::new();
        // Who is late is told: by the pool for want of a connection, by the connection for want of an answer.
        poll_fn(|cx| {
            request.lease(&mut leasing, &mut refused, cx);
            request.call.poll(cx)
        })
        .await;
        match request.call.take() {
            Some(values) => Short::Done(values),
            None => Short::Begun(request.into_sent(refused)),
        }
    }

    /// Where commands go, if they only have to be sent there.
    fn plan(&self, errand: &impl Errand, snapshot: &Snapshot) -> Option<ByShard> {
        if self.settings.read_from.asks_replicas() {
            return None;
        }
        let shards = (0..errand.count()).map(|position| errand.shard(position, snapshot));
        let plan = plan::by_shard(shards)?;
        let wired = |(shard, _): &(usize, _)| snapshot.primaries[*shard].is_wired();
        plan.parts.iter().all(wired).then_some(plan)
    }

    /// The shard that a key is for.
    pub(super) fn shard_of(&self, key: &[u8], snapshot: &Snapshot) -> Option<usize> {
        match self.sharded {
            true => snapshot.topology.shard_of(Slot::of(key)),
            false => Some(0),
        }
    }

    /// The shard that a command is for, if it only has to be sent there.
    fn shard(&self, cmd: &Cmd, snapshot: &Snapshot) -> Option<usize> {
        if let Some(key) = self.commands.plain_key(cmd) {
            return self.shard_of(key, snapshot);
        }
        let routed = self.route(cmd).ok()?;
        let is_whole = |range| plan::cut(cmd, range).is_none();
        if routed.scripts.is_some() || !routed.split.is_none_or(is_whole) {
            return None;
        }
        match routed.route {
            Route::Slot(slot) => snapshot.topology.shard_of(slot),
            Route::Any if !self.sharded => Some(0),
            _ => None,
        }
    }

    /// Sends what can be sent at once, and asks for room for the rest.
    fn begin<'s, E: Errand>(&self, request: &Request<'s, E>) -> SmallVec<[(u32, Leasing<'s>); 0]> {
        let mut leasing = SmallVec::new();
        for (part, (shard, _)) in (0..).zip(&request.plan.parts) {
            let node = &request.snapshot.primaries[*shard];
            // Whoever is to be asked before a connection is used is asked on the other way only.
            let free = match self.settings.hooks.are_before_use() {
                true => None,
                false => node.try_lease(),
            };
            match free {
                Some(lease) => request.send(part, lease),
                None => {
                    let lease: Leasing<'s> = Box::pin(node.lease(request.deadline));
                    leasing.push((part, lease));
                }
            }
        }
        leasing
    }
}

/// A request on its short way.
struct Request<'a, E> {
    call: Calling<Lease<Connector>>,
    plan: &'a ByShard,
    errand: &'a E,
    deadline: Option<Instant>,
    snapshot: &'a Snapshot,
}

impl<E: Errand> Request<'_, E> {
    fn positions(&self, part: usize) -> impl Iterator<Item = usize> {
        let (_, places) = &self.plan.parts[part];
        let order = &self.plan.order[places.clone()];
        order.iter().map(|&position| position as usize)
    }

    fn send(&self, part: u32, lease: Lease<Connector>) {
        let write = |bytes: &mut Vec<u8>| {
            for position in self.positions(part as usize) {
                self.errand.write(position, bytes);
            }
        };
        if let Some(wire) = lease.wire() {
            let (_, places) = &self.plan.parts[part as usize];
            self.call
                .send(part, places.len() as u32, wire, self.deadline, write);
        }
        self.call.hold(part, lease);
    }

    /// Sends what there is room for by now.
    fn lease(
        &self,
        leasing: &mut SmallVec<[(u32, Leasing<'_>); 0]>,
        refused: &mut Vec<(u32, Failure)>,
        cx: &mut Context<'_>,
    ) {
        leasing.retain(|(part, lease)| match lease.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(lease)) => {
                self.send(*part, lease);
                false
            }
            Poll::Ready(Err(failure)) => {
                let lost = Lost {
                    error: failure.error.clone(),
                    sent: false,
                };
                self.call.lose(*part, lost);
                refused.push((*part, failure));
                false
            }
        });
    }

    /// What each part brought back.
    fn into_sent(self, mut refused: Vec<(u32, Failure)>) -> Vec<Sent> {
        let (mut values, ended) = self.call.give_up();
        let mut sent = Vec::with_capacity(ended.len());
        for (part, ended) in ended.into_iter().enumerate() {
            let (shard, places) = &self.plan.parts[part];
            let order = &self.plan.order[places.clone()];
            let positions: Vec<_> = order.iter().map(|&position| position as usize).collect();
            let refusal = refused.iter().position(|(of, _)| *of as usize == part);
            let outcome = match (refusal, ended) {
                (Some(refusal), _) => Some(Err(refused.swap_remove(refusal).1)),
                (None, Ended::Lost(lost)) => Some(Err(Failure::lost(lost))),
                (None, Ended::Answered) => {
                    let value = |&position: &usize| std::mem::take(&mut values[position]);
                    Some(Ok(positions.iter().map(value).collect()))
                }
                (None, Ended::Late) => None,
            };
            sent.push(Sent {
                node: self.snapshot.primaries[*shard].clone(),
                pieces: positions,
                outcome,
            });
        }
        sent
    }
}

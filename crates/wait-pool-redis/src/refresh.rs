//! The current topology, and the one task that fetches a newer one.
//!
//! Requests read the topology without a lock and never wait for a newer one, unless they cannot
//! be routed at all. At most one refresh is under way, and they begin at least
//! [`MIN_INTERVAL`] apart, however many requests ask. A refresh has connections of its own, which end
//! with it: it needs no place in any pool, and leaves nothing open while nobody asks. Whom it asks is the [`Source`]'s business.

mod ask;
mod check;
mod cluster;
mod pace;
mod sentinels;
mod snapshot;
mod source;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::{RedisError, RedisResult};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error;
use crate::event::TopologyEvent;
use crate::node::NodeAddr;
use crate::nodes::Nodes;
use crate::slot::Slot;
use crate::topology::{Change, Topology};

pub(crate) use cluster::Cluster;
pub(crate) use sentinels::Sentinels;
pub(crate) use snapshot::Snapshot;
pub(crate) use source::{Search, Source, Told};

use check::Check;
use pace::{MIN_INTERVAL, Pace};

pub(crate) struct Topologies {
    pub(crate) nodes: Arc<Nodes>,
    source: Source,
    current: ArcSwapOption<Snapshot>,
    /// Held while a newer one takes the place of the current one, and no user's code runs.
    replacing: Mutex<()>,
    check: Check,
    flight: Mutex<Flight>,
    landed: watch::Sender<Landing>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Flight {
    under_way: bool,
    pace: Pace,
}

#[derive(Debug)]
struct Landing {
    count: u64,
    /// How the last flight ended, if badly.
    error: Option<RedisError>,
}

impl Topologies {
    /// Nothing is known until the first request asks.
    pub(crate) fn new(nodes: Nodes, source: Source) -> Self {
        let (landed, _) = watch::channel(Landing {
            count: 0,
            error: None,
        });
        Self {
            nodes: Arc::new(nodes),
            source,
            current: ArcSwapOption::empty(),
            replacing: Mutex::new(()),
            check: Check::default(),
            flight: Mutex::default(),
            landed,
            closed: AtomicBool::new(false),
        }
    }

    /// One server, for ever. `nodes` has it.
    ///
    /// # Errors
    ///
    /// None if it has.
    pub(crate) fn fixed(nodes: Nodes, server: NodeAddr) -> RedisResult<Self> {
        let topologies = Self::new(nodes, Source::Fixed);
        let snapshot = topologies.snapshot(Topology::single(server, Vec::new()))?;
        topologies.current.store(Some(Arc::new(snapshot)));
        Ok(topologies)
    }

    /// Whether keys are spread over several shards by their slots, and servers redirect.
    pub(crate) const fn is_sharded(&self) -> bool {
        self.source.is_sharded()
    }

    /// Whether there is anything to look up.
    pub(crate) const fn may_change(&self) -> bool {
        self.source.may_change()
    }

    /// The current topology; the first caller has it fetched and waits for it.
    ///
    /// # Errors
    ///
    /// That of the flight, if nothing is known and none of the startup nodes tells.
    pub(crate) async fn current(self: &Arc<Self>) -> RedisResult<Arc<Snapshot>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(error::closed());
        }
        match self.current_now() {
            Some(snapshot) => Ok(snapshot),
            None => self.after_refresh().await,
        }
    }

    /// The current topology, if there is one yet, for a request that is about to go by it.
    pub(crate) fn current_now(self: &Arc<Self>) -> Option<Arc<Snapshot>> {
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        let snapshot = self.current.load_full()?;
        self.check.note(self);
        Some(snapshot)
    }

    /// The current topology, if there is one yet.
    pub(crate) fn known(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// The topology after the next refresh to end. For requests that cannot be routed.
    ///
    /// # Errors
    ///
    /// That of the flight, if nothing was known before either.
    pub(crate) async fn after_refresh(self: &Arc<Self>) -> RedisResult<Arc<Snapshot>> {
        if let (false, Some(fixed)) = (self.source.may_change(), self.known()) {
            return Ok(fixed);
        }
        let mut landed = self.landed.subscribe();
        // After the subscription, so that a close in between is not missed.
        if self.is_closed() {
            return Err(error::closed());
        }
        self.request();
        // The sender is part of `self`, so it cannot be gone.
        let _ = landed.changed().await;
        match (self.current.load_full(), &landed.borrow().error) {
            (Some(snapshot), _) => Ok(snapshot),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(error::closed()),
        }
    }

    /// Has a newer topology fetched in the background, unless that is under way already.
    pub(crate) fn request(self: &Arc<Self>) {
        if !self.source.may_change() {
            return;
        }
        let mut flight = self.flight.lock();
        if flight.under_way || self.closed.load(Ordering::Relaxed) {
            return;
        }
        flight.under_way = true;
        let due = flight.pace.due();
        drop(flight);
        let mut landed = Landed {
            topologies: Arc::clone(self),
            outcome: Err(error::cut_short()),
        };
        let fly = async move {
            if let Some(due) = due {
                let jitter = MIN_INTERVAL.mul_f64(0.5 * fastrand::f64());
                tokio::time::sleep_until((due + jitter).into()).await;
            }
            landed.outcome = landed.topologies.refresh().await;
            landed.topologies.source.follow(&landed.topologies);
            drop(landed);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(fly)),
            Err(_) => drop(fly),
        }
    }

    /// A server said who owns a slot: remember it, and have the rest looked up. Of many that say
    /// the same, as when slots are moved under load, all but the first change nothing.
    pub(crate) fn moved(self: &Arc<Self>, slot: Slot, addr: &NodeAddr) {
        if self.patch(slot, addr) {
            self.tell(&TopologyEvent::Moved { slot, to: addr });
            self.request();
        }
    }

    fn patch(&self, slot: Slot, addr: &NodeAddr) -> bool {
        let is_known = |known: &Snapshot| known.topology.owner(slot) == Some(addr);
        if self.current.load().as_deref().is_some_and(is_known) {
            return false;
        }
        // Made before the lock is taken, if it is new.
        if self.nodes.at(addr).is_err() {
            return false;
        }
        let replacing = self.replacing.lock();
        let Some(current) = self.known() else {
            return false;
        };
        // Somebody else was told the same and came first.
        if is_known(&current) {
            return false;
        }
        let patched = current.patched(slot, addr).map(Arc::new);
        let done = patched.is_ok();
        if let Ok(patched) = patched {
            self.current.store(Some(patched));
        }
        drop(replacing);
        done
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.nodes.close();
        self.source.close();
        self.landed.send_modify(|landing| landing.count += 1);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn snapshot(&self, topology: Topology) -> RedisResult<Snapshot> {
        Snapshot::new(topology, Arc::clone(&self.nodes))
    }

    async fn refresh(&self) -> RedisResult<()> {
        let begun = now();
        self.flight.lock().pace.begins(begun);
        let search = Search {
            nodes: &self.nodes,
            known: self.known(),
            asked: AtomicU32::new(0),
        };
        let told = self.source.fetch(&search).await;
        let asked = search.asked.into_inner();
        self.flight.lock().pace.asked(asked);
        let took = now().duration_since(begun);
        match told {
            Ok(Told { topology, told_by }) => {
                self.replace(topology)?;
                let told_by = &told_by;
                self.tell(&TopologyEvent::Refreshed { told_by, took });
                Ok(())
            }
            Err(error) => {
                let failed = &error;
                self.tell(&TopologyEvent::RefreshFailed {
                    error: failed,
                    took,
                });
                Err(error)
            }
        }
    }

    fn replace(&self, topology: Topology) -> RedisResult<()> {
        let before = self.known();
        if before.is_some_and(|known| *known.topology == topology) {
            return Ok(());
        }
        let snapshot = Arc::new(self.snapshot(topology)?);
        let replacing = self.replacing.lock();
        let before = self.current.swap(Some(Arc::clone(&snapshot)));
        drop(replacing);
        if let Some(before) = &before {
            self.source.leave(before, &snapshot);
        }
        self.nodes.retain(&snapshot.topology);
        if !self.nodes.settings().finding.audience.is_empty() {
            let before = before.as_ref().map(|before| &*before.topology);
            let change = Change::between(before, &snapshot.topology);
            if !change.is_nothing() {
                self.tell(&TopologyEvent::Changed {
                    added: &change.added,
                    removed: &change.removed,
                    slots: change.slots,
                });
            }
        }
        Ok(())
    }

    fn tell(&self, event: &TopologyEvent<'_>) {
        self.nodes.settings().tell(event);
    }
}

/// A flight. However it ends, those who wait for it hear of it and the next one may begin.
struct Landed {
    topologies: Arc<Topologies>,
    outcome: RedisResult<()>,
}

impl Drop for Landed {
    fn drop(&mut self) {
        self.topologies.flight.lock().under_way = false;
        self.topologies.landed.send_modify(|landing| {
            landing.count += 1;
            landing.error = self.outcome.as_ref().err().cloned();
        });
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for Topologies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topologies")
            .field("nodes", &self.nodes)
            .field(
                "current",
                &self
                    .current
                    .load()
                    .as_ref()
                    .map(|current| &current.topology),
            )
            .finish_non_exhaustive()
    }
}

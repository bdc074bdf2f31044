//! The current topology, and the one task that fetches a newer one.
//!
//! Requests read the topology without a lock and never wait for a newer one, unless they cannot
//! be routed at all. At most one refresh is under way, and they begin at least
//! [`MIN_INTERVAL`] apart, however many requests ask. A refresh has a connection of its own and
//! needs no place in any pool.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use redis::{ConnectionInfo, ErrorKind, RedisError, RedisResult};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::connector::Connector;
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::route::Route;
use crate::slot::Slot;
use crate::topology::Topology;

/// Between the beginnings of two refreshes; up to half as much again is added by chance, so that
/// many clients do not ask at once.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// How long a node may take to tell the topology before the next is asked as well.
const PATIENCE: Duration = Duration::from_millis(250);

/// A topology and the nodes that lead its shards.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) topology: Topology,
    /// By the index of their shard.
    pub(crate) primaries: Vec<Arc<Node>>,
}

impl Snapshot {
    /// The primary that serves a route. One that any serves goes to the owner of the slot `any`, or
    /// to the next that is known to answer.
    pub(crate) fn primary(&self, route: Route, any: Slot) -> Option<Arc<Node>> {
        let shard = match route {
            Route::Slot(slot) => self.topology.shard_of(slot)?,
            Route::Any | Route::Every => {
                let answers = |shard: usize| self.primaries[shard].is_connected();
                let known = self.topology.owner_from(any, answers);
                known.or_else(|| self.topology.owner_from(any, |_| true))?
            }
        };
        Some(Arc::clone(&self.primaries[shard]))
    }

    /// The primaries that serve slots.
    pub(crate) fn serving(&self) -> impl Iterator<Item = &Arc<Node>> {
        let serves = |shard: &usize| self.topology.serves(*shard);
        (0..self.primaries.len())
            .filter(serves)
            .map(|shard| &self.primaries[shard])
    }

    /// Another primary that serves slots.
    pub(crate) fn other_than(&self, tried: &Node, any: Slot) -> Option<Arc<Node>> {
        let others = |shard: usize| self.primaries[shard].addr() != tried.addr();
        let shard = self.topology.owner_from(any, others)?;
        Some(Arc::clone(&self.primaries[shard]))
    }
}

pub(crate) struct Topologies {
    pub(crate) nodes: Nodes,
    /// Asked when nobody else answers, and never forgotten.
    startup: Vec<(NodeAddr, ConnectionInfo)>,
    current: ArcSwapOption<Snapshot>,
    flight: Mutex<Flight>,
    landed: watch::Sender<Landing>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Flight {
    under_way: bool,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Landing {
    count: u64,
    /// How the last flight ended, if badly.
    error: Option<RedisError>,
}

impl Topologies {
    pub(crate) fn new(nodes: Nodes, startup: Vec<(NodeAddr, ConnectionInfo)>) -> Self {
        let (landed, _) = watch::channel(Landing {
            count: 0,
            error: None,
        });
        Self {
            nodes,
            startup,
            current: ArcSwapOption::empty(),
            flight: Mutex::new(Flight {
                under_way: false,
                last: None,
            }),
            landed,
            closed: AtomicBool::new(false),
        }
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
        match self.current.load_full() {
            Some(snapshot) => Ok(snapshot),
            None => self.after_refresh().await,
        }
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
        let mut flight = self.flight.lock();
        if flight.under_way || self.closed.load(Ordering::Relaxed) {
            return;
        }
        flight.under_way = true;
        let due = flight.last.map(|last| last + MIN_INTERVAL);
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
            landed.topologies.flight.lock().last = Some(now());
            landed.outcome = landed.topologies.fetch().await;
            drop(landed);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(fly)),
            Err(_) => drop(fly),
        }
    }

    /// A server said who owns a slot: remember it, and have the rest looked up.
    pub(crate) fn moved(self: &Arc<Self>, slot: Slot, addr: &NodeAddr) {
        self.current.rcu(|current| {
            let snapshot = current.as_ref()?;
            let owner = snapshot.topology.shard_of(slot);
            if owner.is_some_and(|shard| snapshot.topology.primary(shard) == addr) {
                return Some(Arc::clone(snapshot));
            }
            let patched = self.snapshot(snapshot.topology.with_owner(slot, addr));
            Some(patched.map_or_else(|_| Arc::clone(snapshot), Arc::new))
        });
        self.request();
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.nodes.close();
        self.landed.send_modify(|landing| landing.count += 1);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn snapshot(&self, topology: Topology) -> RedisResult<Snapshot> {
        let leads = topology.shards().iter().map(|shard| &shard.primary);
        let primaries = leads
            .map(|addr| self.nodes.at(addr))
            .collect::<Result<_, _>>()?;
        Ok(Snapshot {
            topology,
            primaries,
        })
    }

    /// Asks the nodes until one tells of as many slots as are known to be served, and else takes
    /// what tells of the most. A node that has been reset, or that has yet to join, tells of none.
    ///
    /// The next node is asked when one has answered in vain or keeps silent for [`PATIENCE`].
    async fn fetch(&self) -> RedisResult<()> {
        let known = self.known().map_or(0, |known| known.topology.coverage());
        let mut best: Option<Topology> = None;
        let mut last_error = None;
        let mut candidates = self.candidates().into_iter();
        let mut asked = FuturesUnordered::new();
        loop {
            match candidates.next() {
                Some((addr, info)) => asked.push(self.ask(addr, info)),
                None if asked.is_empty() => break,
                None => {}
            }
            let told = match candidates.len() {
                0 => asked.next().await,
                _ => match tokio::time::timeout(PATIENCE, asked.next()).await {
                    Ok(told) => told,
                    Err(_) => continue,
                },
            };
            match told {
                Some(Ok(topology)) if topology.coverage() >= known.max(1) => {
                    return self.replace(topology);
                }
                Some(Ok(topology)) => {
                    let better = best.as_ref().map_or(0, Topology::coverage) < topology.coverage();
                    if better {
                        best = Some(topology);
                    }
                }
                Some(Err(error)) => last_error = Some(error),
                None => {}
            }
        }
        match (best, last_error) {
            (Some(topology), _) => self.replace(topology),
            (None, Some(error)) => Err(error),
            (None, None) => Err(error::no_slots()),
        }
    }

    fn replace(&self, topology: Topology) -> RedisResult<()> {
        let snapshot = self.snapshot(topology)?;
        // Nodes that a partial picture leaves out have not left.
        if snapshot.topology.coverage() == Slot::COUNT {
            self.nodes.retain(&snapshot.topology);
        }
        self.current.store(Some(Arc::new(snapshot)));
        Ok(())
    }

    /// The known nodes in random order, and behind them the startup nodes that are not among them.
    fn candidates(&self) -> Vec<(NodeAddr, ConnectionInfo)> {
        let known = self.known();
        let mut candidates: Vec<_> = known
            .iter()
            .flat_map(|known| known.topology.nodes())
            .map(|addr| (addr.clone(), self.nodes.info(addr)))
            .collect();
        let mut startup = self.startup.clone();
        startup.retain(|(addr, _)| !candidates.iter().any(|(known, _)| known == addr));
        fastrand::shuffle(&mut candidates);
        fastrand::shuffle(&mut startup);
        candidates.extend(startup);
        candidates
    }

    /// `CLUSTER SHARDS`, or `CLUSTER SLOTS` from servers before 7.0, on a connection of its own.
    async fn ask(&self, addr: NodeAddr, info: ConnectionInfo) -> RedisResult<Topology> {
        let limit = self.nodes.settings().connect_timeout;
        let connector = Connector::apart(info, self.nodes.settings(), "topology")?;
        match tokio::time::timeout(limit, ask(&addr, connector, self.nodes.is_tls())).await {
            Ok(told) => told.map_err(|error| error::no_topology(&addr, error)),
            Err(_) => Err(error::timed_out(format!(
                "node {addr} did not tell the topology within {limit:?} (connect_timeout)"
            ))),
        }
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

async fn ask(addr: &NodeAddr, connector: Connector, tls: bool) -> RedisResult<Topology> {
    let mut connection = connector.open().await?;
    let shards = redis::cmd("CLUSTER").arg("SHARDS").take();
    let reply = connection.send_packed_command(&shards).await?;
    let topology = match reply.extract_error() {
        Ok(reply) => Topology::from_shards(&reply, addr, tls),
        Err(unknown) => {
            let slots = redis::cmd("CLUSTER").arg("SLOTS").take();
            let reply = connection.send_packed_command(&slots).await?;
            Topology::from_slots(&reply.extract_error().map_err(|_| unknown)?, addr)
        }
    };
    topology.map_err(|reason| {
        let detail = format!("node {addr}: {reason}");
        (ErrorKind::Client, "the topology is not understood", detail).into()
    })
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

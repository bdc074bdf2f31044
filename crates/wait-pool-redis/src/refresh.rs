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
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use redis::{ConnectionInfo, ErrorKind, RedisError, RedisResult};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::connector::Connector;
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::slot::Slot;
use crate::topology::Topology;

/// Between the beginnings of two refreshes; up to half as much again is added by chance, so that
/// many clients do not ask at once.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// How long one node may take to tell the topology before the next is asked.
const NODE_PATIENCE: Duration = Duration::from_secs(1);

/// A topology and the nodes that lead its shards.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) topology: Topology,
    /// By the index of their shard.
    pub(crate) primaries: Vec<Arc<Node>>,
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

    /// The topology after the next refresh to end. For requests that cannot be routed.
    ///
    /// # Errors
    ///
    /// That of the flight, if nothing was known before either.
    pub(crate) async fn after_refresh(self: &Arc<Self>) -> RedisResult<Arc<Snapshot>> {
        let mut landed = self.landed.subscribe();
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
                let jitter = MIN_INTERVAL.mul_f64(0.5 * rand::random::<f64>());
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

    /// Asks the nodes, in random order and the startup nodes last, until one tells.
    async fn fetch(&self) -> RedisResult<()> {
        let mut last_error = None;
        for (addr, info) in self.candidates() {
            let asked = ask(&addr, info, self.nodes.is_tls());
            let told = match tokio::time::timeout(NODE_PATIENCE, asked).await {
                Ok(told) => told,
                Err(_) => Err(error::timed_out(format!(
                    "node {addr} did not tell the topology within {NODE_PATIENCE:?}"
                ))),
            };
            match told.and_then(|topology| self.snapshot(topology)) {
                Ok(snapshot) => {
                    self.nodes.retain(&snapshot.topology);
                    self.current.store(Some(Arc::new(snapshot)));
                    return Ok(());
                }
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(error::closed))
    }

    fn candidates(&self) -> Vec<(NodeAddr, ConnectionInfo)> {
        let mut known: Vec<_> = match self.current.load().as_ref() {
            Some(snapshot) => snapshot.topology.nodes().cloned().collect(),
            None => Vec::new(),
        };
        known.shuffle(&mut rand::rng());
        let known = known.into_iter().map(|addr| {
            let info = self.nodes.info(&addr);
            (addr, info)
        });
        let mut startup = self.startup.clone();
        startup.shuffle(&mut rand::rng());
        known.chain(startup).collect()
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

/// `CLUSTER SHARDS`, or `CLUSTER SLOTS` from servers before 7.0.
async fn ask(addr: &NodeAddr, info: ConnectionInfo, tls: bool) -> RedisResult<Topology> {
    let mut connection = Connector::new(info)?.open().await?;
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

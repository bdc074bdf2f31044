//! The cluster, and what is done to it.

use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::RwLock;
use redis::{InfoDict, cmd};
use testbed::{Cluster, ClusterOptions, Direction, Node};
use wait_pool_redis::Slot;

use crate::client::Client;
use crate::ledger::Ledger;
use crate::script::{Fault, Step};

const MASTERS: usize = 3;

/// How many slots a reshard moves, and how many a visitor serves.
const RESHARDED: u16 = 100;
const VISITED: u16 = 20;

const SLOTS: u32 = 16_384;

/// Longer than a node is frozen or silent, so that nobody is promoted by the cluster itself and no acknowledged
/// write is lost but those of killed servers.
const NODE_TIMEOUT: Duration = Duration::from_secs(8);

/// A cluster behind proxies. Only adding and removing nodes changes it.
pub(crate) struct Stage {
    cluster: RwLock<Cluster>,
}

impl Stage {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let options = ClusterOptions::new(MASTERS, 1)
            .proxied()
            .node_timeout(NODE_TIMEOUT)
            // What a server has answered is in the hands of the system: killed, it forgets nothing.
            .setting("appendonly", "yes")
            .setting("enable-debug-command", "local");
        Ok(Self {
            cluster: RwLock::new(Cluster::start_with(options)?),
        })
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.cluster.read().urls()
    }

    /// How many connections clients have open to all nodes.
    pub(crate) fn open(&self) -> usize {
        let cluster = self.cluster.read();
        let nodes = cluster.nodes().iter();
        nodes.map(|node| cluster.proxy(node).open()).sum()
    }

    /// Does what a step says, until it is over and the cluster whole.
    pub(crate) fn perform(
        &self,
        step: Step,
        client: &impl Client,
        ledger: &Ledger,
    ) -> anyhow::Result<()> {
        if step.fault == Fault::Visitor {
            return self.visit(step.whom);
        }
        let cluster = self.cluster.read();
        let whom = step.whom as usize;
        let masters = cluster.current_masters()?;
        let master = masters[whom % masters.len()];
        let node = &cluster.nodes()[whom % cluster.nodes().len()];
        match step.fault {
            Fault::Kill => {
                let slots = slots_of(node)?;
                node.kill()?;
                ledger.forget(|key| {
                    let slot = Slot::of(key.as_bytes()).number();
                    slots.iter().any(|range| range.contains(&slot))
                });
                thread::sleep(Duration::from_millis(1_500));
                node.restart()?;
            }
            Fault::Freeze => {
                node.stop();
                thread::sleep(Duration::from_secs(3));
                node.cont();
            }
            Fault::Failover => {
                let replica = cluster.nodes().iter();
                let replicas: Vec<_> = replica
                    .filter(|node| masters.iter().all(|master| master.port() != node.port()))
                    .collect();
                cluster.failover(replicas[whom % replicas.len()])?;
            }
            Fault::Reshard => {
                let first = step.whom % (SLOTS - u32::from(RESHARDED));
                for slot in (first as u16..).take(RESHARDED.into()) {
                    move_slot(&cluster, slot, master)?;
                }
            }
            Fault::ClientKill => {
                for node in cluster.nodes() {
                    let mut kill = cmd("CLIENT");
                    kill.arg("KILL").arg("TYPE").arg("normal");
                    kill.exec(&mut node.connection()?)?;
                }
            }
            Fault::Delay => {
                let proxy = cluster.proxy(node);
                proxy.delay(Direction::ToClient, Duration::from_millis(100));
                thread::sleep(Duration::from_secs(2));
                proxy.delay(Direction::ToClient, Duration::ZERO);
            }
            Fault::CutInAnswer => cluster.proxy(master).cut_after(whom % 1_000),
            Fault::Reset => _ = cluster.proxy(node).reset(),
            Fault::Silence => {
                let proxy = cluster.proxy(node);
                proxy.silence();
                thread::sleep(Duration::from_secs(3));
                proxy.release();
            }
            Fault::MaxClients => max_clients(master)?,
            Fault::Sleep => {
                let mut sleep = cmd("DEBUG");
                sleep.arg("SLEEP").arg(1).exec(&mut node.connection()?)?;
            }
            Fault::Resize => {
                let cap = client.cap_per_node().unwrap_or(1);
                client.resize(1);
                thread::sleep(Duration::from_secs(1));
                client.resize(cap);
            }
            Fault::Visitor => {}
        }
        cluster.wait_until_ok()
    }

    /// A node joins, serves some slots for a while, and leaves.
    fn visit(&self, whom: u32) -> anyhow::Result<()> {
        let index = self.cluster.write().add_node()?;
        {
            let cluster = self.cluster.read();
            let visitor = &cluster.nodes()[index];
            let first = (whom % (SLOTS - u32::from(VISITED))) as u16;
            let slots = first..first + VISITED;
            let mut hosts = Vec::new();
            for slot in slots.clone() {
                hosts.push(cluster.slot_owner(slot)?.port());
                move_slot(&cluster, slot, visitor)?;
            }
            thread::sleep(Duration::from_secs(1));
            for (slot, port) in slots.zip(hosts) {
                let host = cluster.nodes().iter().find(|node| node.port() == port);
                move_slot(&cluster, slot, host.context("its host has gone")?)?;
            }
        }
        let (visitor, proxy) = self.cluster.write().forget_node(index)?;
        visitor.kill()?;
        drop(proxy);
        Ok(())
    }

    /// What a key holds, by its owner's word.
    pub(crate) fn number(&self, key: &str) -> anyhow::Result<i64> {
        let cluster = self.cluster.read();
        let owner = cluster.slot_owner(Slot::of(key.as_bytes()).number())?;
        let value: Option<i64> = cmd("GET").arg(key).query(&mut owner.connection()?)?;
        Ok(value.unwrap_or_default())
    }
}

/// The slots that a node serves, by its own account: the words behind the eighth of its own line.
fn slots_of(node: &Node) -> anyhow::Result<Vec<RangeInclusive<u16>>> {
    let nodes: String = cmd("CLUSTER").arg("NODES").query(&mut node.connection()?)?;
    let own = nodes.lines().find(|line| line.contains("myself"));
    let words = own
        .context("a node does not know itself")?
        .split(' ')
        .skip(8);
    let range = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    Ok(words.filter_map(range).collect())
}

/// Without waiting until everybody knows: clients are to meet those who do not.
fn move_slot(cluster: &Cluster, slot: u16, to: &Node) -> anyhow::Result<()> {
    if cluster.slot_owner(slot)?.port() == to.port() {
        return Ok(());
    }
    let migration = cluster.begin_migration(slot, to)?;
    migration.migrate_all()?;
    migration.hand_over()
}

fn max_clients(node: &Node) -> anyhow::Result<()> {
    let mut connection = node.connection()?;
    let info: InfoDict = cmd("INFO").arg("clients").query(&mut connection)?;
    let now: usize = info
        .get("connected_clients")
        .context("INFO is incomplete")?;
    let mut set = |count: usize| {
        let mut set = cmd("CONFIG");
        set.arg("SET").arg("maxclients").arg(count);
        set.exec(&mut connection)
    };
    // One for whoever looks at the cluster meanwhile.
    set(now + 1)?;
    thread::sleep(Duration::from_secs(2));
    Ok(set(10_000)?)
}

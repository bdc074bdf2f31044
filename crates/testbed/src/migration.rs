//! Slots and roles that change hands while clients look on.

use std::iter;

use anyhow::{Context as _, ensure};
use redis::{InfoDict, cmd};

use crate::cluster::Cluster;
use crate::formation;
use crate::node::Node;

/// How many keys are moved by one command.
const BATCH: usize = 100;
const MIGRATE_TIMEOUT_MILLIS: u32 = 10_000;

/// A slot on its way from one master to another, step by step. Made by
/// [`Cluster::begin_migration`].
///
/// Until [`finish`](Self::finish) the old owner serves the keys that it still has and answers `ASK`
/// for all others; the new one serves who says `ASKING`.
#[derive(Debug)]
#[must_use = "the slot stays half-way until it is finished or aborted"]
pub struct Migration<'a> {
    cluster: &'a Cluster,
    slot: u16,
    from: &'a Node,
    to: &'a Node,
}

impl Cluster {
    /// Begins to give a slot from its owner to another master: `IMPORTING` there, `MIGRATING` here.
    ///
    /// # Errors
    /// If a node does not do as it is told.
    pub fn begin_migration<'a>(&'a self, slot: u16, to: &'a Node) -> anyhow::Result<Migration<'a>> {
        let from = self.slot_owner(slot)?;
        ensure!(from.port() != to.port(), "slot {slot} is there already");
        let migration = Migration {
            cluster: self,
            slot,
            from,
            to,
        };
        migration.set(to, &["IMPORTING", &from.cluster_id()?])?;
        migration.set(from, &["MIGRATING", &to.cluster_id()?])?;
        Ok(migration)
    }

    /// Gives a slot with all its keys to another master, and waits until everybody knows.
    ///
    /// # Errors
    /// If a node does not do as it is told, or a key does not arrive.
    pub fn move_slot(&self, slot: u16, to: &Node) -> anyhow::Result<()> {
        let migration = self.begin_migration(slot, to)?;
        migration.migrate_all()?;
        migration.finish()
    }

    /// Makes a replica the master of its shard by its own wish (`CLUSTER FAILOVER`), with nothing
    /// lost, and waits until the cluster is whole. The old master becomes its replica.
    ///
    /// # Errors
    /// If it does not come about in a minute, for instance because the master is down.
    pub fn failover(&self, replica: &Node) -> anyhow::Result<()> {
        self.promote(replica, None)
    }

    /// The same by force and without asking anybody (`CLUSTER FAILOVER TAKEOVER`), for a master that
    /// is down or stopped.
    ///
    /// # Errors
    /// If it does not come about in a minute.
    pub fn takeover(&self, replica: &Node) -> anyhow::Result<()> {
        self.promote(replica, Some("TAKEOVER"))
    }

    fn promote(&self, replica: &Node, how: Option<&str>) -> anyhow::Result<()> {
        formation::wait("the replica to become a master", || {
            if is_master(replica)? {
                return Ok(());
            }
            // An attempt may fail for want of votes; the next one is refused while one is under way.
            cmd("CLUSTER")
                .arg("FAILOVER")
                .arg(how)
                .exec(&mut replica.connection()?)?;
            anyhow::bail!("node {} is a replica still", replica.port())
        })?;
        self.wait_until_ok()
    }
}

impl<'a> Migration<'a> {
    /// The slot's number.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// Who has it until it is finished.
    #[must_use]
    pub fn from(&self) -> &'a Node {
        self.from
    }

    /// Who is to have it.
    #[must_use]
    pub fn to(&self) -> &'a Node {
        self.to
    }

    /// Moves one key of the slot. One that does not exist is nothing to move.
    ///
    /// # Errors
    /// If the key does not arrive.
    pub fn migrate_key(&self, key: &str) -> anyhow::Result<()> {
        self.migrate(&[key.as_bytes().to_vec()])
    }

    /// Moves all keys that the slot has now.
    ///
    /// # Errors
    /// If a key does not arrive.
    pub fn migrate_all(&self) -> anyhow::Result<()> {
        loop {
            let mut ask = cmd("CLUSTER");
            ask.arg("GETKEYSINSLOT").arg(self.slot).arg(BATCH);
            let keys: Vec<Vec<u8>> = ask.query(&mut self.from.connection()?)?;
            if keys.is_empty() {
                return Ok(());
            }
            self.migrate(&keys)?;
        }
    }

    /// Gives the slot away for good (`NODE`): the new owner hears it first, then the old one, then the
    /// other masters, so that nobody is sent to where the slot is not served. Waits until
    /// everybody agrees. Keys that have not been moved are lost.
    ///
    /// # Errors
    /// If a node does not do as it is told, or they do not agree in a minute.
    pub fn finish(self) -> anyhow::Result<()> {
        self.hand_over()?;
        self.cluster.wait_until_ok()
    }

    /// The same without waiting for those who learn it by gossip: replicas and masters that are down.
    ///
    /// # Errors
    /// If a running master does not do as it is told.
    pub fn hand_over(&self) -> anyhow::Result<()> {
        let id = self.to.cluster_id()?;
        let others = self.cluster.current_masters()?;
        self.set(self.to, &["NODE", &id])?;
        for node in iter::once(self.from).chain(others) {
            if node.port() == self.to.port() || !node.is_running() {
                continue;
            }
            let Err(error) = self.set(node, &["NODE", &id]) else {
                continue;
            };
            // A master that has heard meanwhile that its last slot is gone becomes a replica.
            ensure!(!is_master(node)?, error);
        }
        Ok(())
    }

    /// Leaves the slot where it was (`STABLE`). Keys that have been moved are lost to clients.
    ///
    /// # Errors
    /// If a node does not do as it is told.
    pub fn abort(self) -> anyhow::Result<()> {
        self.set(self.from, &["STABLE"])?;
        self.set(self.to, &["STABLE"])
    }

    fn migrate(&self, keys: &[Vec<u8>]) -> anyhow::Result<()> {
        let mut migrate = cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(self.to.port()).arg("").arg(0);
        migrate.arg(MIGRATE_TIMEOUT_MILLIS).arg("KEYS").arg(keys);
        Ok(migrate.exec(&mut self.from.connection()?)?)
    }

    fn set(&self, node: &Node, words: &[&str]) -> anyhow::Result<()> {
        let mut set = cmd("CLUSTER");
        set.arg("SETSLOT").arg(self.slot).arg(words);
        let told = set.exec(&mut node.connection()?);
        told.with_context(|| format!("node {}, slot {}, {words:?}", node.port(), self.slot))
    }
}

fn is_master(node: &Node) -> anyhow::Result<bool> {
    let mut connection = node.connection()?;
    let info: InfoDict = cmd("INFO").arg("replication").query(&mut connection)?;
    Ok(info.get::<String>("role").as_deref() == Some("master"))
}

//! Where a topology comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use redis::RedisResult;

use super::cluster::Cluster;
use super::sentinels::{self, Sentinels};
use super::{Snapshot, Topologies};
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::Nodes;
use crate::topology::Topology;

/// Whom to ask for the topology. Each kind that asks somebody is a file of its own.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nobody: one server, which stays what it is.
    Fixed,
    /// The nodes of a cluster.
    Cluster(Cluster),
    /// The sentinels of a master and its replicas.
    Sentinels(Sentinels),
}

/// One search for the topology.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) nodes: &'a Nodes,
    /// What is believed so far.
    pub(crate) known: Option<Arc<Snapshot>>,
    /// How many servers have been asked, by which the pause before the next search is measured.
    pub(crate) asked: AtomicU32,
}

/// What a search has found, and by whose word.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) topology: Topology,
    pub(crate) told_by: NodeAddr,
}

impl Search<'_> {
    /// One more server is asked.
    pub(crate) fn asks(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

impl Source {
    /// Whether keys are spread over several shards by their slots, and servers redirect.
    pub(crate) const fn is_sharded(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Whether there is somebody to ask.
    pub(super) const fn may_change(&self) -> bool {
        !matches!(self, Self::Fixed)
    }

    /// The topology as it is now.
    ///
    /// # Errors
    ///
    /// If nobody tells, or nobody who is to be believed.
    pub(super) async fn fetch(&self, search: &Search<'_>) -> RedisResult<Told> {
        match self {
            Self::Fixed => Err(error::no_slots()),
            Self::Cluster(cluster) => cluster.fetch(search).await,
            Self::Sentinels(sentinels) => sentinels.fetch(search).await,
        }
    }

    /// Has changes followed that are announced. Called after each look-up.
    pub(super) fn follow(&self, topologies: &Arc<Topologies>) {
        if let Self::Sentinels(sentinels) = self {
            sentinels.follow(topologies);
        }
    }

    /// One picture has taken the place of another. In a cluster the servers see to it that nobody writes to
    /// the wrong one.
    pub(super) fn leave(&self, before: &Snapshot, now: &Snapshot) {
        if let Self::Sentinels(_) = self {
            sentinels::retire(before, now);
        }
    }

    pub(super) fn close(&self) {
        if let Self::Sentinels(sentinels) = self {
            sentinels.close();
        }
    }
}

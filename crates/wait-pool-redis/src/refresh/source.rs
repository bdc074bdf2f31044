//! Where a topology comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use redis::RedisResult;

use super::Snapshot;
use super::cluster::Cluster;
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
        }
    }
}

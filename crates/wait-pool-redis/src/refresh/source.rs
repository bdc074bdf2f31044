//! Where a topology comes from.

use std::sync::Arc;

use redis::RedisResult;

use super::cluster::Cluster;
use super::sentinels::{self, Sentinels};
use super::{Snapshot, Topologies};
use crate::error;
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

impl Source {
    /// Whether keys are spread over several shards by their slots, and servers redirect.
    pub(crate) const fn is_sharded(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Whether there is somebody to ask.
    pub(super) const fn may_change(&self) -> bool {
        !matches!(self, Self::Fixed)
    }

    /// The topology as it is now. `known` is what is believed so far.
    ///
    /// # Errors
    ///
    /// If nobody tells.
    pub(super) async fn fetch(
        &self,
        nodes: &Nodes,
        known: Option<Arc<Snapshot>>,
    ) -> RedisResult<Topology> {
        match self {
            Self::Fixed => Err(error::no_slots()),
            Self::Cluster(cluster) => cluster.fetch(nodes, known).await,
            Self::Sentinels(sentinels) => sentinels.fetch(nodes).await,
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

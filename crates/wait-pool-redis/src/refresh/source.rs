//! Where a topology comes from.

use std::sync::Arc;

use redis::RedisResult;

use super::Snapshot;
use super::cluster::Cluster;
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
        }
    }
}

//! A connection to one node of a cluster, and what its answers say of the cluster.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{Either, select};
use redis::{RedisError, RedisResult, ServerError};
use tokio::runtime::Handle;
use wait_pool::Pooled;

use crate::connector::Connector;
use crate::error::{self, Failure, FailureKind};
use crate::node::NodeAddr;
use crate::nodes::Node;
use crate::redirect::{self, Next};
use crate::refresh::{Snapshot, Topologies};
use crate::route::Route;
use crate::slot::Slot;

/// The node that a connection is pinned to.
///
/// It keeps the node, so that one which leaves the cluster and comes back while the connection is
/// in use has one pool and one bound.
#[derive(Clone)]
pub(crate) struct Owner {
    node: Arc<Node>,
    topologies: Arc<Topologies>,
}

/// Whom to pin to.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// The primary that owns a slot.
    Slot(Slot),
    /// A node by its address, whatever its role.
    Node(NodeAddr),
}

impl Owner {
    /// Finds the node and takes a connection to it, by the deadline.
    ///
    /// Cancel-safe: nobody else loses anything by a dropped future.
    pub(crate) async fn check_out(
        topologies: &Arc<Topologies>,
        to: To,
        deadline: Option<Instant>,
    ) -> RedisResult<(Self, Pooled<Connector>)> {
        let node = find_in_time(topologies, &to, deadline).await?;
        let owner = Self {
            node,
            topologies: Arc::clone(topologies),
        };
        let held = owner.node.pool().request().deadline(deadline).get().await;
        match held {
            Ok(held) => Ok((owner, held)),
            Err(refused) => {
                let failure = Failure::no_connection(owner.node.addr(), refused);
                // One that is busy has not gone away.
                if failure.kind == FailureKind::NoConnection {
                    owner.topologies.request();
                }
                Err(failure.error)
            }
        }
    }

    /// For a connection to the master that sentinels name.
    pub(crate) const fn new(node: Arc<Node>, topologies: Arc<Topologies>) -> Self {
        Self { node, topologies }
    }

    /// Whether sentinels have named another master. In a cluster the node itself says so.
    pub(crate) fn check(&self) -> RedisResult<()> {
        if self.topologies.is_sharded() {
            return Ok(());
        }
        let known = self.topologies.known();
        match known.is_some_and(|known| known.topology.primary(0) != self.node.addr()) {
            true => Err(error::replaced(self.node.addr())),
            false => Ok(()),
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Has what a server's error says of the cluster made known to all: the next who asks for the
    /// slot goes to its new owner.
    pub(crate) fn notice(&self, error: &ServerError) {
        match redirect::after_error(error, self.node.addr()) {
            Next::Moved(slot, addr) => self.topologies.moved(slot, &addr),
            Next::Owner => self.topologies.request(),
            _ => {}
        }
    }

    /// A node that hangs up or does not answer may have been replaced.
    pub(crate) fn suspect(&self, error: &RedisError) {
        if error.is_unrecoverable_error() || error.is_timeout() {
            self.topologies.request();
        }
    }
}

/// Finds a node by the deadline.
pub(crate) async fn find_in_time(
    topologies: &Arc<Topologies>,
    to: &To,
    deadline: Option<Instant>,
) -> RedisResult<Arc<Node>> {
    if Handle::try_current().is_err() {
        return Err(error::no_runtime());
    }
    let found = pin!(find(topologies, to));
    let Some(deadline) = deadline else {
        return found.await;
    };
    let expired = pin!(tokio::time::sleep_until(deadline.into()));
    match select(found, expired).await {
        Either::Left((node, _)) => node,
        Either::Right(_) => {
            let what = format!("the topology was not known in time to find {to} (request_timeout)");
            Err(error::timed_out(what))
        }
    }
}

/// Waits for a newer topology if the current one does not know.
async fn find(topologies: &Arc<Topologies>, to: &To) -> RedisResult<Arc<Node>> {
    let known = topologies.current().await?;
    if let Some(node) = node_of(topologies, &known, to)? {
        return Ok(node);
    }
    let newer = topologies.after_refresh().await?;
    node_of(topologies, &newer, to)?.ok_or_else(|| match to {
        To::Slot(_) => Failure::unserved().error,
        To::Node(addr) => error::no_such_node(addr),
    })
}

fn node_of(topologies: &Topologies, known: &Snapshot, to: &To) -> RedisResult<Option<Arc<Node>>> {
    match to {
        To::Slot(slot) => Ok(known.primary(Route::Slot(*slot), *slot)),
        To::Node(addr) if known.topology.nodes().any(|node| node == addr) => {
            topologies.nodes.at(addr).map(Some)
        }
        To::Node(_) => Ok(None),
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "slot {}", slot.number()),
            Self::Node(addr) => write!(f, "node {addr}"),
        }
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owner").field(self.node.addr()).finish()
    }
}

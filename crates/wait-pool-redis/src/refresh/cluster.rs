//! The topology of a cluster, as its nodes tell it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionInfo, ErrorKind, RedisResult};

use super::Snapshot;
use crate::connector::Connector;
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::Nodes;
use crate::topology::Topology;

/// How long a node may take to tell the topology before the next is asked as well.
const PATIENCE: Duration = Duration::from_millis(250);

/// A cluster that is found through some of its nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Asked when nobody else answers, and never forgotten.
    startup: Vec<(NodeAddr, ConnectionInfo)>,
}

impl Cluster {
    pub(crate) const fn new(startup: Vec<(NodeAddr, ConnectionInfo)>) -> Self {
        Self { startup }
    }

    /// Asks the nodes until one tells of as many slots as are known to be served, and else takes
    /// what tells of the most. A node that has been reset, or that has yet to join, tells of none.
    ///
    /// The next node is asked when one has answered in vain or keeps silent for [`PATIENCE`].
    pub(super) async fn fetch(
        &self,
        nodes: &Nodes,
        known: Option<Arc<Snapshot>>,
    ) -> RedisResult<Topology> {
        let known = known.as_ref().map(|known| &known.topology);
        let coverage = known.map_or(0, Topology::coverage);
        let mut best: Option<Topology> = None;
        let mut last_error = None;
        let mut candidates = self.candidates(nodes, known).into_iter();
        let mut asked = FuturesUnordered::new();
        loop {
            match candidates.next() {
                Some((addr, info)) => asked.push(ask_in_time(nodes, addr, info)),
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
                Some(Ok(topology)) if topology.coverage() >= coverage.max(1) => {
                    return Ok(topology);
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
            (Some(topology), _) => Ok(topology),
            (None, Some(error)) => Err(error),
            (None, None) => Err(error::no_slots()),
        }
    }

    /// The known nodes in random order, and behind them the startup nodes that are not among them.
    fn candidates(
        &self,
        nodes: &Nodes,
        known: Option<&Topology>,
    ) -> Vec<(NodeAddr, ConnectionInfo)> {
        let mut candidates: Vec<_> = known
            .into_iter()
            .flat_map(Topology::nodes)
            .map(|addr| (addr.clone(), nodes.info(addr)))
            .collect();
        let mut startup = self.startup.clone();
        startup.retain(|(addr, _)| !candidates.iter().any(|(known, _)| known == addr));
        fastrand::shuffle(&mut candidates);
        fastrand::shuffle(&mut startup);
        candidates.extend(startup);
        candidates
    }
}

/// `CLUSTER SHARDS`, or `CLUSTER SLOTS` from servers before 7.0, on a connection of its own.
async fn ask_in_time(nodes: &Nodes, addr: NodeAddr, info: ConnectionInfo) -> RedisResult<Topology> {
    let limit = nodes.settings().connect_timeout;
    let connector = Connector::apart(info, nodes.settings(), "topology")?;
    match tokio::time::timeout(limit, ask(&addr, connector, nodes.is_tls())).await {
        Ok(told) => told.map_err(|error| error::no_topology(&addr, error)),
        Err(_) => Err(error::timed_out(format!(
            "node {addr} did not tell the topology within {limit:?} (connect_timeout)"
        ))),
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

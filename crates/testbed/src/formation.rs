//! Makes one cluster of some empty servers, and tells when a cluster is whole.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use redis::{Connection, InfoDict, cmd};

use crate::node::{Node, POLL};
use crate::view::{self, Peer};

const SLOTS: u16 = 16_384;
/// A cluster is whole in two to three seconds; this is for a machine that is very busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// Joins `nodes`: the first `masters` share the slots evenly, the others are spread over them as replicas.
pub(crate) fn form(nodes: &[Node], masters: usize) -> anyhow::Result<()> {
    let mut connections: Vec<Connection> = nodes
        .iter()
        .map(Node::connection)
        .collect::<anyhow::Result<_>>()?;

    // Different epochs from the start, else the masters would have to settle a conflict.
    for (connection, epoch) in connections.iter_mut().zip(1u32..) {
        cmd("CLUSTER")
            .arg("SET-CONFIG-EPOCH")
            .arg(epoch)
            .exec(connection)?;
    }
    for (index, connection) in connections.iter_mut().enumerate().take(masters) {
        let (first, last) = slot_range(index, masters);
        assign(connection, first, last)?;
    }
    // Everybody meets everybody: waiting for gossip to introduce them takes seconds.
    for (index, connection) in connections.iter_mut().enumerate() {
        for other in &nodes[index + 1..] {
            meet(connection, other)?;
        }
    }
    wait("the nodes to meet", || {
        for (node, connection) in nodes.iter().zip(&mut connections) {
            check_peers(node, &peers(connection)?, nodes)?;
        }
        Ok(())
    })?;
    let ids: Vec<String> = connections[..masters]
        .iter_mut()
        .map(|connection| cmd("CLUSTER").arg("MYID").query(connection))
        .collect::<Result<_, _>>()?;
    for (connection, id) in connections[masters..].iter_mut().zip(ids.iter().cycle()) {
        cmd("CLUSTER").arg("REPLICATE").arg(id).exec(connection)?;
    }
    drop(connections);
    wait_until_whole(nodes)
}

/// Introduces the node at the other end to another one.
pub(crate) fn meet(connection: &mut Connection, other: &Node) -> anyhow::Result<()> {
    cmd("CLUSTER")
        .arg("MEET")
        .arg("127.0.0.1")
        .arg(other.tls_port().unwrap_or_else(|| other.port()))
        .exec(connection)?;
    Ok(())
}

/// Waits until the running nodes agree on a cluster that serves every slot, and replicas are in sync.
pub(crate) fn wait_until_whole(nodes: &[Node]) -> anyhow::Result<()> {
    wait("the cluster to be whole", || check_whole(nodes))
}

pub(crate) fn wait(
    what: &str,
    mut check: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match check() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("waited {DEADLINE:?} for {what}")));
            }
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn check_whole(nodes: &[Node]) -> anyhow::Result<()> {
    let mut agreed: Option<Vec<Peer>> = None;
    for node in nodes.iter().filter(|node| node.is_running()) {
        let mut connection = node.connection()?;
        let info: InfoDict = cmd("CLUSTER").arg("INFO").query(&mut connection)?;
        let state: String = info.get("cluster_state").unwrap_or_default();
        let slots: u16 = info.get("cluster_slots_ok").unwrap_or_default();
        ensure!(
            state == "ok" && slots == SLOTS,
            "node {} says: state {state}, {slots} slots served",
            node.port()
        );
        let mut view = peers(&mut connection)?;
        check_peers(node, &view, nodes)?;
        check_replication(node, &mut connection, &view, nodes)?;
        for peer in &mut view {
            // These differ by right: who asks, and what it thinks of nodes that are down.
            peer.myself = false;
            peer.healthy = true;
            peer.linked = true;
        }
        let first = agreed.get_or_insert_with(|| view.clone());
        ensure!(
            *first == view,
            "node {} sees another cluster than the others",
            node.port()
        );
    }
    Ok(())
}

/// Every running node is known and reachable.
fn check_peers(node: &Node, view: &[Peer], nodes: &[Node]) -> anyhow::Result<()> {
    ensure!(
        view.len() == nodes.len(),
        "node {} knows {} nodes",
        node.port(),
        view.len()
    );
    for other in nodes.iter().filter(|other| other.is_running()) {
        let fit = |peer: &&Peer| peer.port == other.port() && peer.healthy && peer.linked;
        ensure!(
            view.iter().any(|peer| fit(&peer)),
            "node {} has no healthy link to node {}",
            node.port(),
            other.port()
        );
    }
    Ok(())
}

/// A replica follows its master; a master has all its running replicas in sync.
fn check_replication(
    node: &Node,
    connection: &mut Connection,
    view: &[Peer],
    nodes: &[Node],
) -> anyhow::Result<()> {
    let myself = view
        .iter()
        .find(|peer| peer.myself)
        .context("a view without its node")?;
    let info: InfoDict = cmd("INFO").arg("replication").query(connection)?;
    if myself.master.is_some() {
        let link: String = info.get("master_link_status").unwrap_or_default();
        ensure!(link == "up", "replica {} is not in sync", node.port());
        return Ok(());
    }
    let online: Vec<String> = (0..nodes.len())
        .filter_map(|index| info.get::<String>(&format!("slave{index}")))
        .filter(|replica| replica.contains("state=online"))
        .collect();
    for peer in view
        .iter()
        .filter(|peer| peer.master.as_ref() == Some(&myself.id))
    {
        let runs = nodes
            .iter()
            .any(|node| node.port() == peer.port && node.is_running());
        let port = format!("port={},", peer.port);
        ensure!(
            !runs || online.iter().any(|replica| replica.contains(&port)),
            "master {} has not synchronised replica {}",
            node.port(),
            peer.port
        );
    }
    Ok(())
}

/// What the node at the other end knows of its cluster.
pub(crate) fn peers(connection: &mut Connection) -> anyhow::Result<Vec<Peer>> {
    let reply: String = cmd("CLUSTER").arg("NODES").query(connection)?;
    Ok(view::parse(&reply))
}

/// First and last slot of master number `index`.
fn slot_range(index: usize, masters: usize) -> (u16, u16) {
    let edge =
        |index: usize| u16::try_from(usize::from(SLOTS) * index / masters).expect("at most SLOTS");
    (edge(index), edge(index + 1) - 1)
}

fn assign(connection: &mut Connection, first: u16, last: u16) -> anyhow::Result<()> {
    let range = cmd("CLUSTER")
        .arg("ADDSLOTSRANGE")
        .arg(first)
        .arg(last)
        .exec(connection);
    let Err(error) = range else {
        return Ok(());
    };
    // Servers before 7 have no ranges.
    if !error.to_string().to_lowercase().contains("unknown") {
        bail!(error);
    }
    let slots: Vec<u16> = (first..=last).collect();
    Ok(cmd("CLUSTER").arg("ADDSLOTS").arg(slots).exec(connection)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_slot_once() {
        for masters in [1, 2, 3, 5, 7] {
            let ranges: Vec<_> = (0..masters)
                .map(|index| slot_range(index, masters))
                .collect();
            assert_eq!(ranges[0].0, 0);
            assert_eq!(ranges[masters - 1].1, SLOTS - 1);
            assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
        }
    }
}

//! A topology together with the nodes it names.

use std::sync::{Arc, OnceLock};

use redis::RedisResult;

use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::plan::Scan;
use crate::readers::{self, ReadFrom, Reader};
use crate::route::Route;
use crate::slot::Slot;
use crate::topology::Topology;

/// A topology and the nodes of its shards. Never changed: a newer one takes its place.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) topology: Arc<Topology>,
    /// By the index of their shard.
    pub(crate) primaries: Vec<Arc<Node>>,
    replicas: Vec<OnceLock<Vec<Arc<Node>>>>,
    nodes: Arc<Nodes>,
}

impl Snapshot {
    /// Makes the nodes that lead its shards, as far as they are new. Opens nothing.
    ///
    /// # Errors
    ///
    /// If the pool is closed, or no pool can be made for one of them.
    pub(crate) fn new(topology: Topology, nodes: Arc<Nodes>) -> RedisResult<Self> {
        let shards = topology.shards();
        let primaries = shards.iter().map(|shard| nodes.at(&shard.primary));
        Ok(Self {
            primaries: primaries.collect::<Result<_, _>>()?,
            replicas: shards.iter().map(|_| OnceLock::new()).collect(),
            topology: Arc::new(topology),
            nodes,
        })
    }

    /// This with another owner of one slot. Makes a node at most.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(crate) fn patched(&self, slot: Slot, owner: &NodeAddr) -> RedisResult<Self> {
        let topology = self.topology.with_owner(slot, owner);
        let mut primaries = self.primaries.clone();
        for shard in &topology.shards()[primaries.len()..] {
            primaries.push(self.nodes.at(&shard.primary)?);
        }
        Ok(Self {
            replicas: primaries.iter().map(|_| OnceLock::new()).collect(),
            primaries,
            topology: Arc::new(topology),
            nodes: Arc::clone(&self.nodes),
        })
    }

    /// The nodes that replicate a shard, made when somebody first asks for them. Opens nothing.
    pub(crate) fn replicas(&self, shard: usize) -> &[Arc<Node>] {
        self.replicas[shard].get_or_init(|| {
            let replicas = &self.topology.shards()[shard].replicas;
            // None can be made in a closed pool, which nobody reads from.
            let made = replicas.iter().filter_map(|addr| self.nodes.at(addr).ok());
            made.collect()
        })
    }

    /// The primary that serves a route. One that any serves goes to the owner of the slot `any`, or
    /// to the next that is known to answer.
    pub(crate) fn primary(&self, route: Route, any: Slot) -> Option<Arc<Node>> {
        let shard = match route {
            Route::Slot(slot) => self.topology.shard_of(slot)?,
            _ if self.primaries.len() == 1 => 0,
            _ => {
                let answers = |shard: usize| self.primaries[shard].is_connected();
                let known = self.topology.owner_from(any, answers);
                known.or_else(|| self.topology.owner_from(any, |_| true))?
            }
        };
        Some(Arc::clone(&self.primaries[shard]))
    }

    /// The node of a slot's shard that a read goes to, other than `tried`.
    pub(crate) fn reader(
        &self,
        slot: Slot,
        from: &ReadFrom,
        turn: usize,
        tried: Option<&Node>,
    ) -> Option<Arc<Node>> {
        let shard = self.topology.shard_of(slot)?;
        let primary = std::iter::once(&self.primaries[shard]);
        let nodes: Vec<_> = primary.chain(self.replicas(shard)).collect();
        let readers: Vec<_> = nodes
            .iter()
            .map(|node| Reader {
                fit: node.health().is_fit()
                    && tried.is_none_or(|tried| tried.addr() != node.addr()),
                latency: node.health().latency(),
                near: match from {
                    ReadFrom::AvailabilityZone(here) => node.zone().map(|zone| zone == here),
                    _ => None,
                },
            })
            .collect();
        Some(Arc::clone(nodes[readers::choose(from, &readers, turn)]))
    }

    /// The replica whose turn it is, of the first shard; one that is left out at the moment only if all are.
    pub(crate) fn replica(&self, turn: usize) -> Option<Arc<Node>> {
        let all = || self.replicas(0).iter();
        let fit: Vec<_> = all().filter(|node| node.health().is_fit()).collect();
        let choice = match fit.is_empty() {
            true => all().collect(),
            false => fit,
        };
        let at = turn.checked_rem(choice.len())?;
        Some(Arc::clone(choice[at]))
    }

    /// The primaries that serve slots, each with the lowest of them.
    pub(crate) fn serving(&self) -> impl Iterator<Item = (&Arc<Node>, Slot)> {
        let serving = |shard: usize| Some((&self.primaries[shard], self.topology.lowest(shard)?));
        (0..self.primaries.len()).filter_map(serving)
    }

    /// Every node, replicas too.
    pub(crate) fn every_node(&self) -> impl Iterator<Item = &Arc<Node>> {
        let replicas = (0..self.primaries.len()).flat_map(|shard| self.replicas(shard));
        self.primaries.iter().chain(replicas)
    }

    /// The node where a scan is that has come to this slot.
    pub(crate) fn scanned(&self, slot: Slot) -> Option<(Arc<Node>, Scan)> {
        let (shard, at, next) = self.topology.scan_step(slot)?;
        Some((Arc::clone(&self.primaries[shard]), Scan { at, next }))
    }

    /// Another primary that serves slots.
    pub(crate) fn other_than(&self, tried: &Node, any: Slot) -> Option<Arc<Node>> {
        let others = |shard: usize| self.primaries[shard].addr() != tried.addr();
        let shard = self.topology.owner_from(any, others)?;
        Some(Arc::clone(&self.primaries[shard]))
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;
    use crate::settings::Settings;

    fn addr(port: u16) -> NodeAddr {
        NodeAddr::new("a", port)
    }

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    /// a:1 leads all slots but 9, which a:4 has; a:2 and a:3 follow it.
    fn snapshot() -> Snapshot {
        let template = "redis://a:1".into_connection_info().unwrap();
        let nodes = Nodes::new(template, Settings::new("max_connections_per_node"));
        let topology = Topology::single(addr(1), vec![addr(2), addr(3)]);
        let whole = Snapshot::new(topology, Arc::new(nodes)).unwrap();
        whole.patched(slot(9), &addr(4)).unwrap()
    }

    fn ports<'a>(nodes: impl IntoIterator<Item = &'a Arc<Node>>) -> Vec<u16> {
        nodes.into_iter().map(|node| node.addr().port()).collect()
    }

    #[test]
    fn one_that_rests_or_was_tried_is_not_read_from() {
        let known = snapshot();
        let from = ReadFrom::PreferReplica;
        let readers = |tried: Option<&Node>| -> Vec<u16> {
            let reader = |turn| known.reader(slot(1), &from, turn, tried).unwrap();
            ports(&[0, 1, 2, 3].map(reader))
        };
        assert_eq!(readers(None), [2, 3, 2, 3]);
        let [two, three] = known.replicas(0) else {
            panic!("two replicas")
        };
        assert_eq!(readers(Some(two)), [3, 3, 3, 3]);
        three.health().rest();
        assert_eq!(readers(None), [2, 2, 2, 2]);
        assert_eq!(readers(Some(two)), [1, 1, 1, 1]);
    }

    #[test]
    fn another_is_not_the_same() {
        let known = snapshot();
        for at in [0, 9, 10, 16_000] {
            for tried in &known.primaries {
                let other = known.other_than(tried, slot(at)).unwrap();
                assert_ne!(other.addr(), tried.addr());
            }
        }
        let template = "redis://a:1".into_connection_info().unwrap();
        let nodes = Nodes::new(template, Settings::new("max_connections_per_node"));
        let alone = Topology::single(addr(1), Vec::new());
        let alone = Snapshot::new(alone, Arc::new(nodes)).unwrap();
        assert!(alone.other_than(&alone.primaries[0], slot(1)).is_none());
    }

    #[test]
    fn those_who_serve_are_named_with_a_slot_of_theirs() {
        let known = snapshot();
        let serving: Vec<_> = known.serving().collect();
        let slots: Vec<_> = serving.iter().map(|(_, slot)| slot.number()).collect();
        assert_eq!(ports(serving.into_iter().map(|(node, _)| node)), [1, 4]);
        assert_eq!(slots, [0, 9]);
        let emptied = known.patched(slot(9), &addr(1)).unwrap();
        assert_eq!(ports(emptied.serving().map(|(node, _)| node)), [1]);
        assert_eq!(ports(known.every_node()), [1, 4, 2, 3]);
    }
}

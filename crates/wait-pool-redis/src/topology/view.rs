//! The topology as users see it.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Topology;
use crate::node::NodeAddr;
use crate::slot::Slot;

/// What a pool knows of its cluster at one moment: who serves which slots.
///
/// A picture that does not change; [`cluster::Pool::topology`](crate::cluster::Pool::topology) gives
/// the current one. Cheap to clone.
///
/// # Example
///
/// ```
/// use wait_pool_redis::Slot;
/// use wait_pool_redis::cluster::ClusterTopology;
///
/// /// How many of these keys each node would be asked for.
/// fn shares(topology: &ClusterTopology, keys: &[&str]) -> Vec<(String, usize)> {
///     let count = |node: &_| {
///         let owner = |key: &&&str| topology.owner(Slot::of(key.as_bytes())) == Some(node);
///         keys.iter().filter(owner).count()
///     };
///     let shards = topology.shards();
///     shards.iter().map(|shard| (shard.primary().to_string(), count(shard.primary()))).collect()
/// }
/// ```
#[derive(Clone)]
pub struct ClusterTopology {
    topology: Arc<Topology>,
}

impl ClusterTopology {
    pub(crate) const fn new(topology: Arc<Topology>) -> Self {
        Self { topology }
    }

    /// Every shard, also those that serve no slot. Looks at all 16,384 slots once.
    #[must_use]
    pub fn shards(&self) -> Vec<ClusterShard> {
        let shards = self.topology.shards().iter();
        let mut shards: Vec<_> = shards
            .map(|shard| ClusterShard {
                primary: shard.primary.clone(),
                replicas: shard.replicas.clone(),
                slots: Vec::new(),
            })
            .collect();
        let mut slots = (0..Slot::COUNT).filter_map(Slot::new).peekable();
        while let Some(first) = slots.next() {
            let Some(shard) = self.topology.shard_of(first) else {
                continue;
            };
            let mut last = first;
            while let Some(next) =
                slots.next_if(|&next| self.topology.shard_of(next) == Some(shard))
            {
                last = next;
            }
            shards[shard].slots.push(first..=last);
        }
        shards
    }

    /// The node that serves a slot, if one is known.
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<&NodeAddr> {
        self.topology.owner(slot)
    }

    /// The address of every node, primaries and replicas that are fit to be read from; each one once.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeAddr> {
        self.topology.nodes()
    }

    /// How many slots are served; [`Slot::COUNT`] of a whole cluster.
    #[must_use]
    pub fn coverage(&self) -> u16 {
        self.topology.coverage()
    }
}

impl fmt::Debug for ClusterTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterTopology")
            .field("shards", &self.shards())
            .field("coverage", &self.coverage())
            .finish()
    }
}

/// A primary, the nodes that replicate it, and the slots that they serve.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterShard {
    primary: NodeAddr,
    replicas: Vec<NodeAddr>,
    slots: Vec<RangeInclusive<Slot>>,
}

impl ClusterShard {
    /// The node that serves the slots.
    #[must_use]
    pub const fn primary(&self) -> &NodeAddr {
        &self.primary
    }

    /// The nodes that replicate it and, as far as servers tell, are fit to be read from.
    #[must_use]
    pub fn replicas(&self) -> &[NodeAddr] {
        &self.replicas
    }

    /// First and last slot of each range, in their order; none for a shard without slots.
    #[must_use]
    pub fn slots(&self) -> &[RangeInclusive<Slot>] {
        &self.slots
    }
}

/// `10.0.0.1:7000 (10.0.0.2:7003) 0-99 200`.
impl fmt::Debug for ClusterShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.primary)?;
        if !self.replicas.is_empty() {
            let replicas: Vec<_> = self.replicas.iter().map(NodeAddr::to_string).collect();
            write!(f, " ({})", replicas.join(" "))?;
        }
        for range in &self.slots {
            match range.start() == range.end() {
                true => write!(f, " {}", range.start())?,
                false => write!(f, " {}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_their_ranges() {
        let (one, other) = (NodeAddr::new("a", 1), NodeAddr::new("b", 2));
        let slot = |number| Slot::new(number).unwrap();
        let topology = Topology::single(one.clone(), vec![NodeAddr::new("c", 3)])
            .with_owner(slot(5), &other)
            .with_owner(slot(16_383), &other);
        let view = ClusterTopology::new(Arc::new(topology));
        let shards = view.shards();
        assert_eq!(
            shards[0].slots(),
            [slot(0)..=slot(4), slot(6)..=slot(16_382)]
        );
        assert_eq!(
            shards[1].slots(),
            [slot(5)..=slot(5), slot(16_383)..=slot(16_383)]
        );
        assert_eq!(view.owner(slot(5)), Some(&other));
        assert_eq!(view.owner(slot(6)), Some(&one));
        assert_eq!(view.coverage(), Slot::COUNT);
        assert_eq!(view.nodes().count(), 3);
        let shown = format!("{view:?}");
        assert!(shown.contains("a:1 (c:3) 0-4 6-16382"), "{shown}");
        assert!(shown.contains("b:2 5 16383"), "{shown}");
    }

    #[test]
    fn a_shard_without_slots_is_shown() {
        let view = ClusterTopology::new(Arc::new(Topology::empty()));
        assert_eq!(view.shards(), []);
        assert_eq!(view.owner(Slot::of(b"a")), None);
    }
}

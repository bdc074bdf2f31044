//! Who owns which slot: one immutable picture of a cluster.
//!
//! A topology is built from a server's reply, or from one address for a standalone server, and is never
//! changed: a newer reply or a MOVED makes a new one. What the replies look like is known to `reply` alone;
//! what is here always holds together: every owner is a shard of the list, and no address stands in two
//! places.

mod agreement;
mod change;
mod reply;
mod sentinel;
mod view;

use std::fmt;

use crate::node::NodeAddr;
use crate::slot::Slot;

pub(crate) use agreement::{MOST_HEARD, Verdict, doubt, is_confirmed, is_settled, settle};
pub(crate) use change::Change;
pub(crate) use reply::epoch;
pub(crate) use sentinel::SentinelReply;
pub use view::{ClusterShard, ClusterTopology};

/// One immutable picture of a cluster: its shards, and which of them owns each slot.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Topology {
    shards: Vec<Shard>,
    owners: Box<[ShardIndex; Slot::COUNT as usize]>,
    /// How far the cluster had got by `cluster_current_epoch`, where the node that told has said so.
    epoch: Option<u64>,
}

/// A primary with its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct Shard {
    /// The node that owns the shard's slots.
    pub(crate) primary: NodeAddr,
    /// The nodes that replicate it and are fit to be read from.
    pub(crate) replicas: Vec<NodeAddr>,
}

/// Two bytes a slot keep a topology at 32 KiB, which is what every MOVED copies.
type ShardIndex = u16;

/// Stands in the table for a slot that nobody owns.
const UNASSIGNED: ShardIndex = ShardIndex::MAX;

/// More shards than a cluster can have slots, and less than [`UNASSIGNED`].
const MAX_SHARDS: usize = Slot::COUNT as usize;

impl Topology {
    /// A server without a cluster, and what replicates it: one shard that owns every slot.
    #[must_use]
    pub(crate) fn single(primary: NodeAddr, replicas: Vec<NodeAddr>) -> Self {
        let mut topology = Self::empty();
        topology.shards.push(Shard { primary, replicas });
        topology.owners.fill(0);
        topology
    }

    fn empty() -> Self {
        let owners = vec![UNASSIGNED; usize::from(Slot::COUNT)].into_boxed_slice();
        Self {
            shards: Vec::new(),
            owners: owners.try_into().expect("as long as there are slots"),
            epoch: None,
        }
    }

    #[must_use]
    pub(crate) fn with_epoch(mut self, epoch: Option<u64>) -> Self {
        self.epoch = epoch;
        self
    }

    pub(crate) const fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Every shard, also those that own no slot.
    #[must_use]
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The index in [`shards`](Self::shards) of the shard that owns `slot`.
    #[must_use]
    pub(crate) fn shard_of(&self, slot: Slot) -> Option<usize> {
        match self.owners[usize::from(slot.number())] {
            UNASSIGNED => None,
            index => Some(usize::from(index)),
        }
    }

    /// Whether a shard owns slots.
    pub(crate) fn serves(&self, shard: usize) -> bool {
        self.owners.iter().any(|&owner| usize::from(owner) == shard)
    }

    /// A shard that owns slots and that `accept` takes: the first one from this slot on.
    #[must_use]
    pub(crate) fn owner_from(&self, slot: Slot, accept: impl Fn(usize) -> bool) -> Option<usize> {
        let (before, after) = self.owners.split_at(usize::from(slot.number()));
        let mut owners = after.iter().chain(before);
        let taken = |owner: &&ShardIndex| **owner != UNASSIGNED && accept(usize::from(**owner));
        owners.find(taken).map(|owner| usize::from(*owner))
    }

    /// The shard that owns the first served slot from this one on, its lowest slot, and that of the shard which
    /// comes next if they are ordered by their lowest slots.
    pub(crate) fn scan_step(&self, slot: Slot) -> Option<(usize, Slot, Option<Slot>)> {
        let number = usize::from(slot.number());
        let served = |owner: &&ShardIndex| **owner != UNASSIGNED;
        let shard = *self.owners[number..].iter().find(served)?;
        let lowest = self.owners.iter().position(|&owner| owner == shard)?;
        let mut seen = vec![false; self.shards.len()];
        let first_of_another = |&(at, &owner): &(usize, &ShardIndex)| {
            owner != UNASSIGNED
                && !std::mem::replace(&mut seen[usize::from(owner)], true)
                && at > lowest
        };
        let next = self.owners.iter().enumerate().find(first_of_another);
        let slot = |at: usize| Slot::new(u16::try_from(at).ok()?);
        let next = next.and_then(|(at, _)| slot(at));
        Some((usize::from(shard), slot(lowest)?, next))
    }

    /// The primary of the shard with this index.
    ///
    /// # Panics
    ///
    /// If `shard` is no index of [`shards`](Self::shards).
    #[must_use]
    pub(crate) fn primary(&self, shard: usize) -> &NodeAddr {
        &self.shards[shard].primary
    }

    /// The address of every node, primaries and replicas; each one once.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeAddr> {
        self.shards
            .iter()
            .flat_map(|shard| std::iter::once(&shard.primary).chain(&shard.replicas))
    }

    /// How many slots have an owner; [`Slot::COUNT`] when the cluster is whole.
    #[must_use]
    pub(crate) fn coverage(&self) -> u16 {
        let assigned = self.owners.iter().filter(|&&owner| owner != UNASSIGNED);
        u16::try_from(assigned.count()).expect("there are no more slots than that")
    }

    /// Whether every slot has an owner.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.coverage() == Slot::COUNT
    }

    /// The node that owns a slot.
    #[must_use]
    pub(crate) fn owner(&self, slot: Slot) -> Option<&NodeAddr> {
        self.shard_of(slot).map(|shard| self.primary(shard))
    }

    /// This with the owners that `told` names; slots of which it knows nothing keep theirs.
    #[must_use]
    pub(crate) fn with_owners_of(&self, told: &Self) -> Self {
        let mut topology = self.clone();
        // By their shards: how each of theirs is numbered here.
        let mut numbers = vec![None; told.shards.len()];
        for (slot, &theirs) in told.owners.iter().enumerate() {
            if theirs == UNASSIGNED {
                continue;
            }
            let theirs = usize::from(theirs);
            if numbers[theirs].is_none() {
                numbers[theirs] = topology.shard_led_by(told.primary(theirs));
            }
            if let Some(ours) = numbers[theirs] {
                topology.owners[slot] = ours;
            }
        }
        topology
    }

    /// What a MOVED says: `slot` is owned by `addr`. Everything else stays as it is.
    ///
    /// A node that answers for a slot is a primary, whatever was known of it. If it was a replica, there was a
    /// failover, and the other slots of its shard have most likely moved with it; but a slot may also have been
    /// migrated to a replica that was promoted for it alone, so only the slot that the server named is
    /// reassigned: it and the ones whose MOVED follow gather in a shard of the node's own until the next
    /// reply of CLUSTER SHARDS tells everything. The node leaves the replicas of its old shard, since it
    /// no longer follows that primary. Of the new shard's replicas nothing is known yet.
    #[must_use]
    pub(crate) fn with_owner(&self, slot: Slot, addr: &NodeAddr) -> Self {
        let mut topology = self.clone();
        if let Some(shard) = topology.shard_led_by(addr) {
            topology.owners[usize::from(slot.number())] = shard;
        }
        topology
    }

    /// The index of the shard whose primary is `addr`, made if there is none. `None` once there are as many
    /// shards as there are slots, which only a server that invents addresses can reach.
    fn shard_led_by(&mut self, addr: &NodeAddr) -> Option<ShardIndex> {
        let known = self.shards.iter().position(|s| s.primary == *addr);
        let index = known.unwrap_or(self.shards.len());
        if known.is_none() {
            if index == MAX_SHARDS {
                return None;
            }
            for shard in &mut self.shards {
                shard.replicas.retain(|replica| replica != addr);
            }
            self.shards.push(Shard::new(addr.clone()));
        }
        ShardIndex::try_from(index).ok()
    }
}

impl Shard {
    const fn new(primary: NodeAddr) -> Self {
        Self {
            primary,
            replicas: Vec::new(),
        }
    }
}

/// Without the 16,384 owners, of which the number says enough.
impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("shards", &self.shards)
            .field("coverage", &self.coverage())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> NodeAddr {
        NodeAddr::new("10.0.0.1", port)
    }

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    /// 7000 (replicas 7100, 7101) owns the lower half, 7001 (replica 7102) the upper.
    fn halves() -> Topology {
        let mut topology = Topology::empty();
        topology.shards = vec![Shard::new(addr(7000)), Shard::new(addr(7001))];
        topology.shards[0].replicas = vec![addr(7100), addr(7101)];
        topology.shards[1].replicas = vec![addr(7102)];
        topology.owners[..8192].fill(0);
        topology.owners[8192..].fill(1);
        topology
    }

    fn owner(topology: &Topology, number: u16) -> &NodeAddr {
        topology.primary(topology.shard_of(slot(number)).unwrap())
    }

    #[test]
    fn a_single_server_owns_everything() {
        let topology = Topology::single(addr(6379), Vec::new());
        assert_eq!(topology.coverage(), Slot::COUNT);
        assert_eq!(owner(&topology, 0), &addr(6379));
        assert_eq!(owner(&topology, 16_383), &addr(6379));
        assert_eq!(topology.nodes().count(), 1);
    }

    #[test]
    fn moved_to_a_known_primary() {
        let moved = halves().with_owner(slot(5), &addr(7001));
        assert_eq!(owner(&moved, 5), &addr(7001));
        assert_eq!(owner(&moved, 4), &addr(7000));
        assert_eq!(moved.shards(), halves().shards());
    }

    #[test]
    fn moved_to_an_unknown_node() {
        let moved = halves().with_owner(slot(5), &addr(7002));
        assert_eq!(owner(&moved, 5), &addr(7002));
        assert_eq!(owner(&moved, 6), &addr(7000));
        assert_eq!(moved.nodes().count(), halves().nodes().count() + 1);
    }

    #[test]
    fn moved_to_a_replica_promotes_it_for_the_named_slots_only() {
        let once = halves().with_owner(slot(5), &addr(7100));
        assert_eq!(owner(&once, 5), &addr(7100));
        assert_eq!(owner(&once, 6), &addr(7000));
        assert_eq!(once.shards()[0].replicas, [addr(7101)]);
        assert_eq!(once.nodes().count(), halves().nodes().count());

        let twice = once.with_owner(slot(6), &addr(7100));
        assert_eq!(owner(&twice, 6), &addr(7100));
        assert_eq!(twice.shards().len(), once.shards().len());
    }

    #[test]
    fn moved_gives_an_unassigned_slot_its_owner() {
        let mut topology = halves();
        topology.owners[9] = UNASSIGNED;
        assert_eq!(topology.shard_of(slot(9)), None);
        assert_eq!(topology.coverage(), Slot::COUNT - 1);
        let moved = topology.with_owner(slot(9), &addr(7001));
        assert_eq!(moved.coverage(), Slot::COUNT);
    }

    #[test]
    fn a_shard_without_slots_is_nobodys_choice() {
        let mut topology = halves();
        topology.shards.push(Shard::new(addr(7002)));
        topology.owners[8000..8192].fill(UNASSIGNED);
        let any = |_| true;
        assert!(topology.serves(0) && topology.serves(1) && !topology.serves(2));
        assert_eq!(topology.owner_from(slot(8000), any), Some(1));
        assert_eq!(topology.owner_from(slot(8000), |shard| shard != 1), Some(0));
        topology.owners[8192..].fill(UNASSIGNED);
        assert_eq!(topology.owner_from(slot(8000), any), Some(0));
        assert_eq!(topology.owner_from(slot(8000), |shard| shard != 0), None);
    }

    #[test]
    fn shards_are_ordered_by_their_lowest_slots() {
        let mut topology = halves();
        topology.owners[10_000..11_000].fill(0);
        topology.owners[..3].fill(UNASSIGNED);
        let first = Some((0, slot(3), Some(slot(8192))));
        assert_eq!(topology.scan_step(slot(0)), first);
        assert_eq!(topology.scan_step(slot(10_500)), first);
        let second = Some((1, slot(8192), None));
        assert_eq!(topology.scan_step(slot(8192)), second);
        assert_eq!(topology.scan_step(slot(16_383)), second);
        topology.owners[16_000..].fill(UNASSIGNED);
        assert_eq!(topology.scan_step(slot(16_001)), None);
    }

    #[test]
    fn invented_addresses_have_a_bound() {
        let mut topology = halves();
        topology.shards = vec![Shard::new(addr(7000)); MAX_SHARDS];
        let moved = topology.with_owner(slot(5), &addr(9));
        assert_eq!(moved, topology);
    }

    #[test]
    fn what_one_node_alone_tells_gives_owners_and_takes_none() {
        let mut told = Topology::empty();
        told.shards = vec![Shard::new(addr(7005)), Shard::new(addr(7001))];
        told.owners[..100].fill(0);
        told.owners[100..200].fill(1);
        let both = halves().with_owners_of(&told);
        assert_eq!(owner(&both, 99), &addr(7005));
        assert_eq!(owner(&both, 199), &addr(7001));
        assert_eq!(owner(&both, 200), &addr(7000));
        assert_eq!(owner(&both, 9000), &addr(7001));
        assert_eq!(both.shards().len(), 3);
    }

    #[test]
    fn is_shown_without_its_owners() {
        assert!(format!("{:?}", halves()).contains("coverage: 16384"));
    }
}

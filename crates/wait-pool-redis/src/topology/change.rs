//! What has changed from one topology to the next.

use std::collections::HashMap;

use super::Topology;
use crate::node::NodeAddr;
use crate::slot::Slot;

/// What differs between two topologies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Nodes that are named for the first time, in whatever role.
    pub(crate) added: Vec<NodeAddr>,
    /// Nodes that are named no longer.
    pub(crate) removed: Vec<NodeAddr>,
    /// Slots with another owner than before, or with one for the first time or no longer.
    pub(crate) slots: u16,
    /// Nodes that are in another role than before.
    pub(crate) roles: usize,
}

impl Change {
    pub(crate) fn between(before: Option<&Topology>, after: &Topology) -> Self {
        let empty;
        let before = match before {
            Some(before) => before,
            None => {
                empty = Topology::empty();
                &empty
            }
        };
        let (old, new) = (roles(before), roles(after));
        let not_in = |one: &Topology, others: &HashMap<&NodeAddr, bool>| -> Vec<NodeAddr> {
            let gone = one.nodes().filter(|addr| !others.contains_key(addr));
            gone.cloned().collect()
        };
        let slots = (0..Slot::COUNT).filter_map(Slot::new);
        let moved = slots.filter(|&slot| before.owner(slot) != after.owner(slot));
        Self {
            added: not_in(after, &old),
            removed: not_in(before, &new),
            slots: u16::try_from(moved.count()).unwrap_or(Slot::COUNT),
            roles: old
                .iter()
                .filter(|(addr, leads)| new.get(*addr).is_some_and(|now| now != *leads))
                .count(),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Every node, and whether it leads a shard.
fn roles(topology: &Topology) -> HashMap<&NodeAddr, bool> {
    let shards = topology.shards().iter();
    let roles = shards.flat_map(|shard| {
        let replicas = shard.replicas.iter().map(|replica| (replica, false));
        std::iter::once((&shard.primary, true)).chain(replicas)
    });
    roles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> NodeAddr {
        NodeAddr::new("10.0.0.1", port)
    }

    #[test]
    fn nodes_slots_and_roles() {
        let before = Topology::single(addr(1), vec![addr(2), addr(3)]);
        assert!(Change::between(Some(&before), &before.clone()).is_nothing());

        let failover = Topology::single(addr(2), vec![addr(4)]);
        assert_eq!(
            Change::between(Some(&before), &failover),
            Change {
                added: vec![addr(4)],
                removed: vec![addr(1), addr(3)],
                slots: Slot::COUNT,
                roles: 1,
            }
        );

        let moved = before.with_owner(Slot::new(7).unwrap(), &addr(5));
        let change = Change::between(Some(&before), &moved);
        assert_eq!((change.slots, change.added), (1, vec![addr(5)]));

        let first = Change::between(None, &before);
        assert_eq!((first.added.len(), first.slots), (3, Slot::COUNT));
    }
}

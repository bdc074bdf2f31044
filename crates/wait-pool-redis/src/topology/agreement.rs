//! Whether what one node tells of its cluster is to be believed, and if not, what several together tell.
//!
//! Any node may be asked, and some know less than others: one that has been reset, that is cut off from
//! the rest, or whose address now belongs to another cluster. Most of what such a node tells differs from
//! what is known in one of a few ways. That is a [`Doubt`]; then others are asked too, and what most of
//! them agree on holds. What raises no doubt (a slot that has moved, a failover, a new node, a node less) is
//! believed of one node.

use std::collections::HashSet;

use super::{Topology, UNASSIGNED};
use crate::event::Doubt;
use crate::node::NodeAddr;

/// How many nodes that tell the same end the search.
pub(crate) const ENOUGH: usize = 3;

/// How many nodes are heard at most: of five, three are most.
pub(crate) const MOST_HEARD: usize = 5;

/// What is to be made of several tellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This one holds.
    Take(usize),
    /// This one adds to what is known, and takes nothing away: nobody else answered.
    Add(usize),
    /// What is known stays.
    Keep,
}

/// Whether there is something wrong with what one node tells. `known` is what is believed so far.
pub(crate) fn doubt(known: Option<&Topology>, told: &Topology) -> Option<Doubt> {
    let Some(known) = known else {
        return (!told.is_complete()).then_some(Doubt::FewerSlots);
    };
    if told.coverage() < known.coverage() {
        return Some(Doubt::FewerSlots);
    }
    if let (Some(theirs), Some(ours)) = (told.epoch(), known.epoch())
        && theirs < ours
    {
        return Some(Doubt::OlderEpoch);
    }
    let members: HashSet<_> = told.nodes().collect();
    let stay = known.nodes().filter(|addr| members.contains(addr)).count();
    (stay * 2 < known.nodes().count()).then_some(Doubt::OtherNodes)
}

/// Whether it would make no difference to hear more nodes.
pub(crate) fn is_settled(told: &[Topology]) -> bool {
    (0..told.len()).any(|index| votes(told, index) >= ENOUGH)
}

/// Whether anybody has confirmed what another one told.
pub(crate) fn is_confirmed(told: &[Topology]) -> bool {
    (0..told.len()).any(|index| votes(told, index) > 1)
}

/// What to make of tellings each of which is in doubt.
///
/// What most agree on holds if at least two do; among equals the newest epoch, then the most slots. What only
/// one tells is worth less: it may give slots an owner and takes none away. But where nothing
/// is known yet, or where it is a whole cluster that nobody contradicts, there is nothing better.
pub(crate) fn settle(known: Option<&Topology>, told: &[Topology]) -> Verdict {
    let best = (0..told.len())
        .filter(|&index| told[index].coverage() > 0)
        .max_by_key(|&index| {
            let view = &told[index];
            (votes(told, index), view.epoch(), view.coverage())
        });
    let Some(best) = best else {
        return Verdict::Keep;
    };
    if known.is_none() || votes(told, best) > 1 {
        return Verdict::Take(best);
    }
    let contradicted = told.iter().filter(|view| view.coverage() > 0).count() > 1;
    match doubt(known, &told[best]) {
        _ if contradicted => Verdict::Keep,
        None | Some(Doubt::OtherNodes) => Verdict::Take(best),
        Some(Doubt::FewerSlots | Doubt::OlderEpoch) => Verdict::Add(best),
    }
}

/// How many tell what this one tells. A node that knows of no slot at all has no say.
fn votes(told: &[Topology], index: usize) -> usize {
    let says = |view: &&Topology| view.coverage() > 0 && agree(view, &told[index]);
    told.iter().filter(says).count()
}

/// Whether two nodes tell of the same cluster. While slots are moved, no two need tell of exactly the same.
fn agree(one: &Topology, other: &Topology) -> bool {
    let (mut served, mut same) = (0_u32, 0_u32);
    for (ours, theirs) in one.owners.iter().zip(other.owners.iter()) {
        if (*ours, *theirs) == (UNASSIGNED, UNASSIGNED) {
            continue;
        }
        served += 1;
        same += u32::from(leader(one, *ours) == leader(other, *theirs));
    }
    // Nine in ten.
    same * 10 >= served * 9
}

fn leader(topology: &Topology, shard: u16) -> Option<&NodeAddr> {
    (shard != UNASSIGNED).then(|| topology.primary(usize::from(shard)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Slot;

    /// A cluster by its primaries, which share the slots below `covered` evenly.
    fn cluster(ports: &[u16], covered: u16, epoch: u64) -> Topology {
        let mut topology = Topology::empty().with_epoch(Some(epoch));
        for slot in 0..covered {
            let index = usize::from(slot) * ports.len() / usize::from(Slot::COUNT);
            let addr = NodeAddr::new("10.0.0.1", ports[index]);
            topology = match topology.shard_of(Slot::new(slot).unwrap()) {
                Some(_) => topology,
                None => {
                    let shard = topology.shard_led_by(&addr).unwrap();
                    topology.owners[usize::from(slot)] = shard;
                    topology
                }
            };
        }
        topology
    }

    fn whole(ports: &[u16], epoch: u64) -> Topology {
        cluster(ports, Slot::COUNT, epoch)
    }

    /// One slot less, which is the least that can be missing.
    fn lacking(ports: &[u16], epoch: u64) -> Topology {
        cluster(ports, Slot::COUNT - 1, epoch)
    }

    #[test]
    fn what_raises_a_doubt() {
        let known = whole(&[1, 2, 3, 4], 7);
        let without_epoch = whole(&[1, 2, 3, 4], 0).with_epoch(None);
        let cases = [
            ("the same", known.clone(), None),
            ("a failover", whole(&[1, 2, 3, 5], 8), None),
            ("a node more", whole(&[1, 2, 3, 4, 5], 8), None),
            ("a node less", whole(&[1, 2, 3], 8), None),
            ("half of the nodes stay", whole(&[1, 2], 8), None),
            (
                "most of them do not",
                whole(&[1, 5, 6, 7], 8),
                Some(Doubt::OtherNodes),
            ),
            (
                "another cluster",
                whole(&[6, 7], 9),
                Some(Doubt::OtherNodes),
            ),
            (
                "a slot is lost",
                lacking(&[1, 2, 3, 4], 7),
                Some(Doubt::FewerSlots),
            ),
            ("a reset node", Topology::empty(), Some(Doubt::FewerSlots)),
            (
                "a node left behind",
                whole(&[1, 2, 3, 4], 6),
                Some(Doubt::OlderEpoch),
            ),
            ("it tells no epoch", without_epoch, None),
        ];
        for (what, told, expected) in cases {
            assert_eq!(doubt(Some(&known), &told), expected, "{what}");
        }
        assert_eq!(doubt(None, &known), None);
        let part = lacking(&[1], 1);
        assert_eq!(
            doubt(None, &part),
            Some(Doubt::FewerSlots),
            "while others may know more"
        );
        assert_eq!(doubt(Some(&part), &whole(&[1], 1)), None, "a slot more");
    }

    #[test]
    fn what_several_tell() {
        let known = whole(&[1, 2, 3], 7);
        let reset = Topology::empty;
        let smaller = || lacking(&[1, 2, 3], 7);
        let other = || whole(&[6, 7, 8], 9);
        let behind = || whole(&[1, 2, 4], 6);
        let cases: &[(&str, Vec<Topology>, Verdict)] = &[
            ("nobody answers", vec![], Verdict::Keep),
            ("one was reset", vec![reset()], Verdict::Keep),
            (
                "all were reset",
                vec![reset(), reset(), reset()],
                Verdict::Keep,
            ),
            (
                "two say that a slot is lost",
                vec![smaller(), smaller()],
                Verdict::Take(1),
            ),
            (
                "and one was reset",
                vec![reset(), smaller(), smaller()],
                Verdict::Take(2),
            ),
            ("one alone says it", vec![smaller()], Verdict::Add(0)),
            ("one alone is behind", vec![behind()], Verdict::Add(0)),
            (
                "the cluster was replaced",
                vec![other(), other()],
                Verdict::Take(1),
            ),
            ("and its only node answers", vec![other()], Verdict::Take(0)),
            (
                "one strays, one is behind",
                vec![other(), behind()],
                Verdict::Keep,
            ),
            (
                "two against one",
                vec![other(), smaller(), smaller()],
                Verdict::Take(2),
            ),
            (
                "two against three",
                vec![other(), other(), smaller(), smaller(), smaller()],
                Verdict::Take(4),
            ),
            (
                "a draw: the newer epoch",
                vec![other(), other(), smaller(), smaller()],
                Verdict::Take(1),
            ),
        ];
        for (what, told, expected) in cases {
            assert_eq!(settle(Some(&known), told), *expected, "{what}");
        }
        assert_eq!(settle(None, &[smaller(), reset()]), Verdict::Take(0));
        assert_eq!(settle(None, &[reset()]), Verdict::Keep);
    }

    #[test]
    fn enough_is_a_majority_of_those_that_are_heard_at_most() {
        const { assert!(ENOUGH * 2 > MOST_HEARD) };
        let (one, other) = (whole(&[1, 2], 1), whole(&[3, 4], 1));
        assert!(!is_confirmed(&[one.clone(), other.clone()]));
        assert!(is_confirmed(&[one.clone(), other.clone(), one.clone()]));
        assert!(!is_settled(&[one.clone(), other.clone(), one.clone()]));
        assert!(is_settled(&[one.clone(), other, one.clone(), one]));
        assert!(!is_settled(&[
            Topology::empty(),
            Topology::empty(),
            Topology::empty()
        ]));
    }

    #[test]
    fn nodes_agree_although_slots_are_on_the_move() {
        let before = whole(&[1, 2, 3], 7);
        let mut during = before.clone();
        for slot in 0..100 {
            during = during.with_owner(Slot::new(slot).unwrap(), &NodeAddr::new("10.0.0.1", 3));
        }
        assert!(agree(&before, &during));
        assert!(
            !agree(&before, &whole(&[3, 2, 1], 7)),
            "the same nodes, other slots"
        );
        assert!(
            !agree(&before, &cluster(&[1, 2, 3], 8000, 7)),
            "half of the slots"
        );
    }
}

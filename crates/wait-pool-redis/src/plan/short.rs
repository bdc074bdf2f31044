//! The plan of a request that only has to be sent: which positions go to which shard.

use std::ops::Range;

use smallvec::SmallVec;

/// The positions of a batch by shard. Up to sixteen commands for four shards take no allocation.
#[derive(Debug, Default)]
pub(crate) struct ByShard {
    /// Those of one shard together and in order.
    pub(crate) order: SmallVec<[u32; 16]>,
    /// The shards in the order of their first commands, and the places of each in the order.
    pub(crate) parts: SmallVec<[(usize, Range<usize>); 4]>,
}

/// Puts the positions together that go to the same shard. None if one goes to none.
pub(crate) fn by_shard(shards: impl ExactSizeIterator<Item = Option<usize>>) -> Option<ByShard> {
    let mut plan = ByShard {
        order: SmallVec::from_elem(0, shards.len()),
        parts: SmallVec::new(),
    };
    let mut part_of: SmallVec<[u16; 16]> = SmallVec::with_capacity(shards.len());
    for shard in shards {
        let shard = shard?;
        let known = plan.parts.iter().position(|(known, _)| *known == shard);
        let part = known.unwrap_or_else(|| {
            plan.parts.push((shard, 0..0));
            plan.parts.len() - 1
        });
        plan.parts[part].1.end += 1;
        part_of.push(u16::try_from(part).ok()?);
    }
    let mut begin = 0;
    for (_, places) in &mut plan.parts {
        let count = places.end;
        *places = begin..begin;
        begin += count;
    }
    for (position, part) in (0..).zip(part_of) {
        let (_, places) = &mut plan.parts[usize::from(part)];
        plan.order[places.end] = position;
        places.end += 1;
    }
    Some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shards: &[usize]) -> ByShard {
        by_shard(shards.iter().copied().map(Some)).unwrap()
    }

    #[test]
    fn what_goes_nowhere_has_no_plan() {
        assert!(by_shard([Some(1), None].into_iter()).is_none());
    }

    #[test]
    fn positions_stand_together_by_shard_and_in_order() {
        let plan = plan(&[7, 2, 7, 7, 0, 2]);
        assert_eq!(plan.order[..], [0, 2, 3, 1, 5, 4]);
        assert_eq!(plan.parts[..], [(7, 0..3), (2, 3..5), (0, 5..6)]);
    }

    #[test]
    fn nothing_is_no_part() {
        let plan = plan(&[]);
        assert!(plan.order.is_empty() && plan.parts.is_empty());
    }

    #[test]
    fn a_usual_request_takes_no_allocation() {
        let plan = plan(&[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
        assert!(!plan.order.spilled() && !plan.parts.spilled());
    }
}

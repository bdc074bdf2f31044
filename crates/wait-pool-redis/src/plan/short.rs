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

/// Puts the positions together that go to the same shard.
pub(crate) fn by_shard(shards: &[u16]) -> ByShard {
    let mut counts: SmallVec<[(u16, usize); 4]> = SmallVec::new();
    for &shard in shards {
        match counts.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, count)) => *count += 1,
            None => counts.push((shard, 1)),
        }
    }
    let mut plan = ByShard {
        order: SmallVec::from_elem(0, shards.len()),
        parts: SmallVec::new(),
    };
    let mut begin = 0;
    for &(shard, count) in &counts {
        plan.parts.push((shard.into(), begin..begin));
        begin += count;
    }
    for (position, &shard) in shards.iter().enumerate() {
        let part = plan
            .parts
            .iter_mut()
            .find(|(known, _)| *known == usize::from(shard));
        if let Some((_, places)) = part {
            plan.order[places.end] = position as u32;
            places.end += 1;
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stand_together_by_shard_and_in_order() {
        let plan = by_shard(&[7, 2, 7, 7, 0, 2]);
        assert_eq!(plan.order[..], [0, 2, 3, 1, 5, 4]);
        assert_eq!(plan.parts[..], [(7, 0..3), (2, 3..5), (0, 5..6)]);
    }

    #[test]
    fn nothing_is_no_part() {
        let plan = by_shard(&[]);
        assert!(plan.order.is_empty() && plan.parts.is_empty());
    }

    #[test]
    fn a_usual_request_takes_no_allocation() {
        let plan = by_shard(&[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
        assert!(!plan.order.spilled() && !plan.parts.spilled());
    }
}

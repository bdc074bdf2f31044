//! Several ordered lists in one store: removal from anywhere is O(1), and ids are stable.
//!
//! An entry stands in one lane, or in none and is only stored under its id. It keeps its id when it
//! changes lanes. The lists know nothing of what they store.

use std::num::NonZeroU32;
use std::ops::Range;

use slab::Slab;

/// Names an entry from [`Lanes::store`] until [`Lanes::remove`]. Its place in the store and one more,
/// so that an optional one is as small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(NonZeroU32);

#[derive(Debug)]
pub(crate) struct Lanes<T, const N: usize> {
    nodes: Slab<Node<T>>,
    lanes: [Lane; N],
    /// How many entries stand in a lane.
    standing: usize,
    /// The lanes that somebody stands in, a bit for each.
    occupied: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    head: Option<Id>,
    tail: Option<Id>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    prev: Option<Id>,
    next: Option<Id>,
    lane: Option<u8>,
    value: T,
}

impl<T, const N: usize> Lanes<T, N> {
    pub(crate) const fn new() -> Self {
        let empty = Lane {
            head: None,
            tail: None,
            len: 0,
        };
        Self {
            nodes: Slab::new(),
            lanes: [empty; N],
            standing: 0,
            occupied: 0,
        }
    }

    /// Those of the `lanes` that somebody stands in.
    pub(crate) fn occupied(&self, lanes: Range<usize>) -> impl Iterator<Item = usize> + use<T, N> {
        let wanted = (1 << lanes.end) - (1 << lanes.start);
        let mut left = self.occupied & wanted;
        std::iter::from_fn(move || {
            let next = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (next < u32::BITS).then_some(next as usize)
        })
    }

    /// How many entries stand in any lane.
    pub(crate) const fn standing(&self) -> usize {
        self.standing
    }

    pub(crate) const fn len(&self, lane: usize) -> usize {
        self.lanes[lane].len
    }

    pub(crate) fn front(&self, lane: usize) -> Option<Id> {
        self.lanes[lane].head
    }

    pub(crate) fn back(&self, lane: usize) -> Option<Id> {
        self.lanes[lane].tail
    }

    /// Stores a value in no lane.
    pub(crate) fn store(&mut self, value: T) -> Id {
        let node = Node {
            prev: None,
            next: None,
            lane: None,
            value,
        };
        name(self.nodes.insert(node))
    }

    /// Puts an entry that stands in no lane at the end of one.
    pub(crate) fn push_back(&mut self, lane: usize, id: Id) {
        self.link(lane, id, None);
    }

    /// Puts an entry that stands in no lane before the first of a lane that is `later` than it.
    /// O(those that are not).
    pub(crate) fn insert(&mut self, lane: usize, id: Id, later: impl Fn(&T) -> bool) {
        let next = self.iter(lane).find(|(_, value)| later(value));
        let next = next.map(|(id, _)| id);
        self.link(lane, id, next);
    }

    /// Takes an entry out of its lane and keeps it. Does nothing to one that stands in none.
    pub(crate) fn detach(&mut self, id: Id) -> &mut T {
        let node = self.node_mut(id);
        if let Some(lane) = node.lane.take() {
            let (prev, next) = (node.prev.take(), node.next.take());
            let lane = usize::from(lane);
            self.lanes[lane].len -= 1;
            self.standing -= 1;
            match prev {
                Some(prev) => self.node_mut(prev).next = next,
                None => self.lanes[lane].head = next,
            }
            match next {
                Some(next) => self.node_mut(next).prev = prev,
                None => self.lanes[lane].tail = prev,
            }
            if self.lanes[lane].len == 0 {
                self.occupied &= !(1 << lane);
            }
        }
        self.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: Id) -> T {
        self.detach(id);
        let value = self.nodes.remove(index(id)).value;
        // A crowd that is gone need not be remembered.
        if self.nodes.is_empty() && self.nodes.capacity() > ROOM_KEPT {
            self.nodes = Slab::with_capacity(ROOM_KEPT);
        }
        value
    }

    pub(crate) fn get(&self, id: Id) -> &T {
        &self.nodes[index(id)].value
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut T {
        &mut self.node_mut(id).value
    }

    /// How many entries there are, in a lane or in none.
    pub(crate) fn stored(&self) -> usize {
        self.nodes.len()
    }

    /// All entries, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Id, &T)> {
        self.nodes.iter().map(|(at, node)| (name(at), &node.value))
    }

    /// The entries of a lane in order.
    pub(crate) fn iter(&self, lane: usize) -> impl Iterator<Item = (Id, &T)> {
        std::iter::successors(self.front(lane), |id| self.nodes[index(*id)].next)
            .map(|id| (id, self.get(id)))
    }

    /// Links an entry before `next`, or at the end.
    fn link(&mut self, lane: usize, id: Id, next: Option<Id>) {
        let prev = match next {
            Some(next) => self.node_mut(next).prev.replace(id),
            None => self.lanes[lane].tail.replace(id),
        };
        match prev {
            Some(prev) => self.node_mut(prev).next = Some(id),
            None => self.lanes[lane].head = Some(id),
        }
        self.lanes[lane].len += 1;
        self.standing += 1;
        self.occupied |= 1 << lane;
        let node = self.node_mut(id);
        debug_assert!(node.lane.is_none(), "it stands in one lane at most");
        (node.prev, node.next) = (prev, next);
        node.lane = u8::try_from(lane).ok();
    }

    fn node_mut(&mut self, id: Id) -> &mut Node<T> {
        &mut self.nodes[index(id)]
    }
}

fn name(index: usize) -> Id {
    let place = u32::try_from(index + 1).ok();
    let id = place.and_then(NonZeroU32::new);
    Id(id.expect("memory ends before four thousand million entries"))
}

const fn index(id: Id) -> usize {
    id.0.get() as usize - 1
}

/// How many entries an empty store keeps room for.
const ROOM_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn order<const N: usize>(lanes: &Lanes<i32, N>, lane: usize) -> Vec<i32> {
        let order: Vec<i32> = lanes.iter(lane).map(|(_, value)| *value).collect();
        assert_eq!(order.len(), lanes.len(lane));
        order
    }

    fn push<const N: usize>(lanes: &mut Lanes<i32, N>, lane: usize, value: i32) -> Id {
        let id = lanes.store(value);
        lanes.push_back(lane, id);
        id
    }

    #[test]
    fn order_is_kept_under_removal_anywhere() {
        let mut lanes = Lanes::<i32, 1>::new();
        let ids: Vec<Id> = (1..=5).map(|n| push(&mut lanes, 0, n)).collect();
        assert_eq!(order(&lanes, 0), [1, 2, 3, 4, 5]);
        assert_eq!(lanes.remove(ids[2]), 3);
        assert_eq!(lanes.remove(ids[0]), 1);
        assert_eq!(lanes.remove(ids[4]), 5);
        assert_eq!(order(&lanes, 0), [2, 4]);
        push(&mut lanes, 0, 6);
        assert_eq!(order(&lanes, 0), [2, 4, 6]);
        assert_eq!(lanes.back(0).map(|id| *lanes.get(id)), Some(6));
    }

    #[test]
    fn an_entry_changes_lanes_and_keeps_its_id() {
        let mut lanes = Lanes::<i32, 2>::new();
        let first = push(&mut lanes, 0, 1);
        push(&mut lanes, 0, 2);
        push(&mut lanes, 1, 3);
        *lanes.detach(first) = 10;
        lanes.push_back(1, first);
        assert_eq!((order(&lanes, 0), order(&lanes, 1)), (vec![2], vec![3, 10]));
        lanes.detach(first);
        assert_eq!(*lanes.detach(first), 10);
        assert_eq!(order(&lanes, 1), [3]);
        assert_eq!(lanes.remove(first), 10);
    }

    #[test]
    fn an_entry_goes_before_the_first_later_one() {
        let mut lanes = Lanes::<i32, 1>::new();
        for value in [10, 20, 30] {
            push(&mut lanes, 0, value);
        }
        for value in [5, 25, 35] {
            let id = lanes.store(value);
            lanes.insert(0, id, |other| *other > value);
        }
        assert_eq!(order(&lanes, 0), [5, 10, 20, 25, 30, 35]);
        assert_eq!(lanes.front(0).map(|id| *lanes.get(id)), Some(5));
    }

    #[test]
    fn room_for_a_crowd_is_given_up_with_its_last_entry() {
        let mut lanes = Lanes::<i32, 1>::new();
        let ids: Vec<Id> = (0..10_000).map(|n| push(&mut lanes, 0, n)).collect();
        for id in ids {
            lanes.remove(id);
        }
        assert!(lanes.nodes.capacity() <= ROOM_KEPT);
    }

    #[test]
    fn ids_are_reused_only_after_removal() {
        let mut lanes = Lanes::<i32, 1>::new();
        let first = push(&mut lanes, 0, 1);
        lanes.detach(first);
        let second = push(&mut lanes, 0, 2);
        assert_ne!(first, second);
        lanes.remove(first);
        assert_eq!(push(&mut lanes, 0, 3), first);
        assert_eq!(order(&lanes, 0), [2, 3]);
    }
}

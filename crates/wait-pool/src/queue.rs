//! A first-in-first-out list whose entries keep a stable id: removal from anywhere is O(1).
//!
//! An entry is *linked* (it has a place in the order) or *detached* (out of the order, its value
//! still stored under its id). A waiter that was handed a connection is detached until its future
//! picks the connection up or is dropped. The list knows nothing of what it stores.

use slab::Slab;

/// Names an entry from `push_*` until `remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(usize);

#[derive(Debug)]
pub(crate) struct Queue<T> {
    nodes: Slab<Node<T>>,
    head: Option<Id>,
    tail: Option<Id>,
    linked: usize,
}

#[derive(Debug)]
struct Node<T> {
    links: Option<Links>,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    prev: Option<Id>,
    next: Option<Id>,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Slab::new(),
            head: None,
            tail: None,
            linked: 0,
        }
    }

    /// How many entries have a place in the order.
    pub(crate) fn len(&self) -> usize {
        self.linked
    }

    pub(crate) fn front(&self) -> Option<(Id, &T)> {
        self.head.map(|id| (id, &self.nodes[id.0].value))
    }

    pub(crate) fn push_back(&mut self, value: T) -> Id {
        let prev = self.tail;
        let id = self.insert(Links { prev, next: None }, value);
        self.tail = Some(id);
        match prev {
            Some(prev) => self.links_mut(prev).next = Some(id),
            None => self.head = Some(id),
        }
        id
    }

    /// Takes an entry out of the order and keeps its value. Does nothing to a detached one.
    pub(crate) fn detach(&mut self, id: Id) -> &mut T {
        if let Some(Links { prev, next }) = self.nodes[id.0].links.take() {
            self.linked -= 1;
            match prev {
                Some(prev) => self.links_mut(prev).next = next,
                None => self.head = next,
            }
            match next {
                Some(next) => self.links_mut(next).prev = prev,
                None => self.tail = prev,
            }
        }
        self.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: Id) -> T {
        self.detach(id);
        let value = self.nodes.remove(id.0).value;
        // A crowd that is gone need not be remembered.
        if self.nodes.is_empty() && self.nodes.capacity() > ROOM_KEPT {
            self.nodes = Slab::with_capacity(ROOM_KEPT);
        }
        value
    }

    pub(crate) fn get(&self, id: Id) -> &T {
        &self.nodes[id.0].value
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut T {
        &mut self.nodes[id.0].value
    }

    /// The linked entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        std::iter::successors(self.head, |id| {
            self.nodes[id.0].links.and_then(|links| links.next)
        })
        .map(|id| (id, &self.nodes[id.0].value))
    }

    fn insert(&mut self, links: Links, value: T) -> Id {
        self.linked += 1;
        Id(self.nodes.insert(Node {
            links: Some(links),
            value,
        }))
    }

    fn links_mut(&mut self, id: Id) -> &mut Links {
        self.nodes[id.0]
            .links
            .as_mut()
            .expect("a neighbour of a linked entry is linked")
    }
}

/// How many entries an empty queue keeps room for.
const ROOM_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn order(queue: &Queue<i32>) -> Vec<i32> {
        queue.iter().map(|(_, value)| *value).collect()
    }

    #[test]
    fn order_is_kept_under_removal_anywhere() {
        let mut queue = Queue::new();
        let ids: Vec<Id> = (1..=5).map(|n| queue.push_back(n)).collect();
        assert_eq!(order(&queue), [1, 2, 3, 4, 5]);
        assert_eq!(queue.remove(ids[2]), 3);
        assert_eq!(queue.remove(ids[0]), 1);
        assert_eq!(queue.remove(ids[4]), 5);
        assert_eq!(order(&queue), [2, 4]);
        queue.push_back(6);
        assert_eq!(order(&queue), [2, 4, 6]);
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn room_for_a_crowd_is_given_up_with_its_last_entry() {
        let mut queue = Queue::new();
        let ids: Vec<Id> = (0..10_000).map(|n| queue.push_back(n)).collect();
        for id in ids {
            queue.remove(id);
        }
        assert!(queue.nodes.capacity() <= ROOM_KEPT);
    }

    #[test]
    fn a_detached_entry_keeps_its_value_and_loses_its_place() {
        let mut queue = Queue::new();
        let first = queue.push_back(1);
        let second = queue.push_back(2);
        *queue.detach(first) = 10;
        assert_eq!(queue.front(), Some((second, &2)));
        assert_eq!(queue.len(), 1);
        assert_eq!(*queue.detach(first), 10);
        assert_eq!(queue.remove(first), 10);
        assert_eq!(queue.remove(second), 2);
        assert!(queue.len() == 0 && queue.front().is_none());
    }

    #[test]
    fn ids_are_reused_only_after_removal() {
        let mut queue = Queue::new();
        let first = queue.push_back(1);
        queue.detach(first);
        let second = queue.push_back(2);
        assert_ne!(first, second);
        queue.remove(first);
        assert_eq!(queue.push_back(3), first);
        assert_eq!(order(&queue), [2, 3]);
    }
}

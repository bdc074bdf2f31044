//! The figures of all nodes of a cluster together.

use wait_pool::{GroupStatus, Status};

use crate::node::NodeAddr;

/// The figures of all nodes of a cluster together. Each node's are of one moment; those of two nodes may be
/// of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The bound on `connections`, if there is [one](crate::Builder::max_connections).
    pub max_connections: Option<usize>,
    /// Connections, those being opened or closed included. Never above the bound. Where there is one
    /// this is exact, and connections to nodes that have left the cluster are counted until they are gone.
    pub connections: usize,
    /// Open connections that no request uses.
    pub idle: usize,
    /// Open connections that requests use.
    pub in_use: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Connections that requests wait for, to be opened once there is room for them in total.
    pub held_up: usize,
    /// Requests that use a connection, alone or together with others; a pipeline counts once at each node.
    pub holders: usize,
    /// Requests in line.
    pub waiting: usize,
    /// Nodes that a pool has been made for.
    pub nodes: usize,
}

impl Totals {
    pub(crate) fn new(nodes: &[(NodeAddr, Status)], group: Option<GroupStatus>) -> Self {
        let sum = |figure: fn(&Status) -> usize| nodes.iter().map(|(_, of)| figure(of)).sum();
        let open = sum(|of| of.size);
        Self {
            max_connections: group.map(|group| group.max_connections),
            connections: group.map_or(open, |group| group.connections),
            idle: sum(|of| of.idle),
            in_use: sum(|of| of.in_use),
            opening: sum(|of| of.opening),
            held_up: sum(|of| of.held_up),
            holders: sum(|of| of.holders),
            waiting: sum(|of| of.waiting),
            nodes: nodes.len(),
        }
    }
}

//! Where a command goes next: what its answer, or the lack of one, asks for.

use std::sync::Arc;

use redis::Value;

use super::{Dispatch, random_slot};
use crate::error::{Failure, FailureKind};
use crate::nodes::Node;
use crate::plan::Item;
use crate::redirect::{self, Redirect};
use crate::route::Route;

/// Where items go next.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// To a node, behind `ASKING` if so.
    Node { node: Arc<Node>, asking: bool },
    /// To whoever the next topology names: the current one names nobody.
    Unknown,
}

impl From<Option<Arc<Node>>> for Target {
    fn from(node: Option<Arc<Node>>) -> Self {
        match node {
            Some(node) => Self::Node {
                node,
                asking: false,
            },
            None => Self::Unknown,
        }
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, Self::Unknown) => true,
            (
                Self::Node { node, asking },
                Self::Node {
                    node: other,
                    asking: other_asking,
                },
            ) => Arc::ptr_eq(node, other) && asking == other_asking,
            _ => false,
        }
    }
}

impl Dispatch {
    /// Where an answer sends its command.
    pub(super) fn redirected(&self, value: &Value, asked: &Node) -> Option<Target> {
        if redirect::casts_doubt(value) {
            self.look_again();
        }
        if !self.sharded {
            return None;
        }
        let (addr, asking) = match redirect::of_value(value, asked.addr())? {
            Redirect::Moved(slot, addr) => {
                self.topologies.moved(slot, &addr);
                (addr, false)
            }
            Redirect::Ask(addr) => (addr, true),
        };
        // A node that points at itself would be asked again at once, to no avail.
        if addr == *asked.addr() {
            return None;
        }
        let node = self.topologies.nodes.at(&addr).ok()?;
        Some(Target::Node { node, asking })
    }

    /// Where an item may be sent after a failure: to the same node if its connection was lost and it
    /// only reads, to another if it could not be reached and any will do.
    pub(super) fn another_try(
        &self,
        failure: &Failure,
        item: &Item<'_>,
        tried: &Target,
    ) -> Option<Target> {
        match failure.kind {
            FailureKind::ConnectionLost if item.routed.repeatable => Some(tried.clone()),
            FailureKind::NoConnection if item.routed.route == Route::Any => {
                let Target::Node { node, .. } = tried else {
                    return None;
                };
                let node = self.topologies.known()?.other_than(node, random_slot())?;
                Some(Target::Node {
                    node,
                    asking: false,
                })
            }
            _ => None,
        }
    }

    /// A node that could not be reached or hung up may have been replaced, and then its other
    /// connections are dead too. One that is busy has not.
    pub(super) fn suspect(&self, failure: &Failure, node: &Node) {
        match failure.kind {
            FailureKind::NoConnection | FailureKind::NoAnswer => self.look_again(),
            FailureKind::ConnectionLost => {
                node.pool().doubt_idle();
                self.look_again();
            }
            FailureKind::Busy | FailureKind::Refused | FailureKind::Unserved => {}
        }
    }

    /// Has the topology looked up, in the background and not too often.
    pub(super) fn look_again(&self) {
        self.topologies.request();
    }
}

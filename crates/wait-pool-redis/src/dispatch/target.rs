//! Where the pieces of a batch go first.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Dispatch, random_slot};
use crate::error::Failure;
use crate::keys::ResponsePolicy;
use crate::nodes::Node;
use crate::plan::{self, Answers, Item, Merge, Piece, Scan};
use crate::refresh::Snapshot;
use crate::route::Route;
use crate::slot::Slot;

/// Where items go.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// To this node.
    Node(Arc<Node>),
    /// To whoever the next topology names.
    Owner,
}

impl From<Option<Arc<Node>>> for Target {
    /// The current topology may name nobody.
    fn from(node: Option<Arc<Node>>) -> Self {
        node.map_or(Self::Owner, Self::Node)
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Owner, Self::Owner) => true,
            (Self::Node(node), Self::Node(other)) => Arc::ptr_eq(node, other),
            _ => false,
        }
    }
}

impl Dispatch {
    /// Says where every piece goes, and cuts those that go to several nodes: their pieces come behind the
    /// others.
    pub(super) fn spread<'a>(
        &self,
        pieces: &mut Vec<Piece<'a>>,
        answers: &mut Answers,
        snapshot: &Snapshot,
    ) -> Vec<(Target, Item)> {
        let any = any_slot(pieces);
        let mut targets = Vec::with_capacity(pieces.len());
        for number in 0..pieces.len() {
            let routed = pieces[number].routed;
            match routed.route {
                Route::Slot(_) if self.is_cut(number, pieces, answers, snapshot, &mut targets) => {}
                Route::Slot(_) | Route::Any => {
                    let node = snapshot.primary(routed.route, any);
                    targets.push((node.into(), item(number)));
                }
                Route::Primaries => {
                    let nodes = snapshot.serving().cloned().collect();
                    everywhere(nodes, number, pieces, answers, &mut targets);
                }
                Route::Nodes => {
                    let nodes = snapshot.every_node().cloned().collect();
                    everywhere(nodes, number, pieces, answers, &mut targets);
                }
                Route::Scan => targets.extend(scan(number, pieces, answers, snapshot)),
            }
        }
        targets
    }

    /// Cuts a piece whose keys are in several slots.
    fn is_cut<'a>(
        &self,
        number: usize,
        pieces: &mut Vec<Piece<'a>>,
        answers: &mut Answers,
        snapshot: &Snapshot,
        targets: &mut Vec<(Target, Item)>,
    ) -> bool {
        let Piece {
            position, routed, ..
        } = pieces[number];
        let range = routed.split;
        let Some(cuts) = range.and_then(|range| plan::cut(&pieces[number].cmd, range)) else {
            return false;
        };
        let merge = match routed.response {
            ResponsePolicy::Default => {
                let keys: Vec<_> = cuts.iter().map(|cut| cut.keys.clone()).collect();
                let count = keys.iter().map(Vec::len).sum();
                Merge::Keys(keys, count)
            }
            policy => Merge::Policy(policy),
        };
        answers.split(position, merge, cuts.len());
        for (place, cut) in cuts.into_iter().enumerate() {
            let route = Route::Slot(cut.slot);
            targets.push((snapshot.primary(route, cut.slot).into(), item(pieces.len())));
            pieces.push(Piece {
                position,
                place,
                cmd: Cow::Owned(cut.cmd),
                routed: crate::route::Routed {
                    route,
                    split: None,
                    ..routed
                },
            });
        }
        true
    }
}

/// Sends a piece to all of these nodes.
fn everywhere<'a>(
    nodes: Vec<Arc<Node>>,
    number: usize,
    pieces: &mut Vec<Piece<'a>>,
    answers: &mut Answers,
    targets: &mut Vec<(Target, Item)>,
) {
    let whole = pieces[number].clone();
    let merge = match whole.routed.response {
        ResponsePolicy::Default => Merge::Concat,
        ResponsePolicy::Special if is_random_key(&whole) => Merge::SomeKey,
        ResponsePolicy::Special => {
            Merge::Nodes(nodes.iter().map(|node| node.addr().clone()).collect())
        }
        policy => Merge::Policy(policy),
    };
    answers.split(whole.position, merge, nodes.len());
    for (place, node) in nodes.into_iter().enumerate() {
        targets.push((Target::Node(node), item(pieces.len())));
        pieces.push(Piece {
            place,
            ..whole.clone()
        });
    }
}

/// One key of all is wanted, not one of each node's.
fn is_random_key(piece: &Piece<'_>) -> bool {
    crate::keys::find(&piece.cmd).is_some_and(|info| info.name() == "RANDOMKEY")
}

/// Sends a scan to the node where its cursor is.
fn scan(
    number: usize,
    pieces: &mut [Piece<'_>],
    answers: &mut Answers,
    snapshot: &Snapshot,
) -> Option<(Target, Item)> {
    let piece = &mut pieces[number];
    let Some((slot, own)) = Scan::read(&piece.cmd) else {
        answers.put(piece.position, 0, Err(Failure::no_cursor()));
        return None;
    };
    let Some((node, scan)) = snapshot.scanned(slot) else {
        answers.put(piece.position, 0, Err(Failure::unserved()));
        return None;
    };
    answers.split(piece.position, Merge::Scan(scan), 1);
    piece.cmd = Cow::Owned(own);
    Some((Target::Node(node), item(number)))
}

const fn item(piece: usize) -> Item {
    Item {
        piece,
        prelude: None,
    }
}

/// Says where commands go that any node may serve: where the batch goes anyway, else anywhere.
fn any_slot(pieces: &[Piece<'_>]) -> Slot {
    pieces
        .iter()
        .find_map(Piece::slot)
        .unwrap_or_else(random_slot)
}

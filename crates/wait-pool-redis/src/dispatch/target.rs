//! Where the pieces of a batch go first.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Dispatch, random_slot};
use crate::error::Failure;
use crate::keys::{self, ResponsePolicy};
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
    pub(super) fn spread(
        &self,
        pieces: &mut Vec<Piece<'_>>,
        answers: &mut Answers,
        snapshot: &Snapshot,
    ) -> Vec<(Target, Item)> {
        let at_any = self.may_ask_replicas(pieces);
        for piece in pieces.iter_mut() {
            piece.at_any = at_any;
        }
        let mut spread = Spread {
            dispatch: self,
            snapshot,
            any: any_slot(pieces),
            turn: if at_any { self.next_turn() } else { 0 },
            targets: Vec::with_capacity(pieces.len()),
            pieces,
            answers,
        };
        for number in 0..spread.pieces.len() {
            spread.place(number);
        }
        spread.targets
    }

    /// Whether all of a batch only reads, and the user wants such batches to go to replicas.
    fn may_ask_replicas(&self, pieces: &[Piece<'_>]) -> bool {
        let reads = |piece: &Piece<'_>| {
            piece.routed.readonly && matches!(piece.routed.route, Route::Slot(_))
        };
        self.settings.read_from.asks_replicas() && pieces.iter().all(reads)
    }
}

/// A batch whose pieces are being given their places.
struct Spread<'s, 'a> {
    dispatch: &'s Dispatch,
    snapshot: &'s Snapshot,
    /// Where pieces go that any node may serve: where the batch goes anyway, else anywhere.
    any: Slot,
    turn: usize,
    pieces: &'s mut Vec<Piece<'a>>,
    answers: &'s mut Answers,
    targets: Vec<(Target, Item)>,
}

impl Spread<'_, '_> {
    fn place(&mut self, number: usize) {
        let route = self.pieces[number].routed.route;
        match route {
            Route::Slot(_) if self.is_cut(number) => {}
            Route::Slot(_) | Route::Any => self.assign(number),
            Route::Primaries => {
                let serving = self.snapshot.serving();
                let nodes = serving.map(|(node, slot)| (Arc::clone(node), Some(slot)));
                self.everywhere(nodes.collect(), number);
            }
            Route::Nodes => {
                let nodes = self.snapshot.every_node().cloned();
                self.everywhere(nodes.map(|node| (node, None)).collect(), number);
            }
            Route::Scan => self.scan(number),
        }
    }

    fn assign(&mut self, number: usize) {
        let piece = &self.pieces[number];
        let node = match (piece.slot(), piece.at_any) {
            (Some(slot), true) => {
                let from = &self.dispatch.settings.read_from;
                self.snapshot.reader(slot, from, self.turn, None)
            }
            _ => self.snapshot.primary(piece.routed.route, self.any),
        };
        self.targets.push((node.into(), item(number)));
    }

    /// Cuts a piece whose keys are in several slots.
    fn is_cut(&mut self, number: usize) -> bool {
        let whole = self.pieces[number].clone();
        let (position, routed, at_any) = (whole.position, whole.routed, whole.at_any);
        let range = routed.split;
        let Some(cuts) = range.and_then(|range| plan::cut(&whole.cmd, range)) else {
            return false;
        };
        let merge = Merge::of_cuts(routed.response, &cuts);
        self.answers.split(position, merge, cuts.len());
        for piece in Piece::of_cuts(position, routed, &cuts) {
            self.pieces.push(Piece { at_any, ..piece });
            self.assign(self.pieces.len() - 1);
        }
        true
    }

    /// Sends a piece to all of these nodes, each with a slot of its shard if whoever leads that
    /// may answer in its place.
    fn everywhere(&mut self, nodes: Vec<(Arc<Node>, Option<Slot>)>, number: usize) {
        let whole = self.pieces[number].clone();
        let merge = match whole.routed.response {
            ResponsePolicy::Default => Merge::Concat,
            ResponsePolicy::Special if is_random_key(&whole) => Merge::SomeKey,
            ResponsePolicy::Special => {
                Merge::Nodes(nodes.iter().map(|(node, _)| node.addr().clone()).collect())
            }
            policy => Merge::Policy(policy),
        };
        // Where it matters who has said what, nobody speaks for another.
        let is_named = matches!(merge, Merge::Nodes(_));
        self.answers.split(whole.position, merge, nodes.len());
        for (place, (node, shard)) in nodes.into_iter().enumerate() {
            let number = self.pieces.len();
            self.targets.push((Target::Node(node), item(number)));
            self.pieces.push(Piece {
                place,
                shard: shard.filter(|_| !is_named),
                ..whole.clone()
            });
        }
    }

    /// Sends a scan to the node where its cursor is.
    fn scan(&mut self, number: usize) {
        let piece = &mut self.pieces[number];
        let found = Scan::read(&piece.cmd).ok_or_else(Failure::no_cursor);
        let found = found.and_then(|(slot, own)| {
            let (node, scan) = self.snapshot.scanned(slot).ok_or_else(Failure::unserved)?;
            Ok((node, scan, own))
        });
        match found {
            Ok((node, scan, own)) => {
                self.answers.split(piece.position, Merge::Scan(scan), 1);
                piece.cmd = Cow::Owned(own);
                self.targets.push((Target::Node(node), item(number)));
            }
            Err(failure) => self.answers.put(piece.position, 0, Err(failure)),
        }
    }
}

/// One key of all is wanted, not one of each node's.
fn is_random_key(piece: &Piece<'_>) -> bool {
    keys::find(&piece.cmd).is_some_and(|info| info.name() == "RANDOMKEY")
}

const fn item(piece: usize) -> Item {
    Item {
        piece,
        prelude: None,
    }
}

fn any_slot(pieces: &[Piece<'_>]) -> Slot {
    let keyed = pieces.iter().find_map(Piece::slot);
    keyed.unwrap_or_else(random_slot)
}

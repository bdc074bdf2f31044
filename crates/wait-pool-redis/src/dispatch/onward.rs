//! What becomes of a part that has come back: which answers stand, and where the rest goes.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::batch::{Outcome, Step};
use super::target::Target;
use super::{Dispatch, random_slot};
use crate::error::{Failure, FailureKind};
use crate::keys;
use crate::node::NodeAddr;
use crate::nodes::Node;
use crate::plan::{self, Fate, Item, Piece, Prelude};
use crate::redirect::{self, Budget, Next};
use crate::route::Route;
use crate::slot::Slot;

/// Where one command of a part goes.
#[derive(Clone, Debug)]
struct Way {
    step: Step,
    prelude: Option<Prelude>,
}

/// What is left once a command is sent again, and how long it waits before.
type Try = (Budget, Duration);

/// What it costs to send the commands of a part again.
#[derive(Clone, Copy)]
struct Tries {
    at_once: Option<Try>,
    later: Option<Try>,
}

impl Dispatch {
    /// Takes what a part of items brought back from a node.
    pub(super) fn after(
        &self,
        pieces: &[Piece<'_>],
        items: Vec<Item>,
        node: &Arc<Node>,
        sent: Result<Vec<Value>, Failure>,
        budget: Budget,
    ) -> Outcome {
        let answers: Vec<Result<Value, Failure>> = match sent {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(failure) => {
                self.suspect(&failure, node);
                items.iter().map(|_| Err(failure.clone())).collect()
            }
        };
        // The same for all, so that what goes one way travels together.
        let tries = Tries {
            at_once: budget.spend(false),
            later: budget.spend(true),
        };
        let ways: Vec<_> = items
            .iter()
            .zip(&answers)
            .map(|(item, answer)| self.way(&pieces[item.piece], item, answer, node, tries))
            .collect();
        if ways.iter().all(Option::is_none) {
            let pieces = items.iter().map(|item| item.piece);
            return Outcome {
                answered: pieces.zip(answers).collect(),
                again: Vec::new(),
            };
        }
        let mut fates: Vec<_> = items
            .iter()
            .zip(&ways)
            .map(|(item, way)| self.fate(&pieces[item.piece], way.as_ref()))
            .collect();
        plan::keep_order(&mut fates);

        let mut answered = Vec::with_capacity(items.len());
        let mut again = Vec::new();
        for (((item, answer), way), fate) in items.into_iter().zip(answers).zip(ways).zip(fates) {
            let (Some(way), Some(step)) = (way, fate.goes) else {
                answered.push((item.piece, answer));
                continue;
            };
            // One that follows another has no business with what its own answer named.
            let prelude = way.prelude.filter(|_| way.step.target == step.target);
            again.push((step, Item { prelude, ..item }));
        }
        Outcome {
            answered,
            again: plan::group(again),
        }
    }

    fn fate<'k>(&self, piece: &'k Piece<'_>, way: Option<&Way>) -> Fate<'k, Step> {
        let info = self.commands.find(&piece.cmd).unwrap_or(keys::UNLISTED);
        Fate {
            keys: info.keys(&piece.cmd).collect(),
            slot: piece.slot(),
            readonly: piece.routed.readonly,
            goes: way.map(|way| way.step.clone()),
        }
    }

    /// Where a command goes after this answer, if anywhere.
    fn way(
        &self,
        piece: &Piece<'_>,
        item: &Item,
        answer: &Result<Value, Failure>,
        asked: &Arc<Node>,
        tries: Tries,
    ) -> Option<Way> {
        let next = match answer {
            Ok(Value::ServerError(error)) => redirect::after_error(error, asked.addr()),
            Ok(_) => return None,
            Err(failure) => {
                let repeatable = piece.routed.readonly || self.settings.retry_writes;
                redirect::after_failure(failure.kind, repeatable)
            }
        };
        let same = || Target::Node(Arc::clone(asked));
        let at_once = |target, prelude| Some(way(target, tries.at_once?, prelude));
        let later = |target, prelude| Some(way(target, tries.later?, prelude));
        // Another node of the shard may answer now.
        if piece.at_any && next.is_about_the_node() {
            asked.health().rest();
            if let Some(node) = self.elsewhere(piece, asked) {
                return at_once(Target::Node(node), item.prelude.clone());
            }
        }
        match next {
            Next::Stands => None,
            Next::Moved(slot, addr) => {
                let node = self.moved(slot, &addr)?;
                at_once(Target::Node(node), None)
            }
            Next::Ask(addr) => {
                let node = self.named(&addr)?;
                let asking = Prelude {
                    asking: true,
                    ..Prelude::default()
                };
                at_once(Target::Node(node), Some(asking))
            }
            Next::Again => at_once(same(), item.prelude.clone()),
            Next::Later => later(same(), item.prelude.clone()),
            Next::Owner if self.topologies.may_change() && piece.onward().is_some() => {
                self.look_again();
                later(Target::Owner, None)
            }
            Next::Owner => None,
            Next::Elsewhere => at_once(Target::Node(self.elsewhere(piece, asked)?), None),
            Next::WithScript => {
                let before = item.prelude.clone().unwrap_or_default();
                // It was told already.
                if before.script.is_some() {
                    return None;
                }
                let script = self.scripts.of(&piece.cmd);
                let prelude = Prelude {
                    script: Some(script?),
                    ..before
                };
                at_once(same(), Some(prelude))
            }
        }
    }

    /// Somebody else who serves a command: whoever does so by now, or anybody if all do.
    fn elsewhere(&self, piece: &Piece<'_>, tried: &Node) -> Option<Arc<Node>> {
        let known = self.topologies.known()?;
        let node = match piece.routed.route {
            Route::Any => known.other_than(tried, random_slot())?,
            Route::Slot(slot) if piece.at_any => {
                let from = &self.settings.read_from;
                known.reader(slot, from, self.next_turn(), Some(tried))?
            }
            Route::Slot(_) => known.primary(piece.routed.route, random_slot())?,
            Route::Primaries | Route::Nodes | Route::Scan => return None,
        };
        (node.addr() != tried.addr()).then_some(node)
    }

    /// The node that a server named as the new owner of a slot.
    pub(super) fn moved(&self, slot: Slot, addr: &NodeAddr) -> Option<Arc<Node>> {
        if !self.sharded {
            return None;
        }
        self.topologies.moved(slot, addr);
        self.topologies.nodes.at(addr).ok()
    }

    /// The node that a server named.
    pub(super) fn named(&self, addr: &NodeAddr) -> Option<Arc<Node>> {
        let redirects = self.sharded;
        redirects.then(|| self.topologies.nodes.at(addr).ok())?
    }

    /// A node that could not be reached or hung up may have been replaced, and then its other
    /// connections are dead too. One that is busy has not.
    pub(super) fn suspect(&self, failure: &Failure, node: &Node) {
        match failure.kind {
            FailureKind::NoConnection | FailureKind::NoAnswer => self.look_again(),
            FailureKind::ConnectionLost | FailureKind::Unsent => {
                node.pool().doubt_idle();
                self.look_again();
            }
            FailureKind::Busy
            | FailureKind::QueueFull
            | FailureKind::Refused
            | FailureKind::Unserved => {}
        }
    }
}

fn way(target: Target, (budget, pause): Try, prelude: Option<Prelude>) -> Way {
    Way {
        step: Step {
            target,
            pause,
            budget,
        },
        prelude,
    }
}

//! How the commands of a batch are spread over the nodes, and how their answers come together.

mod answers;
mod cut;
mod merge;
mod order;
mod scan;
mod short;
mod turns;

use std::borrow::Cow;
use std::sync::Arc;

use redis::Cmd;

use crate::route::{Route, Routed};
use crate::slot::Slot;

pub(crate) use answers::{Answers, values};
pub(crate) use cut::{Cuts, cut};
pub(crate) use merge::Merge;
pub(crate) use order::{Fate, keep_order};
pub(crate) use scan::Scan;
pub(crate) use short::{ByShard, by_shard};
pub(crate) use turns::turn;

/// A command of a batch, whole or cut, that one node answers.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    /// Of its command in the batch: where the answer goes.
    pub(crate) position: usize,
    /// Which of that command's pieces it is.
    pub(crate) place: usize,
    pub(crate) cmd: Cow<'a, Cmd>,
    pub(crate) routed: Routed,
    /// Whether any node of its shard may answer, replicas too.
    pub(crate) at_any: bool,
    /// Of one that goes to a certain shard without having a key there: a slot of that shard.
    pub(crate) shard: Option<Slot>,
}

impl<'a> Piece<'a> {
    pub(crate) const fn whole(position: usize, cmd: &'a Cmd, routed: Routed) -> Self {
        Self {
            position,
            place: 0,
            cmd: Cow::Borrowed(cmd),
            routed,
            at_any: false,
            shard: None,
        }
    }

    /// The pieces of a command that has been cut. Their answers are to be [merged](Merge::of_cuts).
    pub(crate) fn of_cuts(
        position: usize,
        routed: Routed,
        cuts: &Cuts<'_>,
    ) -> impl Iterator<Item = Self> {
        (0..cuts.len()).map(move |place| Self {
            position,
            place,
            cmd: Cow::Owned(cuts.cmd(place)),
            routed: Routed {
                route: Route::Slot(cuts.slot(place)),
                split: None,
                ..routed
            },
            at_any: false,
            shard: None,
        })
    }

    /// By which route its successor is found if the node it went to no longer serves. `None` if it was for
    /// that node alone: another one's answer would be another answer.
    pub(crate) fn onward(&self) -> Option<Route> {
        match self.routed.route {
            Route::Slot(_) | Route::Any => Some(self.routed.route),
            Route::Primaries => self.shard.map(Route::Slot),
            Route::Nodes | Route::Scan => None,
        }
    }

    /// The slot of its keys.
    pub(crate) const fn slot(&self) -> Option<Slot> {
        match self.routed.route {
            Route::Slot(slot) => Some(slot),
            _ => None,
        }
    }
}

/// What is sent right before a command, for its sake alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prelude {
    /// `SCRIPT LOAD`: the script that the command runs.
    pub(crate) script: Option<Arc<Cmd>>,
    /// `ASKING`: serve a slot that is still being imported. It holds for the next command only, so nothing may come
    /// between the two.
    pub(crate) asking: bool,
}

/// A command as it is written to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) cmd: &'a Cmd,
    pub(crate) prelude: Option<&'a Prelude>,
}

impl Outgoing<'_> {
    /// How many commands it is.
    pub(crate) fn len(&self) -> usize {
        let prelude =
            |prelude: &Prelude| usize::from(prelude.script.is_some()) + usize::from(prelude.asking);
        1 + self.prelude.map_or(0, prelude)
    }

    /// All commands that it is, in order.
    pub(crate) fn for_each(&self, mut command: impl FnMut(&Cmd)) {
        if let Some(prelude) = self.prelude {
            if let Some(load) = &prelude.script {
                command(load);
            }
            if prelude.asking {
                command(&redis::cmd("ASKING"));
            }
        }
        command(self.cmd);
    }
}

/// A piece on its way, by its number in the batch.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) piece: usize,
    pub(crate) prelude: Option<Prelude>,
}

/// Items that travel together, in the order of the batch.
#[derive(Debug)]
pub(crate) struct Part<T> {
    pub(crate) target: T,
    pub(crate) items: Vec<Item>,
}

/// Groups items by where they go. The groups stand in the order of their first items, and items
/// of one group, thus all that share a key, keep their order.
pub(crate) fn group<T: PartialEq>(items: impl IntoIterator<Item = (T, Item)>) -> Vec<Part<T>> {
    let mut parts: Vec<Part<T>> = Vec::new();
    for (target, item) in items {
        match parts.iter_mut().find(|part| part.target == target) {
            Some(part) => part.items.push(item),
            None => parts.push(Part {
                target,
                items: vec![item],
            }),
        }
    }
    parts
}

/// The one slot that all keys of a batch fall into; `None` for a batch without keys.
pub(crate) fn common_slot(pieces: &[Piece<'_>]) -> Result<Option<Slot>, CrossSlot> {
    let mut common = None;
    for piece in pieces {
        let Some(slot) = piece.slot() else {
            continue;
        };
        let is_split = piece
            .routed
            .split
            .is_some_and(|range| cut(&piece.cmd, range).is_some());
        if *common.get_or_insert(slot) != slot || is_split {
            return Err(CrossSlot);
        }
    }
    Ok(common)
}

/// The keys of what has to stay together fall into several slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossSlot;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Commands;
    use crate::route;

    fn commands(words: &[&str]) -> Vec<Cmd> {
        let split = |words: &&str| {
            let mut cmd = Cmd::new();
            for word in words.split(' ') {
                cmd.arg(word);
            }
            cmd
        };
        words.iter().map(split).collect()
    }

    fn pieces(commands: &[Cmd]) -> Vec<Piece<'_>> {
        let piece = |(position, cmd)| {
            let routed = route::route(&Commands::default(), cmd).unwrap();
            Piece::whole(position, cmd, routed)
        };
        commands.iter().enumerate().map(piece).collect()
    }

    #[test]
    fn every_command_is_in_one_part_and_parts_keep_the_order() {
        let commands = commands(&[
            "GET {a}1",
            "GET {b}1",
            "SET {a}2 x",
            "PING",
            "GET {b}2",
            "GET {a}1",
        ]);
        let items = pieces(&commands).into_iter().map(|piece| {
            let item = Item {
                piece: piece.position,
                prelude: None,
            };
            (piece.routed.route, item)
        });
        let parts = group(items);
        let positions: Vec<Vec<_>> = parts
            .iter()
            .map(|part| part.items.iter().map(|item| item.piece).collect())
            .collect();
        assert_eq!(positions, [vec![0, 2, 5], vec![1, 4], vec![3]]);
    }

    #[test]
    fn a_common_slot_is_found_or_refused() {
        let slot = |words: &[&str]| {
            let commands = commands(words);
            common_slot(&pieces(&commands))
        };
        assert_eq!(
            slot(&["GET {a}1", "PING", "SET {a}2 x"]),
            Ok(Some(Slot::of(b"a")))
        );
        assert_eq!(slot(&["PING"]), Ok(None));
        assert_eq!(slot(&["MGET {a}1 {a}2"]), Ok(Some(Slot::of(b"a"))));
        assert_eq!(slot(&["GET a", "GET b"]), Err(CrossSlot));
        assert_eq!(slot(&["MGET a b"]), Err(CrossSlot));
    }
}

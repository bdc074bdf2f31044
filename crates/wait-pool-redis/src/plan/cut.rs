//! Cutting a command with many keys into one for each slot.

use std::ops::Range;

use redis::{Arg, Cmd};
use smallvec::SmallVec;

use crate::route::KeyRange;
use crate::slot::Slot;

/// A command with many keys, cut: one command for each slot, in the order of the slots. Each has its keys, with
/// what belongs to them, in the command's own order and as often as they stand there; what stands before and
/// behind the keys is in every one. Up to sixteen keys take no allocation.
#[derive(Debug)]
pub(crate) struct Cuts<'a> {
    words: SmallVec<[&'a [u8]; 20]>,
    /// Where the keys stand, and how many words belong to each.
    keys: Range<usize>,
    step: usize,
    slots: SmallVec<[Slot; 16]>,
    shares: Shares,
}

/// Which of a command's keys each of its cuts has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// Those of one cut together.
    keys: SmallVec<[u32; 16]>,
    /// Where those of each cut end.
    ends: SmallVec<[u32; 16]>,
}

/// Cuts a command by the slots of its keys.
///
/// `None` if nothing is to be cut: one slot has all keys, or the command is not as it should be, which
/// the server then says.
pub(crate) fn cut(cmd: &Cmd, (first, last, step): KeyRange) -> Option<Cuts<'_>> {
    let args = || cmd.args_iter().map(word);
    let end = match last {
        0.. => first.checked_add_signed(last)?.checked_add(step)?,
        _ => args().len().checked_add_signed(last)?.checked_add(1)?,
    };
    let count = end.checked_sub(first)?;
    if end > args().len() || !count.is_multiple_of(step) {
        return None;
    }
    let slots = || args().take(end).skip(first).step_by(step).map(Slot::of);
    let only = slots().next()?;
    if slots().skip(1).all(|slot| slot == only) {
        return None;
    }

    let mut numbered: SmallVec<[(Slot, u32); 16]> = slots().zip(0..).collect();
    numbered.sort_by_key(|(slot, _)| *slot);
    let mut cuts = Cuts {
        words: args().collect(),
        keys: first..end,
        step,
        slots: SmallVec::new(),
        shares: Shares::default(),
    };
    for group in numbered.chunk_by(|(slot, _), (next, _)| slot == next) {
        cuts.slots.push(group[0].0);
        cuts.shares.push(group.iter().map(|(_, number)| *number));
    }
    Some(cuts)
}

impl Cuts<'_> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot that a cut is for.
    pub(crate) fn slot(&self, cut: usize) -> Slot {
        self.slots[cut]
    }

    pub(crate) const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// How many words a cut has.
    pub(crate) fn words_in(&self, cut: usize) -> usize {
        self.words.len() - self.keys.len() + self.shares.of(cut).len() * self.step
    }

    /// The words of a cut.
    pub(crate) fn words(&self, cut: usize) -> impl Iterator<Item = &[u8]> {
        let before = &self.words[..self.keys.start];
        let groups = self.shares.of(cut).iter().flat_map(|&key| {
            let at = self.keys.start + key as usize * self.step;
            &self.words[at..at + self.step]
        });
        let behind = &self.words[self.keys.end..];
        before.iter().chain(groups).chain(behind).copied()
    }

    /// A cut as a command.
    pub(crate) fn cmd(&self, cut: usize) -> Cmd {
        let mut cmd = Cmd::new();
        for word in self.words(cut) {
            cmd.arg(word);
        }
        cmd
    }
}

impl Shares {
    /// Another cut has these keys.
    pub(super) fn push(&mut self, keys: impl Iterator<Item = u32>) {
        self.keys.extend(keys);
        self.ends.push(self.keys.len() as u32);
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The numbers of a cut's keys.
    pub(crate) fn of(&self, cut: usize) -> &[u32] {
        let begin = cut.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[begin as usize..self.ends[cut] as usize]
    }
}

fn word(arg: Arg<&[u8]>) -> &[u8] {
    match arg {
        Arg::Simple(word) => word,
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cmd(words: &str) -> Cmd {
        Cmd::new().arg(words.split(' ').collect::<Vec<_>>()).take()
    }

    fn show(cmd: &Cmd, range: KeyRange) -> Vec<(String, Vec<u32>)> {
        let cuts = cut(cmd, range).unwrap();
        let show = |cut| {
            let made = cuts.cmd(cut);
            let words = made.args_iter().map(word);
            let words: Vec<_> = words.map(|word| str::from_utf8(word).unwrap()).collect();
            assert_eq!(words.len(), cuts.words_in(cut));
            (words.join(" "), cuts.shares().of(cut).to_vec())
        };
        (0..cuts.len()).map(show).collect()
    }

    #[test]
    fn keys_go_by_slots_with_what_belongs_to_them() {
        assert_eq!(
            show(&cmd("MGET a {b}1 a {b}2"), (1, -1, 1)),
            [
                ("MGET {b}1 {b}2".into(), vec![1, 3]),
                ("MGET a a".into(), vec![0, 2])
            ]
        );
        assert_eq!(
            show(&cmd("MSET a 1 b 2 a 3"), (1, -1, 2)),
            [
                ("MSET b 2".into(), vec![1]),
                ("MSET a 1 a 3".into(), vec![0, 2])
            ]
        );
        assert_eq!(
            show(&cmd("JSON.MGET a b $"), (1, -2, 1)),
            [
                ("JSON.MGET b $".into(), vec![1]),
                ("JSON.MGET a $".into(), vec![0])
            ]
        );
        assert_eq!(
            show(&cmd("X o a b z"), (2, 1, 1)),
            [("X o b z".into(), vec![1]), ("X o a z".into(), vec![0])]
        );
    }

    #[test]
    fn what_one_slot_has_or_nobody_understands_stays_whole() {
        for words in ["MGET a", "MGET {t}a {t}b", "MGET a a", "MGET"] {
            assert!(cut(&cmd(words), (1, -1, 1)).is_none(), "{words}");
        }
        assert!(cut(&cmd("MSET a 1 b"), (1, -1, 2)).is_none());
        assert!(cut(&cmd("JSON.MGET"), (1, -2, 1)).is_none());
    }

    proptest! {
        #[test]
        fn every_key_is_in_one_cut_and_each_cut_in_one_slot(keys in prop::collection::vec("[a-d]|\\{[ab]\\}[c-e]", 0..20)) {
            let mut cmd = Cmd::new();
            cmd.arg("MGET").arg(&keys);
            let Some(cuts) = cut(&cmd, (1, -1, 1)) else {
                let slots: std::collections::HashSet<_> = keys.iter().map(|key| Slot::of(key.as_bytes())).collect();
                prop_assert!(slots.len() <= 1);
                return Ok(());
            };
            let mut seen = vec![0; keys.len()];
            for cut in 0..cuts.len() {
                let own = cuts.shares().of(cut);
                prop_assert_eq!(cuts.words(cut).count(), own.len() + 1);
                for (key, &number) in cuts.words(cut).skip(1).zip(own) {
                    prop_assert_eq!(key, keys[number as usize].as_bytes());
                    prop_assert_eq!(Slot::of(key), cuts.slot(cut));
                    seen[number as usize] += 1;
                }
            }
            prop_assert_eq!(cuts.shares().keys(), keys.len());
            prop_assert!(seen.iter().all(|&times| times == 1));
        }
    }
}

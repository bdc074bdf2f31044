//! Cutting a command with many keys into one for each slot.

use redis::{Arg, Cmd};

use crate::route::KeyRange;
use crate::slot::Slot;

/// What one slot gets of a command.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) slot: Slot,
    pub(crate) cmd: Cmd,
    /// Which of the command's keys it has.
    pub(crate) keys: Vec<usize>,
}

/// Cuts a command by the slots of its keys, in the order of their first keys. Each cut has its keys, with what
/// belongs to them, in the command's own order and as often as they stand there; what stands before and behind
/// the keys is in every one.
///
/// `None` if nothing is to be cut: one slot has all keys, or the command is not as it should be, which
/// the server then says.
pub(crate) fn cut(cmd: &Cmd, (first, last, step): KeyRange) -> Option<Vec<Cut>> {
    let args = || cmd.args_iter().map(word);
    let end = match last {
        0.. => first.checked_add_signed(last)?.checked_add(step)?,
        _ => args().len().checked_add_signed(last)?.checked_add(1)?,
    };
    let count = end.checked_sub(first)?;
    if end > args().len() || !count.is_multiple_of(step) {
        return None;
    }
    let keys = || args().take(end).skip(first).step_by(step);
    let slot = Slot::of(keys().next()?);
    if keys().skip(1).all(|key| Slot::of(key) == slot) {
        return None;
    }

    let mut cuts: Vec<Cut> = Vec::new();
    let words: Vec<&[u8]> = args().collect();
    for (number, group) in words[first..end].chunks(step).enumerate() {
        let slot = Slot::of(group[0]);
        let known = cuts.iter().position(|cut| cut.slot == slot);
        let at = known.unwrap_or_else(|| {
            let mut cmd = Cmd::new();
            cmd.arg(&words[..first]);
            cuts.push(Cut {
                slot,
                cmd,
                keys: Vec::new(),
            });
            cuts.len() - 1
        });
        let cut = &mut cuts[at];
        cut.cmd.arg(group);
        cut.keys.push(number);
    }
    for cut in &mut cuts {
        cut.cmd.arg(&words[end..]);
    }
    Some(cuts)
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

    fn show(cuts: Option<Vec<Cut>>) -> Vec<(String, Vec<usize>)> {
        let text = |cmd: &Cmd| {
            let words = cmd
                .args_iter()
                .map(|arg| str::from_utf8(word(arg)).unwrap());
            words.collect::<Vec<_>>().join(" ")
        };
        let cuts = cuts.unwrap_or_default();
        cuts.into_iter()
            .map(|cut| (text(&cut.cmd), cut.keys))
            .collect()
    }

    #[test]
    fn keys_go_by_slots_with_what_belongs_to_them() {
        assert_eq!(
            show(cut(&cmd("MGET a {b}1 a {b}2"), (1, -1, 1))),
            [
                ("MGET a a".into(), vec![0, 2]),
                ("MGET {b}1 {b}2".into(), vec![1, 3])
            ]
        );
        assert_eq!(
            show(cut(&cmd("MSET a 1 b 2 a 3"), (1, -1, 2))),
            [
                ("MSET a 1 a 3".into(), vec![0, 2]),
                ("MSET b 2".into(), vec![1])
            ]
        );
        assert_eq!(
            show(cut(&cmd("JSON.MGET a b $"), (1, -2, 1))),
            [
                ("JSON.MGET a $".into(), vec![0]),
                ("JSON.MGET b $".into(), vec![1])
            ]
        );
        assert_eq!(
            show(cut(&cmd("X o a b z"), (2, 1, 1))),
            [("X o a z".into(), vec![0]), ("X o b z".into(), vec![1])]
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
            for cut in cuts {
                prop_assert_eq!(cut.cmd.args_iter().len(), cut.keys.len() + 1);
                for (key, number) in cut.cmd.args_iter().map(word).skip(1).zip(cut.keys) {
                    prop_assert_eq!(key, keys[number].as_bytes());
                    prop_assert_eq!(Slot::of(key), cut.slot);
                    seen[number] += 1;
                }
            }
            prop_assert!(seen.iter().all(|&times| times == 1));
        }
    }
}

//! Which commands of a part may be sent again without overtaking others on the same key.
//!
//! A part has been answered, and some of its commands are to be sent on or again. Those that stay have run,
//! or may have. A command that is sent again after a later one on one of its keys has run would change the order
//! that the caller gave them, and with it what is stored or read, unless both only read. Such a command stays too:
//! its error is its answer. The others of one slot travel together, in their order, to where the first of them
//! goes; if that is wrong for a later one, the node there says so before any of them overtakes it.

use std::collections::HashMap;

use crate::slot::Slot;

/// What becomes of a command after its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate<'k, T> {
    pub(crate) keys: Vec<&'k [u8]>,
    pub(crate) slot: Option<Slot>,
    pub(crate) readonly: bool,
    /// Where it goes; `None` if its answer stands.
    pub(crate) goes: Option<T>,
}

/// Makes fates, which stand in the order of their commands, keep the order on each key.
pub(crate) fn keep_order<T: Clone>(fates: &mut [Fate<'_, T>]) {
    // By key: whether a later command that stays writes.
    let mut staying: HashMap<&[u8], bool> = HashMap::new();
    for fate in fates.iter_mut().rev() {
        let overtakes = |key: &&[u8]| {
            let writes = staying.get(key);
            writes.is_some_and(|&writes| writes || !fate.readonly)
        };
        if fate.goes.is_some() && fate.keys.iter().any(overtakes) {
            fate.goes = None;
        }
        if fate.goes.is_none() {
            for key in &fate.keys {
                *staying.entry(key).or_default() |= !fate.readonly;
            }
        }
    }
    let mut first: HashMap<Slot, T> = HashMap::new();
    for fate in fates {
        if let (Some(slot), Some(goes)) = (fate.slot, &mut fate.goes) {
            let place = first.entry(slot).or_insert_with(|| goes.clone());
            *goes = place.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `wa>x`: a write of key a that goes to x; `rab`: a read of a and b that stays; all keys but `z` are in
    /// one slot; `w`: without a key.
    fn check(before: &str, after: &str) {
        let read = |word: &'static str| {
            let (what, goes) = match word.split_once('>') {
                Some((what, goes)) => (what, Some(goes)),
                None => (word, None),
            };
            let keys: Vec<_> = what.as_bytes()[1..].chunks(1).collect();
            let slot = keys.first().map(|key| u16::from(*key == b"z"));
            Fate {
                keys,
                slot: slot.and_then(Slot::new),
                readonly: what.starts_with('r'),
                goes,
            }
        };
        let fates = |words: &str| -> Vec<_> {
            let words = words.to_owned().leak().split(' ');
            words.map(read).collect()
        };
        let mut kept = fates(before);
        keep_order(&mut kept);
        assert_eq!(kept, fates(after), "{before}");
    }

    #[test]
    fn nothing_overtakes_what_has_run() {
        check("wa>x wb", "wa>x wb");
        check("wa>x wa", "wa wa");
        check("wa>x ra", "wa ra");
        check("ra>x wa", "ra wa");
        check("ra>x ra", "ra>x ra");
        check("wa wa>x", "wa wa>x");
        check("rab>x ra wb", "rab ra wb");
        check("w>x w", "w>x w");
    }

    #[test]
    fn one_that_has_to_stay_keeps_those_before_it() {
        check("wa>x wa>x wa", "wa wa wa");
        check("wb>x rab>x wa", "wb rab wa");
    }

    #[test]
    fn a_slot_travels_together_to_where_its_first_goes() {
        check("wa>x wz>y wb>y", "wa>x wz>y wb>x");
        check("ra>x ra>y", "ra>x ra>x");
    }
}

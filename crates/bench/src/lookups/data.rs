//! What is looked up: keys by number, and values that anybody can derive from them.

use std::ops::Range;

use fastrand::Rng;

/// How many keys there are.
pub(crate) const KEYS: u32 = 100_000;
/// How many there are with values of a mebibyte, besides.
pub(crate) const LARGE: u32 = 30;
/// How many keys each request asks for, all different.
pub(crate) const PER_REQUEST: usize = 10;

const NAME: usize = 16;
const SHORTEST: usize = 64;
const LONGEST: usize = 128;
const MEBIBYTE: usize = 1024 * 1024;

/// A key: `key:` and twelve digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    name: [u8; NAME],
}

/// What one request asks for.
pub(crate) type Keys = [Key; PER_REQUEST];

/// What a contestant hands back: a value for each key, in their order.
pub(crate) trait Values: Send {
    fn count(&self) -> usize;

    /// `None` is what is not there.
    fn at(&self, position: usize) -> Option<&[u8]>;
}

/// One value in whatever type a contestant has them.
pub(crate) trait Bytes: Send {
    fn bytes(&self) -> Option<&[u8]>;
}

impl Key {
    pub(crate) fn new(index: u32) -> Self {
        let mut name = *b"key:000000000000";
        let mut rest = index;
        for digit in name.iter_mut().rev() {
            if rest == 0 {
                break;
            }
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self { index, name }
    }

    /// Those behind the others, whose values are large.
    pub(crate) fn large() -> impl Iterator<Item = Self> {
        (KEYS..KEYS + LARGE).map(Self::new)
    }

    /// 64 to 128 bytes of any kind, which change from key to key; a mebibyte if it is a large one.
    pub(crate) fn value(self) -> Vec<u8> {
        let (word, length) = self.pattern();
        word.into_iter().cycle().take(length).collect()
    }

    fn holds(self, value: &[u8]) -> bool {
        let (word, length) = self.pattern();
        let mut chunks = value.chunks(word.len());
        value.len() == length && chunks.all(|chunk| chunk == &word[..chunk.len()])
    }

    /// What a value repeats, and how long it is.
    fn pattern(self) -> ([u8; 8], usize) {
        // The finalizer of SplitMix64: neighbours have nothing in common.
        let mut mixed = u64::from(self.index).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let length = match self.index {
            ..KEYS => SHORTEST + (mixed % (LONGEST - SHORTEST + 1) as u64) as usize,
            _ => MEBIBYTE,
        };
        (mixed.to_le_bytes(), length)
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.name
    }
}

/// Ten different keys by chance.
pub(crate) fn draw(random: &mut Rng) -> Keys {
    draw_of(random, 0..KEYS)
}

/// Ten of the large ones.
pub(crate) fn draw_large(random: &mut Rng) -> Keys {
    draw_of(random, KEYS..KEYS + LARGE)
}

fn draw_of(random: &mut Rng, indices: Range<u32>) -> Keys {
    let mut drawn = [u32::MAX; PER_REQUEST];
    for position in 0..PER_REQUEST {
        drawn[position] = loop {
            let index = random.u32(indices.clone());
            if !drawn[..position].contains(&index) {
                break index;
            }
        };
    }
    drawn.map(Key::new)
}

/// How many of the answers are not what the keys hold.
pub(crate) fn wrong(keys: &Keys, values: &impl Values) -> usize {
    if values.count() != keys.len() {
        return keys.len();
    }
    let positions = keys.iter().enumerate();
    positions
        .filter(|&(position, key)| !values.at(position).is_some_and(|value| key.holds(value)))
        .count()
}

impl<V: Bytes> Values for Vec<V> {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, position: usize) -> Option<&[u8]> {
        self.get(position)?.bytes()
    }
}

impl Bytes for Vec<u8> {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<V: Bytes> Bytes for Option<V> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref()?.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_have_the_same_length() {
        assert_eq!(Key::new(0).as_ref(), b"key:000000000000");
        assert_eq!(Key::new(99_999).as_ref(), b"key:000000099999");
        assert_eq!(Key::new(4_070).as_ref(), b"key:000000004070");
    }

    #[test]
    fn values_are_of_their_key_alone() {
        let values: HashSet<_> = (0..KEYS).map(|index| Key::new(index).value()).collect();
        assert_eq!(values.len(), KEYS as usize);
        let lengths: HashSet<_> = values.iter().map(Vec::len).collect();
        assert_eq!(lengths, (SHORTEST..=LONGEST).collect());
    }

    #[test]
    fn large_ones_are_apart() {
        let mut random = Rng::with_seed(3);
        let large: Vec<_> = Key::large().collect();
        assert!(
            draw_large(&mut random)
                .iter()
                .all(|key| large.contains(key))
        );
        assert!(!draw(&mut random).iter().any(|key| large.contains(key)));
        assert_eq!(large[0].value().len(), MEBIBYTE);
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let mut random = Rng::with_seed(1);
        let keys = draw(&mut random);
        let right: Vec<_> = keys.map(|key| Some(key.value())).into();
        assert_eq!(wrong(&keys, &right), 0);

        let mut missing = right.clone();
        missing[3] = None;
        assert_eq!(wrong(&keys, &missing), 1);
        let mut swapped = right.clone();
        swapped.swap(0, 9);
        assert_eq!(wrong(&keys, &swapped), 2);
        let mut short = right.clone();
        short[5] = short[5].take().map(|mut value| {
            value.pop();
            value
        });
        assert_eq!(wrong(&keys, &short), 1);
        let mut few = right;
        few.pop();
        assert_eq!(wrong(&keys, &few), PER_REQUEST);
    }

    #[test]
    fn keys_of_a_request_differ() {
        let mut random = Rng::with_seed(2);
        for _ in 0..1_000 {
            let keys: HashSet<_> = draw(&mut random).map(|key| key.index).into();
            assert_eq!(keys.len(), PER_REQUEST);
        }
    }
}

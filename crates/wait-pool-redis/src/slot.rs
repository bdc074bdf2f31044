//! A hash slot: the part of the keyspace that a key falls into.
//!
//! Redis Cluster spreads keys over 16,384 slots and slots over shards. The slot of a key is the CRC16 of
//! its bytes, or of its hash tag alone where it has one, so that `{user1}.name` and `{user1}.age` stay
//! together.

use std::fmt;

use crc16::{State, XMODEM};

/// One of the 16,384 hash slots of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// How many slots every cluster has.
    pub const COUNT: u16 = 16_384;

    /// The slot with this number, if there is one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The slot `key` falls into.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(State::<XMODEM>::calculate(hashed_part(key)) % Self::COUNT)
    }

    /// The slot's number, below [`Slot::COUNT`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What lies between the first `{` and the first `}` behind it; the whole key where that is nothing.
fn hashed_part(key: &[u8]) -> &[u8] {
    let tag = key.iter().position(|&b| b == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&b| b == b'}')?;
        Some(&rest[..close])
    });
    match tag {
        Some(tag) if !tag.is_empty() => tag,
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(a: &[u8], b: &[u8]) {
        assert_eq!(Slot::of(a), Slot::of(b));
    }

    #[test]
    fn known_slots() {
        // From the cluster specification and `CLUSTER KEYSLOT`.
        assert_eq!(Slot::of(b"123456789").number(), 0x31C3);
        assert_eq!(Slot::of(b"foo").number(), 12_182);
        assert_eq!(Slot::of(b"bar").number(), 5_061);
        assert_eq!(Slot::of(b"").number(), 0);
        assert_eq!(Slot::of(b"somekey").number(), 11_058);
    }

    #[test]
    fn hash_tags() {
        same(b"{user1000}.following", b"{user1000}.followers");
        same(b"{user1000}.following", b"user1000");
        same(b"{a}{b}", b"a");
        same(b"foo{{bar}}zap", b"{bar");
        same(b"foo{bar}{zap}", b"bar");
        same(b"x}{tag}", b"tag");
    }

    #[test]
    fn without_a_tag_the_whole_key_counts() {
        for key in [&b"foo{}{bar}"[..], b"{}", b"{", b"}{", b"{open"] {
            assert_eq!(hashed_part(key), key);
        }
    }

    #[test]
    fn keys_are_bytes() {
        same(b"{\xff\x00\xfe}x", b"\xff\x00\xfe");
        assert_eq!(hashed_part(b"\xc3{\x80}"), b"\x80");
    }

    #[test]
    fn numbers_have_a_bound() {
        assert_eq!(Slot::new(16_383).map(Slot::number), Some(16_383));
        assert_eq!(Slot::new(16_384), None);
        assert_eq!(Slot::new(7).unwrap().to_string(), "7");
    }
}

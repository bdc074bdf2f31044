//! The features: their keys, their values, and which ones a request asks for.
//!
//! A value tells which key it belongs to and is known in every byte, so that a reply that went to
//! the wrong request cannot pass for a right one.

use std::ops::RangeInclusive;
use std::sync::Arc;

use fastrand::Rng;

/// How many features there are.
pub(super) const COUNT: u32 = 100_000;
/// How many of them one request asks for.
pub(super) const PER_REQUEST: usize = 10;

/// No braces: in a cluster they would put every key into one slot.
const PREFIX: &str = "wait-pool-demo:";
const LENGTHS: RangeInclusive<usize> = 64..=128;
const FILLER: &str = "0.4142135623730950488016887242096980785696718753769480731766797379907324784\
    6210703885038753432764157273501384623091229702492483605585073";

/// The key of feature `n`.
pub(super) fn key(n: u32) -> String {
    format!("{PREFIX}{n}")
}

/// The value of feature `n`: its key, and digits up to its length.
pub(super) fn value(n: u32) -> String {
    let mut value = format!("{}=", key(n));
    value.push_str(&FILLER[..length(n) - value.len()]);
    value
}

/// Whether `value` is the value of the feature with this number and key.
pub(super) fn fits(value: &str, n: u32, key: &str) -> bool {
    let digits = value
        .strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('='));
    value.len() == length(n) && digits.is_some_and(|digits| FILLER.starts_with(digits))
}

fn length(n: u32) -> usize {
    let span = LENGTHS.end() - LENGTHS.start() + 1;
    LENGTHS.start() + n as usize % span
}

/// Draws what the requests of one worker ask for: with the same seed always the same.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    from: Arc<[u32]>,
    rng: Rng,
}

impl Draw {
    /// Draws from these features, of which there must be one at least.
    pub(super) fn new(from: Arc<[u32]>, seed: u64) -> Self {
        assert!(!from.is_empty(), "nothing to draw from");
        Self {
            from,
            rng: Rng::with_seed(seed),
        }
    }

    /// The features of the next request.
    pub(super) fn next(&mut self) -> [u32; PER_REQUEST] {
        std::array::from_fn(|_| self.from[self.rng.usize(..self.from.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_keys_only() {
        for n in 0..COUNT {
            let (key, value) = (key(n), value(n));
            assert!(LENGTHS.contains(&value.len()));
            assert!(fits(&value, n, &key), "{n}");
        }
        assert!(!fits(&value(7), 8, &key(8)));
        assert!(!fits(&value(1), 11, &key(11)));
        assert!(!fits(&value(7)[1..], 7, &key(7)));
        assert!(!fits("", 7, &key(7)));
        assert!(!fits(&value(7).replace('=', ":"), 7, &key(7)));
    }

    #[test]
    fn every_length_occurs() {
        let mut seen: Vec<usize> = (0..COUNT).map(length).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.into_iter().eq(LENGTHS));
    }

    #[test]
    fn draws_stay_inside_and_repeat_with_the_seed() {
        let from: Arc<[u32]> = Arc::new([3, 5, 8]);
        let mut one = Draw::new(Arc::clone(&from), 1);
        let mut same = Draw::new(Arc::clone(&from), 1);
        let mut other = Draw::new(Arc::clone(&from), 2);
        let mut differ = false;
        for _ in 0..100 {
            let drawn = one.next();
            assert!(drawn.iter().all(|n| from.contains(n)));
            assert_eq!(drawn, same.next());
            differ |= drawn != other.next();
        }
        assert!(differ);
    }
}

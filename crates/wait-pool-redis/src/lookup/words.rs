//! Many keys or names in one piece.

/// Words, one behind the other in two allocations.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word at a position that there is.
    pub(super) fn at(&self, position: usize) -> &[u8] {
        let begin = position
            .checked_sub(1)
            .map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[position]]
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|position| self.at(position))
    }
}

impl<W: AsRef<[u8]>> FromIterator<W> for Words {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Self {
        let words = words.into_iter();
        let (least, _) = words.size_hint();
        let mut all = Self {
            bytes: Vec::with_capacity(least.saturating_mul(USUAL).min(1 << 16)),
            ends: Vec::with_capacity(least),
        };
        for word in words {
            all.bytes.extend_from_slice(word.as_ref());
            all.ends.push(all.bytes.len());
        }
        all
    }
}

/// What most keys are not much longer than.
const USUAL: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_were() {
        let words: Words = ["a", "", "bcd", ""].into_iter().collect();
        let all: Vec<_> = words.iter().collect();
        assert_eq!(all, [&b"a"[..], b"", b"bcd", b""]);
        assert_eq!((words.len(), words.at(2)), (4, &b"bcd"[..]));
        assert!(Words::from_iter([""; 0]).is_empty());
    }
}

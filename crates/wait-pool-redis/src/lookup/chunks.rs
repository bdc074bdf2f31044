//! How much travels to a node at once.

/// The bounds of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) commands: usize,
    pub(super) bytes: usize,
}

impl Limits {
    /// Others share the connection: so much of `GET`s keeps a server for some tenths of a millisecond, and
    /// a larger write is not any faster.
    pub(super) const DEFAULT: Self = Self {
        commands: 256,
        bytes: 64 * 1024,
    };

    /// Whether all items go into one chunk.
    pub(super) fn hold<T>(
        self,
        items: impl ExactSizeIterator<Item = T>,
        size: impl Fn(&T) -> usize,
    ) -> bool {
        let count = items.len();
        let bytes = items.fold(0_usize, |sum, item| sum.saturating_add(size(&item)));
        count <= 1 || (count <= self.commands && bytes <= self.bytes)
    }

    /// Cuts `items` into chunks, in order. Each has one item at least, however large that is.
    pub(super) fn cut<T>(self, items: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
        let mut chunks: Vec<Vec<T>> = Vec::new();
        let mut bytes = 0_usize;
        for item in items {
            let own = size(&item);
            bytes = bytes.saturating_add(own);
            match chunks.last_mut() {
                Some(chunk) if chunk.len() < self.commands && bytes <= self.bytes => {
                    chunk.push(item);
                }
                _ => {
                    chunks.push(vec![item]);
                    bytes = own;
                }
            }
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(commands: usize, bytes: usize, sizes: &[usize]) -> Vec<Vec<usize>> {
        Limits { commands, bytes }.cut(sizes.to_vec(), |size| *size)
    }

    proptest! {
        #[test]
        fn what_is_held_is_one_chunk(
            commands in 0..5_usize,
            bytes in 0..50_usize,
            sizes in prop::collection::vec(0..20_usize, 0..8),
        ) {
            let limits = Limits { commands, bytes };
            let held = limits.hold(sizes.iter(), |size| **size);
            let is_one = cut(commands, bytes, &sizes).len() <= 1;
            prop_assert_eq!(held, is_one);
        }
    }

    #[test]
    fn a_chunk_ends_at_either_bound() {
        assert_eq!(cut(2, 100, &[1, 2, 3]), [vec![1, 2], vec![3]]);
        assert_eq!(cut(9, 10, &[5, 5, 1]), [vec![5, 5], vec![1]]);
        assert_eq!(cut(9, 10, &[1, 50, 1]), [vec![1], vec![50], vec![1]]);
        assert!(cut(9, 9, &[]).is_empty());
    }

    #[test]
    fn a_bound_of_nothing_lets_one_pass_at_a_time() {
        assert_eq!(cut(0, 0, &[1, 1]), [vec![1], vec![1]]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_chunk_is_too_large(
            commands in 1_usize..20,
            bytes in 1_usize..200,
            sizes in prop::collection::vec(0_usize..80, 0..200),
        ) {
            let chunks = cut(commands, bytes, &sizes);
            prop_assert_eq!(chunks.concat(), sizes);
            for chunk in &chunks {
                prop_assert!(chunk.len() <= commands);
                prop_assert!(chunk.iter().sum::<usize>() <= bytes || chunk.len() == 1);
            }
        }
    }
}

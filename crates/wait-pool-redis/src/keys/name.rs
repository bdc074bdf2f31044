//! A command's words: its name without regard to case, and its arguments as bytes.

use redis::{Arg, Cmd};

/// A command's name in upper case, or `CONTAINER|SUBCOMMAND`, without an allocation.
#[derive(Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; Self::LONGEST],
    len: usize,
}

impl Name {
    /// Room for every name in the table. A longer one is in no table, so it needs no [`Name`].
    pub(super) const LONGEST: usize = 32;

    pub(super) fn new(word: &[u8]) -> Option<Self> {
        let empty = Self {
            bytes: [0; Self::LONGEST],
            len: 0,
        };
        empty.push(word)
    }

    /// The name of the subcommand `word` of this container.
    pub(super) fn then(self, word: &[u8]) -> Option<Self> {
        self.push(b"|")?.push(word)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(mut self, word: &[u8]) -> Option<Self> {
        let end = self.len + word.len();
        let space = self.bytes.get_mut(self.len..end)?;
        space.copy_from_slice(word);
        space.make_ascii_uppercase();
        self.len = end;
        Some(self)
    }
}

/// All words of `cmd`, its name first. A scan's cursor, which is never looked at here, is empty.
pub(super) fn args(cmd: &Cmd) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
    cmd.args_iter().map(|arg| match arg {
        Arg::Simple(word) => word,
        _ => b"",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upper_case() {
        let name = Name::new(b"Cluster").unwrap();
        assert_eq!(name.as_bytes(), b"CLUSTER");
        assert_eq!(name.then(b"shards").unwrap().as_bytes(), b"CLUSTER|SHARDS");
    }

    #[test]
    fn names_have_a_bound() {
        assert!(Name::new(&[b'x'; Name::LONGEST]).is_some());
        assert!(Name::new(&[b'x'; Name::LONGEST + 1]).is_none());
        assert!(
            Name::new(&[b'x'; Name::LONGEST])
                .unwrap()
                .then(b"")
                .is_none()
        );
    }
}

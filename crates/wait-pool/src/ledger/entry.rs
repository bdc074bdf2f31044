//! What the books are kept in.

use std::task::Waker;
use std::time::Duration;

use super::MemberId;

/// Names who stands in line until he has taken what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

#[derive(Debug, Default)]
pub(super) struct Account {
    /// How many places it has.
    pub(super) held: usize,
    /// How many of them it has been asked for.
    pub(super) owed: usize,
    /// When it has got the first of those that it has.
    pub(super) turn: u64,
    /// When it had to give up the last that it had.
    pub(super) emptied: Ticket,
    /// How many it wants, how many of them for callers; and how recent that is.
    pub(super) wants: usize,
    pub(super) callers: usize,
    pub(super) version: u64,
    /// The pool is gone; its connections may not be.
    pub(super) left: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) member: MemberId,
    pub(super) state: Asked,
}

#[derive(Debug)]
pub(super) enum Asked {
    Waiting(Waker),
    Granted,
    Refused,
}

/// What has become of who asked for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has one.
    Granted,
    /// It needs none any more.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Needy,
    Short,
    Spare,
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) rank: Rank,
    /// Since when he is what he is.
    pub(super) since: Ticket,
    pub(super) ticket: Ticket,
    pub(super) member: MemberId,
}

/// What a pool is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// To close what has been idle for longest, if that is at least so long.
    CloseIdle(MemberId, Duration),
    /// To give up the next that comes free; after its turn, if `patient`.
    Owe { member: MemberId, patient: bool },
    /// To keep what it has been asked for.
    Forgive(MemberId),
}

impl Move {
    pub(crate) const fn member(self) -> MemberId {
        match self {
            Self::CloseIdle(member, _) | Self::Owe { member, .. } | Self::Forgive(member) => member,
        }
    }
}

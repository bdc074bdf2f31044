//! A pool's figures at one moment.

use std::panic::Location;
use std::time::Duration;

/// One consistent snapshot of a pool, taken under its lock.
///
/// `size == idle + in_use + opening + checking + closing`, where `closing` counts connections that are being
/// dropped at this moment; it is not told apart because it lasts no longer than the drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The bound on `size`.
    pub max_size: usize,
    /// Connections, those being opened or dropped included. Never above `max_size`,
    /// unless that was made smaller and some are yet to come back.
    pub size: usize,
    /// Open connections that nobody holds.
    pub idle: usize,
    /// Open connections that somebody holds, alone or together with others.
    pub in_use: usize,
    /// Connections being opened, or about to be once the pause after a failure is over.
    pub opening: usize,
    /// Connections to be opened for which the [group](crate::Group) has no room. They are not part of
    /// `size`. Always 0 without a group.
    pub held_up: usize,
    /// Connections idle for long that are being checked before somebody uses them.
    pub checking: usize,
    /// Callers that hold a connection. Above `in_use` where leases share one.
    pub holders: usize,
    /// Callers in the queue.
    pub waiting: usize,
}

/// A connection, or a part in one, that somebody has not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holding {
    /// For how long it has been held.
    pub held_for: Duration,
    /// Where it was taken.
    pub taken_at: &'static Location<'static>,
}

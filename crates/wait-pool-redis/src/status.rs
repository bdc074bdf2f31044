//! The figures of a pool, by our names and by deadpool's.

/// A pool's figures at one moment: [`wait_pool::Status`], and `available`.
///
/// For a cluster they are the sums over its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The bound on `size`. 0 once the pool is closed.
    pub max_size: usize,
    /// Connections, those being opened or closed included.
    pub size: usize,
    /// Open connections that nobody holds.
    pub available: usize,
    /// The same, by wait-pool's name.
    pub idle: usize,
    /// Callers in line for a connection.
    pub waiting: usize,
    /// Open connections that somebody holds, alone or together with others.
    pub in_use: usize,
    /// Connections being opened, or about to be once the pause after a failure is over.
    pub opening: usize,
    /// Connections to be opened for which the whole cluster's bound has no room yet. They are not part of `size`.
    pub held_up: usize,
    /// Connections idle for long that are being checked before somebody uses them.
    pub checking: usize,
    /// Callers that hold a connection: above `in_use` where requests share one.
    pub holders: usize,
}

impl Status {
    pub(crate) const fn new(core: wait_pool::Status, closed: bool) -> Self {
        Self {
            max_size: if closed { 0 } else { core.max_size },
            size: core.size,
            available: core.idle,
            idle: core.idle,
            waiting: core.waiting,
            in_use: core.in_use,
            opening: core.opening,
            held_up: core.held_up,
            checking: core.checking,
            holders: core.holders,
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            max_size: self.max_size + other.max_size,
            size: self.size + other.size,
            available: self.available + other.available,
            idle: self.idle + other.idle,
            waiting: self.waiting + other.waiting,
            in_use: self.in_use + other.in_use,
            opening: self.opening + other.opening,
            held_up: self.held_up + other.held_up,
            checking: self.checking + other.checking,
            holders: self.holders + other.holders,
        }
    }
}

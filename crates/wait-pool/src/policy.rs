//! In which order callers wait: classes of priority, and what happens in an overload.

use std::time::Duration;

/// How urgent a caller is. See [`Request::priority`](crate::Request::priority).
///
/// A class is a head start, not a wall: each class waits as if it had come
/// [`priority_ageing`](crate::Builder::priority_ageing) later than the one above it. So whoever has
/// waited for long goes before the urgent who have just come, and nobody is starved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Priority {
    /// Before the others: a user waits for it.
    High,
    /// What [`Pool::get`](crate::Pool::get) and [`Pool::lease`](crate::Pool::lease) have.
    #[default]
    Normal,
    /// After the others: work in the background.
    Low,
}

impl Priority {
    pub(crate) const COUNT: usize = 3;

    /// 0 for the most urgent.
    pub(crate) const fn class(self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

/// Whom a free connection goes to. See [`Builder::queue_policy`](crate::Builder::queue_policy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueuePolicy {
    /// First come, first served.
    #[default]
    Fifo,
    /// First come, first served until the pool is overloaded; then last come, first served, and
    /// whoever has waited too long is refused.
    ///
    /// In an overload a queue serves everybody late. Serving the newest first serves as many as
    /// the connections can in good time, at the expense of those whose callers have probably given
    /// up. The idea is CoDel's ([RFC 8289](https://www.rfc-editor.org/rfc/rfc8289)): a queue that
    /// empties from time to time takes up a burst, one that does not only adds delay.
    AdaptiveLifo {
        /// The pool is overloaded when somebody has been waiting without a break for as long. It no
        /// longer is as soon as nobody waits.
        interval: Duration,
        /// How long a caller may wait in an overload. The next time that anything happens in the pool,
        /// those above it are refused with [`AcquireError::Overloaded`](crate::AcquireError).
        patience: Duration,
    },
}

impl QueuePolicy {
    /// Adaptive LIFO that takes 100 ms without a break for an overload and refuses whoever has waited
    /// for 100 ms then.
    pub const fn adaptive_lifo() -> Self {
        let hundred = Duration::from_millis(100);
        Self::AdaptiveLifo {
            interval: hundred,
            patience: hundred,
        }
    }
}

//! Time as the pool counts it: nanoseconds since it was made.

use std::time::Duration;

/// A point on the pool's own timeline. Half the size of an `Instant`, and arithmetic on it neither
/// fails nor wraps: what lies beyond the end of the clock is [`Moment::NEVER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// A time between two moments, as the fast path compares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) fn new(time: Duration) -> Self {
        Self(nanos(time))
    }
}

impl Moment {
    pub(crate) const BEGINNING: Self = Self(0);

    /// Comes after everything.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn new(since_the_beginning: Duration) -> Self {
        Self(nanos(since_the_beginning))
    }

    pub(crate) const fn from_nanos(since_the_beginning: u64) -> Self {
        Self(since_the_beginning)
    }

    /// How long the pool had been there.
    pub(crate) const fn since_the_beginning(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Nothing where `earlier` is not earlier.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    #[inline]
    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }

    /// The beginning, where that comes first.
    pub(crate) fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(time)))
    }

    /// Whether more than a span has gone by since then.
    #[inline]
    pub(crate) const fn is_past(self, since: Self, span: Span) -> bool {
        self.0.saturating_sub(since.0) > span.0
    }

    /// Never, where there is no limit.
    pub(crate) fn plus_limit(self, time: Option<Duration>) -> Self {
        time.map_or(Self::NEVER, |time| self.plus(time))
    }

    /// Comes earlier the later this is.
    pub(crate) const fn mirrored(self) -> Self {
        Self((u64::MAX >> 1).saturating_sub(self.0))
    }

    /// The next one: tickets drawn in the same moment differ.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_clock_is_never_passed() {
        let late = Moment::new(Duration::MAX);
        assert_eq!(late, Moment::NEVER);
        assert_eq!(late.next(), Moment::NEVER);
        assert_eq!(Moment::new(Duration::ZERO).plus(Duration::MAX), late);
        assert_eq!(Moment::new(Duration::ZERO).since(late), Duration::ZERO);
        assert_eq!(late.plus_limit(None), Moment::NEVER);
    }
}

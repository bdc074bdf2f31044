//! Two clocks on one timeline: tokio's, which tests can stop, and a cheap one.
//!
//! A checkout that finds a connection and a return that finds nobody waiting need the time only to
//! tell seconds apart. Where the system has a clock that is read in a fraction of the time and lags by a
//! few milliseconds (Linux: `CLOCK_MONOTONIC_COARSE`, `clock_gettime(2)`), they take that. Whatever
//! tells a caller that its time is up reads tokio's; a return may only take it for a few milliseconds
//! younger, and hand it the connection after all.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::moment::Moment;

#[derive(Debug)]
pub(crate) struct Clock {
    beginning: Instant,
    coarse_beginning: u64,
    /// Whether somebody has stopped tokio's clock, and the cheap one therefore is wrong.
    stopped: AtomicBool,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Self {
            beginning: tokio_now(),
            coarse_beginning: coarse::beginning(),
            stopped: AtomicBool::new(false),
        };
        clock.mind();
        clock
    }

    pub(crate) fn now(&self) -> Moment {
        self.at(tokio_now())
    }

    /// Now, or a few milliseconds ago.
    #[inline]
    pub(crate) fn roughly_now(&self) -> Moment {
        match coarse::now() {
            Some(now) if !self.stopped.load(Relaxed) => {
                Moment::from_nanos(now.saturating_sub(self.coarse_beginning))
            }
            _ => self.now(),
        }
    }

    /// Where an instant lies on the timeline.
    pub(crate) fn at(&self, instant: Instant) -> Moment {
        Moment::new(instant.saturating_duration_since(self.beginning))
    }

    /// `None` beyond the end of the clock.
    pub(crate) fn instant(&self, moment: Moment) -> Option<Instant> {
        if moment == Moment::NEVER {
            return None;
        }
        self.beginning.checked_add(moment.since_the_beginning())
    }

    /// Looks whether tokio's clock is still the system's. A stopped one does not enclose a look at
    /// the system's between two looks at itself.
    pub(crate) fn mind(&self) {
        let before = tokio_now();
        let system = Instant::now();
        let stopped = system < before || tokio_now() < system;
        self.stopped.store(stopped, Relaxed);
    }
}

fn tokio_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// In nanoseconds.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(wait_pool_loom)))]
mod coarse {
    use rustix::time::{ClockId, clock_gettime};

    /// Read from the exact clock, so that the coarse one is never ahead of it.
    pub(super) fn beginning() -> u64 {
        read(ClockId::Monotonic)
    }

    #[inline]
    pub(super) fn now() -> Option<u64> {
        Some(read(ClockId::MonotonicCoarse))
    }

    /// A monotonic clock has no negative times.
    #[inline]
    fn read(clock: ClockId) -> u64 {
        let time = clock_gettime(clock);
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    }
}

/// There is none here; and models have to go the same way each time, whatever the tick.
#[cfg(any(not(any(target_os = "linux", target_os = "android")), wait_pool_loom))]
mod coarse {
    pub(super) const fn beginning() -> u64 {
        0
    }

    pub(super) const fn now() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_cheap_clock_lags_a_little_and_is_never_ahead() {
        let clock = Clock::new();
        for _ in 0..1_000 {
            let rough = clock.roughly_now();
            let now = clock.now();
            assert!(rough <= now, "{rough:?} is ahead of {now:?}");
            assert!(now.since(rough) < Duration::from_secs(5));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_clock_stops_both() {
        let clock = Clock::new();
        let before = clock.roughly_now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.roughly_now().since(before), Duration::from_secs(60));
        assert_eq!(clock.now(), clock.roughly_now());
    }

    #[tokio::test]
    async fn a_clock_stopped_later_is_noticed() {
        let clock = Clock::new();
        assert!(!clock.stopped.load(Relaxed));
        tokio::time::pause();
        clock.mind();
        assert!(clock.stopped.load(Relaxed));
    }
}

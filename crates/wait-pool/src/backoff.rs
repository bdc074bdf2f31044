//! The pause between failed attempts to connect, shared by the whole pool.

use std::time::Duration;

use crate::moment::Moment;

/// Grows with each failure in a row, with jitter so that many pools do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    until: Moment,
    rng: fastrand::Rng,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self {
            first,
            longest,
            failures: 0,
            until: Moment::BEGINNING,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How long the next attempt has to wait.
    pub(crate) const fn delay(&self, now: Moment) -> Duration {
        self.until.since(now)
    }

    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
        self.until = Moment::BEGINNING;
    }

    pub(crate) fn failed(&mut self, now: Moment) {
        let doubled = self.first.saturating_mul(1 << self.failures.min(20));
        let pause = doubled.min(self.longest);
        // Between three quarters of the pause and all of it: never longer than was asked for.
        let jittered = pause.mul_f64(1.0 - 0.25 * self.rng.f64());
        self.failures = self.failures.saturating_add(1);
        self.until = now.plus(jittered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_a_success() {
        let ms = Duration::from_millis;
        let now = Moment::BEGINNING;
        let mut backoff = Backoff::new(ms(100), ms(1_000), 7);
        for expected in [100, 200, 400, 800, 1_000, 1_000] {
            backoff.failed(now);
            let delay = backoff.delay(now);
            assert!(
                delay <= ms(expected) && delay >= ms(expected * 3 / 4),
                "{delay:?} is not within a quarter below {expected} ms"
            );
        }
        assert_eq!(backoff.delay(now.plus(ms(1_000))), Duration::ZERO);
        backoff.succeeded();
        assert_eq!(backoff.delay(now), Duration::ZERO);
    }

    #[test]
    fn any_number_of_failures_keeps_the_pause_bounded() {
        let now = Moment::BEGINNING;
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(9), 1);
        for _ in 0..10_000 {
            backoff.failed(now);
        }
        assert!(backoff.delay(now) <= Duration::from_secs(9));
    }
}

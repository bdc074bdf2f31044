//! How often servers may be asked for the topology.

use std::time::{Duration, Instant};

/// Between the beginnings of two refreshes; up to half as much again is added by chance, so that
/// many clients do not ask at once. And what a question costs: over time, two a second are asked.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// How many questions may be asked at once after a quiet time. A refresh asks one as a rule and more
/// when somebody keeps silent or is not believed.
const MOST_IN_ADVANCE: u32 = 6;

/// When refreshes began, and what their questions cost.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    /// When all questions so far are paid for.
    paid: Option<Instant>,
}

impl Pace {
    /// When the next refresh may begin; `None` if that is now.
    pub(super) fn due(&self) -> Option<Instant> {
        let apart = self.last? + MIN_INTERVAL;
        let credit = MIN_INTERVAL * MOST_IN_ADVANCE;
        let paid = self.paid.and_then(|paid| paid.checked_sub(credit));
        Some(paid.map_or(apart, |paid| paid.max(apart)))
    }

    pub(super) const fn begins(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// So many questions have been asked since it began.
    pub(super) fn asked(&mut self, questions: u32) {
        let since = self.last.max(self.paid);
        self.paid = since.map(|since| since + MIN_INTERVAL * questions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_may_begin_at_once_and_the_next_a_while_later() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.due(), None);
        pace.begins(start);
        pace.asked(1);
        assert_eq!(pace.due(), Some(start + ms(500)));
    }

    #[test]
    fn however_many_each_asks_it_is_two_a_second_over_time() {
        for each in 1..8_u32 {
            let (mut pace, start) = (Pace::default(), Instant::now());
            let (mut now, mut asked) = (start, 0);
            while now < start + ms(60_000) {
                pace.begins(now);
                pace.asked(each);
                asked += each;
                now = pace.due().unwrap().max(now);
            }
            assert!(asked <= 120 + MOST_IN_ADVANCE + each, "{each}: {asked}");
        }
    }

    #[test]
    fn a_quiet_time_pays_for_some_at_once() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for round in 0..3 {
            let now = start + ms(10_000) * round;
            assert!(pace.due().is_none_or(|due| due <= now));
            pace.begins(now);
            pace.asked(6);
            assert_eq!(pace.due(), Some(now + ms(500)));
        }
    }
}

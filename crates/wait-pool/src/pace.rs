//! How fast the line moves: what a caller may expect who joins it.

use std::time::Duration;

use crate::moment::Moment;

/// The measured time between two hand-overs while somebody waits, which is the time that
/// connections are held for, divided by how many there are.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The last hand-over, if somebody has waited ever since.
    last: Option<Moment>,
    /// What has been measured since the last mean.
    taken: Duration,
    handed_over: u32,
    /// Over the last [`WINDOW`], and when that was.
    mean: Option<(Duration, Moment)>,
}

impl Pace {
    /// A caller that came then has been handed a connection.
    pub(crate) fn handed_over(&mut self, came: Moment, now: Moment) {
        let begun = match (self.last.replace(now), self.mean) {
            (Some(last), _) => last,
            // Nobody waited before him. His wait is less than the pace, which corrects one that is
            // no longer true, and is no ground for a first one.
            (None, Some(_)) => came,
            (None, None) => return,
        };
        self.taken += now.since(begun);
        self.handed_over += 1;
        if self.handed_over == WINDOW {
            self.mean = Some((self.taken / WINDOW, now));
            self.taken = Duration::ZERO;
            self.handed_over = 0;
        }
    }

    /// Nobody waits any more: the time until somebody does tells nothing.
    pub(crate) const fn line_is_empty(&mut self) {
        self.last = None;
    }

    /// How long a caller will wait with so many ahead. `None` where there is nobody ahead, or where too
    /// little has been measured, or too long ago.
    pub(crate) fn expected_wait(&self, ahead: usize, now: Moment) -> Option<Duration> {
        let (mean, at) = self.mean.filter(|_| ahead > 0)?;
        let valid = mean.saturating_mul(2 * WINDOW);
        let callers = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
        (now.since(at) <= valid).then(|| mean.saturating_mul(callers))
    }
}

/// Over how many hand-overs the mean goes.
const WINDOW: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_steady_line_is_foretold() {
        let mut pace = Pace::default();
        let mut now = Moment::BEGINNING;
        for _ in 0..=WINDOW {
            assert_eq!(pace.expected_wait(9, now), None);
            let came = now;
            now = now.plus(ms(10));
            pace.handed_over(came, now);
        }
        assert_eq!(pace.expected_wait(9, now), Some(ms(100)));
        assert_eq!(pace.expected_wait(0, now), None, "he is next");
    }

    #[test]
    fn pauses_without_a_line_do_not_count() {
        let mut pace = Pace::default();
        let mut now = Moment::BEGINNING;
        for _ in 0..3 {
            for _ in 0..=WINDOW {
                let came = now;
                now = now.plus(ms(4));
                pace.handed_over(came, now);
            }
            pace.line_is_empty();
            assert_eq!(pace.expected_wait(1, now), Some(ms(8)));
            now = now.plus(ms(1_000_000));
        }
    }

    #[test]
    fn who_waits_alone_corrects_a_pace_that_is_no_longer_true() {
        let mut pace = Pace::default();
        let mut now = Moment::BEGINNING;
        for _ in 0..=WINDOW {
            let came = now;
            now = now.plus(ms(1_000));
            pace.handed_over(came, now);
        }
        for _ in 0..WINDOW {
            pace.line_is_empty();
            assert_eq!(pace.expected_wait(1, now), Some(ms(2_000)));
            let came = now;
            now = now.plus(ms(1));
            pace.handed_over(came, now);
        }
        assert_eq!(pace.expected_wait(1, now), Some(ms(2)));
    }

    #[test]
    fn what_was_measured_long_ago_counts_no_more() {
        let mut pace = Pace::default();
        let mut now = Moment::BEGINNING;
        for _ in 0..=WINDOW {
            let came = now;
            now = now.plus(ms(10));
            pace.handed_over(came, now);
        }
        now = now.plus(ms(20 * u64::from(WINDOW)));
        assert!(pace.expected_wait(1, now).is_some());
        assert_eq!(pace.expected_wait(1, now.plus(ms(1))), None);
    }
}

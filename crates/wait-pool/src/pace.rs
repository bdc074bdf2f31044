//! How fast the line moves: what a caller may expect who joins it.

use std::time::Duration;

use crate::moment::Moment;

/// The measured time between two hand-overs while somebody waits, which is the time that
/// connections are held for, divided by how many there are.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the hand-overs began that are being counted.
    begun: Option<Moment>,
    handed_over: u32,
    /// Over the last [`WINDOW`], once there have been as many.
    mean: Option<Duration>,
}

impl Pace {
    pub(crate) fn handed_over(&mut self, now: Moment) {
        let Some(begun) = self.begun else {
            self.begun = Some(now);
            return;
        };
        self.handed_over += 1;
        if self.handed_over == WINDOW {
            self.mean = Some(now.since(begun) / WINDOW);
            self.begun = Some(now);
            self.handed_over = 0;
        }
    }

    /// Nobody waits any more: the time until somebody does tells nothing.
    pub(crate) const fn line_is_empty(&mut self) {
        self.begun = None;
        self.handed_over = 0;
    }

    /// How long a caller will wait with so many ahead. `None` before enough has been measured.
    pub(crate) fn expected_wait(&self, ahead: usize) -> Option<Duration> {
        let callers = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
        Some(self.mean?.saturating_mul(callers))
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
            assert_eq!(pace.expected_wait(0), None);
            pace.handed_over(now);
            now = now.plus(ms(10));
        }
        assert_eq!(pace.expected_wait(0), Some(ms(10)));
        assert_eq!(pace.expected_wait(9), Some(ms(100)));
    }

    #[test]
    fn pauses_without_a_line_do_not_count() {
        let mut pace = Pace::default();
        let mut now = Moment::BEGINNING;
        for _ in 0..3 {
            for _ in 0..=WINDOW {
                pace.handed_over(now);
                now = now.plus(ms(4));
            }
            pace.line_is_empty();
            now = now.plus(ms(1_000_000));
        }
        assert_eq!(pace.expected_wait(0), Some(ms(4)));
    }
}

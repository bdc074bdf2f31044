//! What is seen from outside: how much is answered, and how many connections there are.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::sockets;
use crate::work::Seen;

const LOOK: Duration = Duration::from_millis(50);

/// What was answered, look by look.
#[derive(Debug)]
pub(crate) struct Watched {
    begun: Instant,
    /// Since the beginning.
    answered: Vec<u64>,
    /// The most connections at once, to all nodes and to each.
    pub(crate) peak_connections: usize,
    pub(crate) peaks: BTreeMap<u16, usize>,
}

/// Looks until it is over.
pub(crate) fn watch(seen: &Seen) -> Watched {
    let mut watched = Watched {
        begun: Instant::now(),
        answered: Vec::new(),
        peak_connections: 0,
        peaks: BTreeMap::new(),
    };
    while !seen.is_over.load(Relaxed) {
        let open = sockets::by_port().unwrap_or_default();
        watched.peak_connections = watched.peak_connections.max(open.values().sum());
        for (port, count) in open {
            let peak = watched.peaks.entry(port).or_default();
            *peak = count.max(*peak);
        }
        // By the clock: what was missed while this thread did not run is what there was before.
        let looks = watched.begun.elapsed().as_millis() / LOOK.as_millis();
        while watched.answered.len() as u128 <= looks {
            watched.answered.push(seen.answered.load(Relaxed));
        }
        thread::sleep(LOOK);
    }
    watched
}

impl Watched {
    fn at(&self, time: Instant) -> usize {
        let since = time.saturating_duration_since(self.begun);
        (since.as_millis() / LOOK.as_millis()) as usize
    }

    /// Answers in a second between two times.
    fn rate(&self, from: usize, to: usize) -> Option<f64> {
        let count = self.answered.get(to)? - self.answered.get(from)?;
        Some(count as f64 / ((to - from) as f64 * LOOK.as_secs_f64()))
    }

    /// How long after `end` there was a half second in which 0.8 of what was answered from `from` to `to` was
    /// answered again.
    pub(crate) fn recovery(&self, from: Instant, to: Instant, end: Instant) -> Option<f64> {
        const WINDOW: usize = 10;
        let usual = self.rate(self.at(from), self.at(to))?;
        let end = self.at(end);
        let mut looks = 0..;
        let look = looks.find_map(|look| {
            let Some(rate) = self.rate(end + look, end + look + WINDOW) else {
                return Some(None);
            };
            (rate >= 0.8 * usual).then_some(Some(look))
        });
        look.flatten().map(|look| look as f64 * LOOK.as_secs_f64())
    }

    /// The longest time without an answer, in seconds.
    pub(crate) fn longest_darkness(&self) -> f64 {
        let groups = self.answered.chunk_by(|before, now| before == now);
        let longest = groups.map(<[u64]>::len).max().unwrap_or_default();
        longest.saturating_sub(1) as f64 * LOOK.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(answered: &[u64]) -> Watched {
        Watched {
            begun: Instant::now(),
            answered: answered.to_vec(),
            peak_connections: 0,
            peaks: BTreeMap::new(),
        }
    }

    #[test]
    fn recovery_is_when_as_much_is_answered_as_before() {
        let mut answered: Vec<u64> = (0..40).map(|look| look * 10).collect();
        answered.extend([390; 20]);
        answered.extend((0..40).map(|look| 390 + look * 10));
        let watched = watched(&answered);
        let at = |looks: u32| watched.begun + LOOK * looks;
        let time = watched.recovery(at(0), at(39), at(45)).unwrap();
        assert!((0.5..=0.75).contains(&time), "{time}");
        assert_eq!(watched.recovery(at(0), at(39), at(95)), None);
        assert!((watched.longest_darkness() - 1.0).abs() < 0.11);
    }
}

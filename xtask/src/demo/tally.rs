//! What is counted, and the figures that come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::failure::Failure;

/// The requests of a worker, of a group of them, or of a whole phase.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Of the requests that got all their values, in microseconds. A client that fails at once
    /// must not look quick.
    latencies: Histogram<u32>,
    errors: BTreeMap<Failure, u64>,
    wrong_values: u64,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            // Three digits; it grows with what comes.
            latencies: Histogram::new(3).expect("three digits are within the bounds"),
            errors: BTreeMap::new(),
            wrong_values: 0,
        }
    }

    /// A request that got its ten values.
    pub(super) fn answered(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.latencies
            .record(micros)
            .expect("a histogram that grows takes every value");
    }

    /// A request that failed.
    pub(super) fn failed(&mut self, failure: Failure) {
        *self.errors.entry(failure).or_default() += 1;
    }

    /// A request of whose values so many were not those of their keys.
    pub(super) fn wrong(&mut self, values: u64) {
        self.wrong_values += values;
        self.failed(Failure::WRONG_VALUE);
    }

    /// Takes the requests of another in.
    pub(super) fn merge(&mut self, other: &Self) {
        self.latencies
            .add(&other.latencies)
            .expect("a histogram that grows takes every value");
        for (failure, count) in &other.errors {
            *self.errors.entry(failure.clone()).or_default() += count;
        }
        self.wrong_values += other.wrong_values;
    }

    /// The figures, if it took so long in all.
    pub(super) fn figures(&self, time: Duration) -> Figures {
        let ok = self.latencies.len();
        let errors = self.errors.values().sum();
        let seconds = time.as_secs_f64();
        let quantile = |quantile| match ok {
            0 => 0,
            _ => self.latencies.value_at_quantile(quantile),
        };
        Figures {
            requests: ok + errors,
            ok,
            errors,
            errors_by_kind: self
                .errors
                .iter()
                .map(|(failure, &count)| (failure.to_string(), count))
                .collect(),
            wrong_values: self.wrong_values,
            seconds,
            requests_per_s: if seconds > 0.0 {
                ok as f64 / seconds
            } else {
                0.0
            },
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: self.latencies.max(),
        }
    }
}

/// Figures of some requests.
///
/// The rate and the latencies are those of requests that got their values; one that failed did no
/// work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) requests: u64,
    pub(super) ok: u64,
    pub(super) errors: u64,
    pub(super) errors_by_kind: BTreeMap<String, u64>,
    pub(super) wrong_values: u64,
    pub(super) seconds: f64,
    pub(super) requests_per_s: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    pub(super) max_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn quantiles_are_of_the_answered() {
        let mut tally = Tally::new();
        for n in 1..=1000 {
            tally.answered(millis(n));
        }
        tally.failed(Failure::MAX_CONNECTIONS);
        let figures = tally.figures(Duration::from_secs(2));
        assert_eq!(
            (figures.requests, figures.ok, figures.errors),
            (1001, 1000, 1)
        );
        assert_eq!(figures.requests_per_s, 500.0);
        let near = |us: u64, millis: u64| us.abs_diff(millis * 1000) <= millis * 2;
        assert!(near(figures.p50_us, 500), "{figures:?}");
        assert!(near(figures.p99_us, 990), "{figures:?}");
        assert!(near(figures.p999_us, 999), "{figures:?}");
        assert!(near(figures.max_us, 1000), "{figures:?}");
    }

    #[test]
    fn merging_adds_up() {
        let mut one = Tally::new();
        one.answered(millis(1));
        one.failed(Failure::MAX_CONNECTIONS);
        let mut other = Tally::new();
        other.answered(Duration::from_secs(100));
        other.failed(Failure::MAX_CONNECTIONS);
        other.wrong(3);
        one.merge(&other);
        let figures = one.figures(millis(1));
        assert_eq!((figures.ok, figures.errors), (2, 3));
        assert_eq!(figures.wrong_values, 3);
        let kinds: Vec<_> = figures.errors_by_kind.into_iter().collect();
        assert_eq!(
            kinds,
            [
                ("max connections".to_owned(), 2),
                ("wrong value".to_owned(), 1)
            ]
        );
        assert!(figures.max_us >= 99_000_000);
    }

    #[test]
    fn nothing_gives_zeros() {
        let figures = Tally::new().figures(Duration::ZERO);
        assert_eq!((figures.requests, figures.p999_us), (0, 0));
        assert_eq!(figures.requests_per_s, 0.0);
    }
}

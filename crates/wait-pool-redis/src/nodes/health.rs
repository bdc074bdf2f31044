//! How a node has done as a reader: whether it is left out, and how fast it answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is remembered of a node's answers to reads.
#[derive(Debug)]
pub(crate) struct Health {
    begun: Instant,
    /// Nanoseconds since `begun` until which it is left out.
    rests_until: AtomicU64,
    /// A moving average in nanoseconds; zero before the first answer.
    latency: AtomicU64,
}

/// How long a node that could not answer is left out. One request a second finds out whether it can again.
const REST: Duration = Duration::from_secs(1);

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            begun: now(),
            rests_until: AtomicU64::new(0),
            latency: AtomicU64::new(0),
        }
    }

    /// It could not answer a read that another node of its shard can.
    pub(crate) fn rest(&self) {
        let until = now().duration_since(self.begun) + REST;
        self.rests_until.store(nanos(until), Ordering::Relaxed);
    }

    /// Whether it may be asked.
    pub(crate) fn is_fit(&self) -> bool {
        match self.rests_until.load(Ordering::Relaxed) {
            0 => true,
            until => nanos(now().duration_since(self.begun)) >= until,
        }
    }

    /// It took so long to answer: an eighth of the average from now on.
    pub(crate) fn took(&self, latency: Duration) {
        let new = nanos(latency).max(1);
        let average = match self.latency.load(Ordering::Relaxed) {
            0 => new,
            old => old - old / 8 + new / 8,
        };
        // One answer among many may be lost to another that comes at the same time.
        self.latency.store(average.max(1), Ordering::Relaxed);
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        match self.latency.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_rests_for_a_while() {
        let health = Health::new();
        assert!(health.is_fit());
        health.rest();
        assert!(!health.is_fit());
        tokio::time::advance(REST).await;
        assert!(health.is_fit());
    }

    #[test]
    fn the_latency_is_an_average_of_late() {
        let health = Health::new();
        assert_eq!(health.latency(), None);
        health.took(Duration::from_millis(8));
        assert_eq!(health.latency(), Some(Duration::from_millis(8)));
        (0..50).for_each(|_| health.took(Duration::from_millis(1)));
        let latency = health.latency().unwrap();
        assert!(latency < Duration::from_micros(1100), "{latency:?}");
    }
}

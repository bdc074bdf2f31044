//! The settings of a pool, and the builder that refuses those that make no sense.

use std::sync::Arc;
use std::time::Duration;

use crate::error::BuildError;
use crate::policy::QueuePolicy;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Arc<str>,
    pub(crate) max_size: usize,
    pub(crate) max_leases: usize,
    pub(crate) max_waiters: usize,
    pub(crate) wait_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_connecting: usize,
    pub(crate) connect_backoff: (Duration, Duration),
    pub(crate) check_idle_after: Duration,
    pub(crate) check_timeout: Duration,
    pub(crate) min_idle: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) queue_policy: QueuePolicy,
    pub(crate) priority_ageing: Duration,
    pub(crate) claim_timeout: Duration,
    pub(crate) slow_acquire_after: Option<Duration>,
    pub(crate) leak_warning_after: Option<Duration>,
    pub(crate) start_paused: bool,
}

/// How long connections live.
#[derive(Debug)]
pub(crate) struct Lifetimes {
    pub(crate) check_idle_after: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    /// As many idle ones stay, however long they are idle.
    pub(crate) min_idle: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: Arc::from("default"),
            max_size: 16,
            max_leases: 64,
            max_waiters: usize::MAX,
            wait_timeout: Some(Duration::from_secs(5)),
            connect_timeout: Duration::from_secs(5),
            max_connecting: 2,
            connect_backoff: (Duration::from_millis(100), Duration::from_secs(2)),
            check_idle_after: Duration::from_secs(30),
            check_timeout: Duration::from_secs(1),
            min_idle: 0,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            queue_policy: QueuePolicy::Fifo,
            priority_ageing: Duration::from_secs(1),
            claim_timeout: Duration::from_millis(250),
            slow_acquire_after: Some(Duration::from_secs(2)),
            leak_warning_after: None,
            start_paused: false,
        }
    }
}

impl Config {
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            check_idle_after: self.check_idle_after,
            idle_timeout: self.idle_timeout,
            max_lifetime: self.max_lifetime,
            min_idle: self.min_idle,
        }
    }

    /// Whether times matter that are as short as a coarse clock lags.
    pub(crate) fn counts_in_moments(&self) -> bool {
        let lives = [
            self.idle_timeout,
            self.max_lifetime,
            self.leak_warning_after,
        ];
        let mut times = lives.into_iter().flatten().chain([self.check_idle_after]);
        times.any(|time| time < Duration::from_secs(1))
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let refuse = |setting, reason| Err(BuildError { setting, reason });
        check_size(self.max_size)?;
        if self.max_leases == 0 {
            return refuse("max_leases", "a connection has at least 1 holder");
        }
        if self.max_connecting == 0 {
            return refuse("max_connecting", "nothing would ever be opened; at least 1");
        }
        if self.max_waiters == 0 {
            return refuse(
                "max_waiters",
                "nobody could wait for a connection to be opened",
            );
        }
        if self.wait_timeout == Some(Duration::ZERO) {
            return refuse("wait_timeout", "no caller could wait; use try_get for that");
        }
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "no attempt could succeed");
        }
        if self.min_idle > self.max_size {
            return refuse(
                "min_idle",
                "no more connections can be idle than there may be",
            );
        }
        if self.idle_timeout == Some(Duration::ZERO) {
            return refuse("idle_timeout", "no connection would ever be used again");
        }
        if self.max_lifetime == Some(Duration::ZERO) {
            return refuse("max_lifetime", "no connection could ever be used");
        }
        if self.check_timeout.is_zero() {
            return refuse("check_timeout", "no check could succeed");
        }
        if self.claim_timeout.is_zero() {
            return refuse("claim_timeout", "no grant could be picked up");
        }
        if self.leak_warning_after == Some(Duration::ZERO) {
            return refuse("leak_warning_after", "every checkout would be a leak");
        }
        if let QueuePolicy::AdaptiveLifo { interval, patience } = self.queue_policy
            && (interval.is_zero() || patience.is_zero())
        {
            return refuse(
                "queue_policy",
                "every line would be an overload, or every caller too late",
            );
        }
        let (first, longest) = self.connect_backoff;
        if first.is_zero() {
            return refuse(
                "connect_backoff",
                "without a pause a dead server is hammered",
            );
        }
        if longest > Duration::from_secs(24 * 60 * 60) {
            return refuse("connect_backoff", "a pause of more than a day is none");
        }
        if first > longest {
            return refuse("connect_backoff", "the first pause is above the longest");
        }
        Ok(())
    }
}

pub(crate) fn check_size(max_size: usize) -> Result<(), BuildError> {
    if max_size == 0 {
        return Err(BuildError {
            setting: "max_size",
            reason: "a pool of no connections serves nobody; at least 1",
        });
    }
    Ok(())
}

//! Attempts to connect: how many are under way, when the next may begin, how the last one ended.

use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::ConnectError;
use crate::moment::Moment;

#[derive(Debug)]
pub(crate) struct Opening<E> {
    under_way: usize,
    /// How many of them wait for room in the group.
    held_up: usize,
    /// How many have failed so far.
    failures: u64,
    at_once: usize,
    backoff: Backoff,
    last_error: Option<Arc<ConnectError<E>>>,
}

impl<E> Opening<E> {
    pub(crate) const fn new(at_once: usize, backoff: Backoff) -> Self {
        Self {
            under_way: 0,
            held_up: 0,
            failures: 0,
            at_once,
            backoff,
            last_error: None,
        }
    }

    pub(crate) const fn under_way(&self) -> usize {
        self.under_way
    }

    pub(crate) const fn held_up(&self) -> usize {
        self.held_up
    }

    /// Those under way that do not wait for room.
    pub(crate) const fn begun(&self) -> usize {
        self.under_way - self.held_up
    }

    /// An attempt has to wait for room.
    pub(crate) const fn hold_up(&mut self) {
        self.held_up += 1;
    }

    /// An attempt waits for room no longer.
    pub(crate) const fn go_on(&mut self) {
        self.held_up -= 1;
    }

    /// Whether the last attempt failed.
    pub(crate) const fn is_failing(&self) -> bool {
        self.last_error.is_some()
    }

    pub(crate) const fn failures(&self) -> u64 {
        self.failures
    }

    pub(crate) const fn last_error(&self) -> Option<&Arc<ConnectError<E>>> {
        self.last_error.as_ref()
    }

    /// Begins an attempt if fewer than `wanted` are under way and no more than may run at once,
    /// and says how long it has to wait. After a failure one attempt at a time probes whether the
    /// server is back.
    pub(crate) fn begin(&mut self, wanted: usize, now: Moment) -> Option<Duration> {
        let at_once = if self.is_failing() { 1 } else { self.at_once };
        if self.under_way >= wanted.min(at_once) {
            return None;
        }
        self.under_way += 1;
        Some(self.backoff.delay(now))
    }

    /// Whether no more attempts may be begun for now.
    pub(crate) const fn is_saturated(&self) -> bool {
        self.held_up > 0 || self.is_failing() || self.under_way >= self.at_once
    }

    /// An attempt has succeeded. Returns the error before, to be dropped outside of the lock.
    pub(crate) fn succeeded(&mut self) -> Option<Arc<ConnectError<E>>> {
        self.under_way -= 1;
        self.backoff.succeeded();
        self.last_error.take()
    }

    /// An attempt has failed. Returns the error before, to be dropped outside of the lock.
    pub(crate) fn failed(
        &mut self,
        error: Arc<ConnectError<E>>,
        now: Moment,
    ) -> Option<Arc<ConnectError<E>>> {
        self.under_way -= 1;
        self.failures += 1;
        self.backoff.failed(now);
        self.last_error.replace(error)
    }

    /// An attempt could not be carried on. That says nothing of the server.
    pub(crate) fn lost(&mut self) {
        self.under_way -= 1;
    }
}

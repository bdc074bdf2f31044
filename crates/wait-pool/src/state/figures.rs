//! What the state tells of itself: to users, to gauges, to callers whose time was up.

use std::sync::Arc;
use std::time::Instant;

use super::State;
use crate::error::{Phase, Timeout};
use crate::metrics::Levels;
use crate::status::{Holding, Status};

impl<C, E> State<C, E> {
    pub(crate) fn status(&self) -> Status {
        Status {
            max_size: self.max_size,
            size: self.size(),
            idle: self.slots.idle(),
            in_use: self.in_use(),
            opening: self.opening.under_way(),
            checking: self.checking,
            holders: self.slots.holders(),
            waiting: self.line.total(),
        }
    }

    /// What a caller is told whose deadline has passed.
    pub(super) fn report(&self, since: Instant, ahead: usize, now: Instant) -> Box<Timeout<E>> {
        let longest = self.slots.longest_held();
        Box::new(Timeout {
            pool: Arc::clone(&self.pool),
            phase: self.phase(),
            waited: now.saturating_duration_since(since),
            ahead,
            status: self.status(),
            last_connect_error: self.opening.last_error().cloned(),
            longest_held: longest.map(|(since, at)| (now.saturating_duration_since(since), at)),
        })
    }

    /// What gauges show.
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            idle: self.slots.idle(),
            used: self.in_use(),
            opening: self.opening.under_way(),
            pending: self.line.total(),
            max: self.max_size,
            idle_min: self.min_idle,
        }
    }

    fn phase(&self) -> Phase {
        match (self.in_use(), self.checking, self.opening.under_way()) {
            (0, 1.., _) => Phase::Checking,
            (0, 0, 1..) => Phase::Connecting,
            _ => Phase::Queued,
        }
    }

    /// Who holds what.
    pub(crate) fn holdings(&self, now: Instant) -> Vec<Holding> {
        let held = self.slots.held();
        held.map(|(since, taken_at)| Holding {
            held_for: now.saturating_duration_since(since),
            taken_at,
        })
        .collect()
    }
}

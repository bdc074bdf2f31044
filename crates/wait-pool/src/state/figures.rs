//! What the state tells of itself: to users, to gauges, to callers whose time was up.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::State;
use crate::error::{ConnectError, Phase, Timeout};
use crate::metrics::Levels;
use crate::moment::Moment;
use crate::status::{Holding, Status};

/// What those are told whose deadline has passed at a moment.
#[derive(Debug)]
pub(super) struct Figures<E> {
    pool: Arc<str>,
    now: Moment,
    phase: Phase,
    status: Status,
    last_connect_error: Option<Arc<ConnectError<E>>>,
    longest_held: Option<(Duration, &'static Location<'static>)>,
}

impl<E> Figures<E> {
    /// For a caller that came `since` then and has so many ahead.
    pub(super) fn report(&self, since: Moment, ahead: usize) -> Box<Timeout<E>> {
        Box::new(Timeout {
            pool: Arc::clone(&self.pool),
            phase: self.phase,
            waited: self.now.since(since),
            ahead,
            status: self.status,
            last_connect_error: self.last_connect_error.clone(),
            longest_held: self.longest_held,
        })
    }
}

impl<C, E> State<C, E> {
    pub(crate) fn status(&self) -> Status {
        Status {
            max_size: self.max_size,
            size: self.size() - self.opening.held_up(),
            idle: self.slots.idle(),
            in_use: self.slots.in_use(),
            opening: self.opening.begun(),
            held_up: self.opening.held_up(),
            checking: self.checking,
            holders: self.slots.holders(),
            waiting: self.line.total(),
        }
    }

    /// What there is to report. Looks at every holder.
    pub(super) fn figures(&self, now: Moment) -> Figures<E> {
        let longest = self.slots.held().min_by_key(|(since, _)| *since);
        Figures {
            pool: Arc::clone(&self.pool),
            now,
            phase: self.phase(),
            status: self.status(),
            last_connect_error: self.opening.last_error().cloned(),
            longest_held: longest.map(|(since, at)| (now.since(since), at)),
        }
    }

    /// What gauges show.
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            idle: self.slots.idle(),
            used: self.slots.in_use(),
            opening: self.opening.begun(),
            pending: self.line.total(),
            max: self.max_size,
            idle_min: self.min_idle,
        }
    }

    fn phase(&self) -> Phase {
        match (self.slots.in_use(), self.checking, self.opening.begun()) {
            (0, 1.., _) => Phase::Checking,
            (0, 0, 1..) => Phase::Connecting,
            (0, 0, 0) if self.opening.held_up() > 0 => Phase::HeldUp,
            _ => Phase::Queued,
        }
    }

    /// Who holds what, the longest-held first.
    pub(crate) fn holdings(&self, now: Moment) -> Vec<Holding> {
        let held = self.slots.held().map(|(since, taken_at)| Holding {
            held_for: now.since(since),
            taken_at,
        });
        let mut held: Vec<Holding> = held.collect();
        held.sort_by_key(|holding| std::cmp::Reverse(holding.held_for));
        held
    }
}

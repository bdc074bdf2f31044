//! Who is served next, and what is done for those who wait: checks, connects, setting aside.

use std::time::Instant;

use super::State;
use crate::line::{Failure, Kind};
use crate::slots::Grant;
use crate::transition::{Effects, Opens};

impl<C, E> State<C, E> {
    /// Hands out what there is, in the order of the tickets, and opens what is missing.
    pub(super) fn serve(&mut self, now: Instant, fx: &mut Effects<C, E>) {
        if self.closed {
            // Somebody may wait for the last one to be gone.
            fx.wake.extend(self.watching.drain(..));
        }
        if self.line.total() == 0 && self.slots.idle() >= self.min_idle {
            // Most returns end here: nobody waits, and nothing is missing.
            self.set_aside();
            return self.mind_expiry(fx);
        }
        loop {
            self.pass_over_the_late(now, fx);
            self.set_aside();
            let Some((kind, grant)) = self.next_grant(now) else {
                break;
            };
            match self.line.first() {
                Some(first) if first != kind => self.passed += 1,
                _ => self.passed = 0,
            }
            fx.wake.push(self.line.grant(kind, grant));
        }
        self.make_room(now, fx);
    }

    /// Passes over waiters at the head whose deadline has passed: a connection would be wasted on
    /// them while others still have time.
    fn pass_over_the_late(&mut self, now: Instant, fx: &mut Effects<C, E>) {
        for kind in [Kind::Exclusive, Kind::Lease] {
            while let Some(since) = self.line.first_is_late(kind, now) {
                let report = self.report(since, 0, now);
                fx.wake.extend(self.line.pass_over(kind, report));
            }
        }
    }

    fn next_grant(&mut self, now: Instant) -> Option<(Kind, Grant<C>)> {
        let first = self.line.first()?;
        let at = self.line.head_location(first)?;
        if let Some(grant) = self.grant(first, at, now) {
            return Some((first, grant));
        }
        // The first cannot be served. If it waits for a connection of its own, leases behind it
        // may still use the room on shared ones.
        let at = self.line.head_location(Kind::Lease)?;
        let grant = self.slots.join(at, now)?;
        Some((Kind::Lease, grant))
    }

    /// Has long-idle connections checked and new ones opened for those who wait.
    pub(crate) fn make_room(&mut self, now: Instant, fx: &mut Effects<C, E>) {
        let leases = self.line.len(Kind::Lease).div_ceil(self.max_leases);
        let wanted = self.line.len(Kind::Exclusive) + leases;
        self.check_idle(wanted, now, fx);
        let spare = match self.closed {
            true => 0,
            false => self.min_idle.saturating_sub(self.slots.idle()),
        };
        let wanted = wanted.saturating_sub(self.checking) + spare;
        while self.size() < self.max_size
            && let Some(delay) = self.opening.begin(wanted, now)
        {
            fx.open.push(Opens {
                after: delay,
                generation: self.slots.generation(),
            });
        }
        self.set_aside();
        self.mind_expiry(fx);
    }

    /// Sees to it that somebody comes when an idle connection is to be closed.
    fn mind_expiry(&mut self, fx: &mut Effects<C, E>) {
        if let Some(due) = self.slots.soonest()
            && !self.closed
            && self.keeper.is_none_or(|keeper| due < keeper)
        {
            self.keeper = Some(due);
            fx.keep = Some(due);
        }
    }

    pub(super) fn check_idle(&mut self, wanted: usize, now: Instant, fx: &mut Effects<C, E>) {
        while self.checking < wanted
            && let Some(doubtful) = self.slots.begin_check(now)
        {
            self.checking += 1;
            fx.check.push(doubtful);
        }
    }

    /// Sees to it that leases do not keep the first in line waiting for ever.
    pub(super) fn set_aside(&mut self) {
        if self.line.first() != Some(Kind::Exclusive) {
            self.passed = 0;
            self.slots.stop_draining();
            return;
        }
        let nothing_comes = self.size() >= self.max_size || self.opening.is_saturated();
        let others = self.slots.draining() + usize::from(!nothing_comes);
        if self.passed >= others.saturating_mul(self.max_leases) {
            self.slots.drain_one();
        }
    }

    /// Tells those whom a failed attempt would have served, or everybody if no other is under way.
    pub(super) fn tell(&mut self, failure: &Failure<E>, fx: &mut Effects<C, E>) {
        let Some(first) = self.line.first() else {
            return;
        };
        let share = match first {
            Kind::Exclusive => 1,
            Kind::Lease => self.max_leases,
        };
        let concerned = match self.opening.under_way() {
            0 => [Kind::Exclusive, Kind::Lease].map(|kind| (kind, usize::MAX)),
            _ => [(first, share), (first, 0)],
        };
        for (kind, count) in concerned {
            for _ in 0..count.min(self.line.len(kind)) {
                fx.wake.extend(self.line.fail(kind, failure.clone()));
            }
        }
    }
}

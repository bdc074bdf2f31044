//! Who is served next, and what is done for those who wait: checks, connects, setting aside.

use super::State;
use crate::error::Timeout;
use crate::line::{Failure, Kind, Outcome, WaiterId};
use crate::moment::Moment;
use crate::policy::QueuePolicy;
use crate::slots::Grant;
use crate::transition::{Effects, Opens};

impl<C, E> State<C, E> {
    /// Hands out what there is, in the order of the turns, and opens what is missing.
    pub(super) fn serve(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        if self.closed {
            // Somebody may wait for the last one to be gone.
            fx.wake.extend(self.watching.drain(..));
        }
        if self.line.total() > 0 {
            self.pass_over_the_late(now, fx);
            self.shed(now, fx);
            self.hand_out(now, fx);
        } else {
            self.pace.line_is_empty();
        }
        if self.ties.are_pulled() {
            self.mind_the_group(now, fx);
        }
        self.make_room(now, fx);
    }

    pub(super) fn hand_out(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        loop {
            // Whoever comes after one that had time may be late.
            self.pass_over_the_late(now, fx);
            let Some(first) = self.line.first() else {
                break;
            };
            self.set_aside_for(first);
            let Some((served, grant)) = self.next_grant(first, now) else {
                return;
            };
            match served == first {
                true => self.passed = 0,
                false => self.passed += 1,
            }
            self.pace.handed_over(self.line.ticket(served), now);
            fx.wake.push(self.line.grant(served, grant, now));
        }
        self.pace.line_is_empty();
        self.set_aside();
    }

    /// Passes over waiters whose deadline has passed: a connection would be wasted on them while
    /// others still have time.
    fn pass_over_the_late(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        self.settle_overdue(now, Outcome::Late, |deadline, _| deadline < now, fx);
    }

    /// In an overload, has the newest served first and refuses those who have waited too long.
    fn shed(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        let QueuePolicy::AdaptiveLifo { interval, patience } = self.queue_policy else {
            return;
        };
        let since = self.line.occupied_since();
        let overloaded = since.is_some_and(|since| now.since(since) >= interval);
        self.line.serve_newest_first(overloaded);
        if overloaded {
            let too_long = |_, ticket| now.since(ticket) > patience;
            self.settle_overdue(now, Outcome::Shed, too_long, fx);
        }
    }

    /// Tells the oldest waiters of each class that they get nothing, as long as they are `overdue`, in
    /// the order of their turns.
    pub(super) fn settle_overdue(
        &mut self,
        now: Moment,
        outcome: impl Fn(Box<Timeout<E>>) -> Outcome<C, E>,
        overdue: impl Fn(Moment, Moment) -> bool,
        fx: &mut Effects<C, E>,
    ) {
        let mut common = None;
        let mut told = 0;
        while let Some(id) = self.line.overdue(&overdue) {
            // A crowd whose time is up at once is not counted anew for each: those told just now
            // were still ahead of the next.
            let (figures, ahead) =
                common.get_or_insert_with(|| (self.figures(now), self.line.ahead_of(id)));
            let report = figures.report(self.line.ticket(id), *ahead + told);
            fx.wake.push(self.line.settle(id, outcome(report)));
            told += 1;
        }
    }

    fn next_grant(&mut self, first: WaiterId, now: Moment) -> Option<(WaiterId, Grant<C>)> {
        let kind = self.line.kind(first);
        if let Some(grant) = self.grant(kind, self.line.location(first), now) {
            return Some((first, grant));
        }
        // The first cannot be served. If it waits for a connection of its own, leases behind it
        // may still use the room on shared ones.
        let lease = self.line.first_of(Kind::Lease)?;
        let grant = self.slots.join(self.line.location(lease), now)?;
        Some((lease, grant))
    }

    /// Has long-idle connections checked and new ones opened for those who wait.
    pub(crate) fn make_room(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        if self.slots.idle() > 0 || self.size() < self.max_size {
            self.open_and_check(now, fx);
        }
        self.set_aside();
        self.mind(now, fx);
    }

    fn open_and_check(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        self.check_idle(self.waited_for(), now, fx);
        let wanted = self.missing();
        while self.size() < self.max_size
            && let Some(after) = self.opening.begin(wanted, now)
        {
            self.attempts += 1;
            fx.open.push(Opens {
                after,
                generation: self.slots.generation(),
                number: self.attempts,
            });
        }
    }

    /// How many connections would serve all who wait.
    pub(super) fn waited_for(&self) -> usize {
        let leases = self.line.len(Kind::Lease).div_ceil(self.max_leases);
        self.line.len(Kind::Exclusive) + leases
    }

    /// How many connections would have to be opened for those who wait and for `min_idle`.
    pub(super) fn missing(&self) -> usize {
        let spare = match self.closed || self.paused {
            true => 0,
            false => self.min_idle.saturating_sub(self.slots.idle()),
        };
        self.waited_for().saturating_sub(self.checking) + spare
    }

    pub(super) fn check_idle(&mut self, wanted: usize, now: Moment, fx: &mut Effects<C, E>) {
        while self.checking < wanted
            && let Some(doubtful) = self.slots.begin_check(now)
        {
            self.checking += 1;
            fx.check.push(doubtful);
        }
    }

    /// Sees to it that leases do not keep the first in line waiting for ever.
    pub(super) fn set_aside(&mut self) {
        match self.line.first() {
            Some(first) => self.set_aside_for(first),
            None => self.set_none_aside(),
        }
    }

    fn set_aside_for(&mut self, first: WaiterId) {
        if self.line.kind(first) == Kind::Lease {
            return self.set_none_aside();
        }
        let nothing_comes = self.size() >= self.max_size || self.opening.is_saturated();
        let others = self.slots.draining() + usize::from(!nothing_comes);
        if self.passed >= others.saturating_mul(self.max_leases) {
            self.slots.drain_one();
        }
    }

    fn set_none_aside(&mut self) {
        self.passed = 0;
        self.slots.stop_draining();
    }

    /// Tells those whom a failed attempt would have served, or everybody if no other is under way.
    pub(super) fn tell(&mut self, failure: &Failure<E>, fx: &mut Effects<C, E>) {
        let Some(first) = self.line.first() else {
            return;
        };
        let first = self.line.kind(first);
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
                let next = self.line.first_of(kind);
                let told = next.map(|id| self.line.settle(id, Outcome::Failed(failure.clone())));
                fx.wake.extend(told);
            }
        }
    }
}

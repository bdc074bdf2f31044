//! What happens to all connections at once: cleared, swept, warmed up, doubted, closed.

use std::sync::Arc;
use std::task::Waker;

use super::State;
use crate::event::CloseReason;
use crate::line::{Failure, Outcome};
use crate::moment::Moment;
use crate::slots::Doubtful;
use crate::transition::{Effects, Keep};

impl<C, E> State<C, E> {
    /// Whether a caller that was served at once leaves something to do: fewer connections are idle
    /// than there should be, or nobody will come when they have to be closed or are held for too long.
    #[inline]
    pub(crate) fn wants_upkeep(&self, now: Moment) -> bool {
        if self.keeper.is_some() && self.min_idle == 0 && self.leak_warning_after.is_none() {
            return false;
        }
        let lacks_spare = self.slots.idle() < self.min_idle
            && self.opening.under_way() == 0
            && self.size() < self.max_size;
        let unkept = self.keeper.is_none() && self.slots.soonest() != Moment::NEVER;
        let unwatched = self
            .leak_warning_after
            .is_some_and(|after| self.keeper.is_none_or(|keeper| keeper > now.plus(after)));
        (lacks_spare || unkept || unwatched) && !self.closed
    }

    /// Has all connections replaced: idle ones are closed now, the others when they come back, those
    /// being opened when they arrive.
    pub(crate) fn clear(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        let idle = self.slots.clear();
        self.retire(idle, fx);
        self.serve(now, fx);
    }

    /// Changes the bound. What is idle beyond it is closed now, the longest idle first; what is in
    /// use beyond it, or being opened, when it comes back or arrives.
    pub(crate) fn resize(&mut self, max_size: usize, now: Moment, fx: &mut Effects<C, E>) {
        self.max_size = max_size;
        self.min_idle = self.wanted_idle.min(max_size);
        self.slots.set_min_idle(self.min_idle);
        // Those that will be closed anyway make room for these.
        let beyond = self.excess().saturating_sub(self.slots.retiring());
        let idle = self.slots.close_idle(beyond, CloseReason::Excess);
        self.retire(idle, fx);
        self.serve(now, fx);
    }

    /// Refuses callers, those in line included, until [`ready`](Self::ready). Says whether they were
    /// served.
    pub(crate) fn pause(&mut self, fx: &mut Effects<C, E>) -> bool {
        let was_ready = !std::mem::replace(&mut self.paused, true);
        let failure = self.paused_failure();
        self.turn_all_away(&failure, fx);
        was_ready && !self.closed
    }

    /// Serves callers again. Says whether they were refused.
    pub(crate) fn ready(&mut self, now: Moment, fx: &mut Effects<C, E>) -> bool {
        let was_paused = std::mem::replace(&mut self.paused, false);
        self.serve(now, fx);
        was_paused && !self.closed
    }

    pub(super) fn paused_failure(&self) -> Failure<E> {
        Failure::Paused(self.opening.last_error().cloned())
    }

    /// The keeper's work: closes what has lived or been idle for long enough, tells those whose
    /// time is up, takes back what nobody picks up. Says when to come again.
    pub(crate) fn sweep(&mut self, now: Moment, fx: &mut Effects<C, E>) -> Option<Moment> {
        if self.closed {
            self.keeper = None;
            return None;
        }
        if self.slots.soonest() <= now {
            let closed = self.slots.sweep(now);
            self.retire(closed, fx);
        }
        self.settle_overdue(now, Outcome::Late, |deadline, _| deadline <= now, fx);
        if self.reclaim_due() <= now {
            for grant in self.line.reclaim(now.minus(self.claim_timeout)) {
                self.take_back(grant, now, fx);
            }
        }
        self.serve(now, fx);
        let mut due = self.due();
        if let Some(after) = self.leak_warning_after {
            let begun = self.slots.leaks(now, after);
            fx.leaks.extend(begun);
            due = due.min(self.slots.next_leak(after));
        }
        self.keeper = (due != Moment::NEVER).then_some(due);
        fx.keep = None;
        self.keeper
    }

    /// When the keeper is to come.
    pub(crate) const fn keeper(&self) -> Option<Moment> {
        self.keeper
    }

    /// The keeper has ended with its runtime. Whoever is polled next begins another one.
    pub(crate) fn keeper_lost(&mut self, fx: &mut Effects<C, E>) {
        self.keeper = None;
        self.orphan(fx);
    }

    /// Sees to it that somebody comes when something is due.
    pub(super) fn mind(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        let leak = match self.leak_warning_after {
            Some(after) if self.slots.holders() > 0 => now.plus(after),
            _ => Moment::NEVER,
        };
        let due = self.due().min(leak);
        let keep = match self.keeper {
            Some(keeper) if keeper <= due => return,
            Some(_) => Keep::Sooner,
            None if due == Moment::NEVER || self.closed => return,
            None => Keep::Begin,
        };
        self.keeper = Some(due);
        // A keeper that is yet to begin will see when it has to come.
        fx.keep.get_or_insert(keep);
    }

    /// When something has to be closed, the first in line has waited for long enough, or a grant is
    /// to be taken back.
    fn due(&self) -> Moment {
        let oldest = self.line.oldest().zip(self.wait_timeout);
        let late = oldest.map_or(Moment::NEVER, |(ticket, timeout)| ticket.plus(timeout));
        let group = match self.ties.are_pulled() {
            true => self.group_due(),
            false => Moment::NEVER,
        };
        self.slots
            .soonest()
            .min(late)
            .min(self.reclaim_due())
            .min(group)
    }

    /// When the oldest grant that nobody has picked up goes to somebody else who waits.
    fn reclaim_due(&self) -> Moment {
        match self.line.oldest_unclaimed() {
            Some(granted) if self.line.total() > 0 => granted.plus(self.claim_timeout),
            _ => Moment::NEVER,
        }
    }

    /// Takes out an idle connection to be looked at, if it has been idle since `before`.
    pub(crate) fn begin_look(&mut self, before: Moment) -> Option<Doubtful<C>> {
        let doubtful = self.slots.begin_look(before)?;
        self.checking += 1;
        Some(doubtful)
    }

    /// Whether a closed pool has nothing left in use; else whoever asks is woken.
    pub(crate) fn drained(&mut self, waker: &mut Option<Waker>) -> bool {
        let drained = self.slots.len() == 0 && self.closing == 0;
        if !drained {
            self.watch(waker);
        }
        drained
    }

    /// Has `min_idle` connections opened. Tells whether they are open, or why one could not be since
    /// somebody has begun to ask, which he keeps in `failures`. Else his waker is taken.
    pub(crate) fn warm_up(
        &mut self,
        failures: &mut Option<u64>,
        waker: &mut Option<Waker>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Option<Result<(), Failure<E>>> {
        if let Some(refusal) = self.refusal() {
            return Some(Err(refusal));
        }
        if self.slots.len() >= self.min_idle {
            return Some(Ok(()));
        }
        let before = *failures.get_or_insert(self.opening.failures());
        match self.opening.last_error() {
            Some(error) if self.opening.failures() > before => {
                return Some(Err(Failure::Connect(Arc::clone(error))));
            }
            _ => {}
        }
        self.watch(waker);
        self.make_room(now, fx);
        None
    }

    fn watch(&mut self, waker: &mut Option<Waker>) {
        let known = |waker: &Waker| self.watching.iter().any(|known| known.will_wake(waker));
        if !waker.as_ref().is_some_and(known) {
            self.watching.extend(waker.take());
        }
    }

    /// Something happened that may have cost idle connections their peer.
    pub(crate) const fn doubt_idle(&mut self) {
        self.slots.doubt_idle();
    }

    /// A caller that does not wait has found nothing; perhaps a check would help the next one.
    pub(crate) fn look_at_idle(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        if self.checking == 0 {
            self.check_idle(1, now, fx);
        }
    }

    /// Ends the pool: nobody gets in, waiters are told, idle connections are closed. Says whether
    /// it was open.
    pub(crate) fn close(&mut self, fx: &mut Effects<C, E>) -> bool {
        let was_open = !std::mem::replace(&mut self.closed, true);
        self.turn_all_away(&Failure::Closed, fx);
        let idle = self.slots.close_idle(usize::MAX, CloseReason::PoolClosed);
        self.retire(idle, fx);
        if self.keeper.take().is_some() {
            fx.keep = Some(Keep::Sooner);
        }
        was_open
    }

    fn turn_all_away(&mut self, failure: &Failure<E>, fx: &mut Effects<C, E>) {
        while let Some(id) = self.line.first() {
            let told = self.line.settle(id, Outcome::Failed(failure.clone()));
            fx.wake.push(told);
        }
        fx.wake.extend(self.watching.drain(..));
    }
}

//! What happens to all connections at once: cleared, swept, warmed up, doubted, closed.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::State;
use crate::line::Failure;
use crate::slots::Doubtful;
use crate::transition::Effects;

impl<C, E> State<C, E> {
    /// Whether fewer connections are idle than there should be, and nothing is being done about it.
    pub(crate) fn lacks_spare(&self) -> bool {
        self.slots.idle() < self.min_idle
            && self.opening.under_way() == 0
            && self.size() < self.max_size
            && !self.closed
    }

    /// Has all connections replaced: idle ones are closed now, the others when they come back, those
    /// being opened when they arrive.
    pub(crate) fn clear(&mut self, now: Instant, fx: &mut Effects<C, E>) {
        let idle = self.slots.clear();
        self.retire(idle, fx);
        self.serve(now, fx);
    }

    /// Changes the bound. What is idle beyond it is closed now, the longest idle first; what is in
    /// use beyond it, or being opened, when it comes back or arrives.
    pub(crate) fn resize(&mut self, max_size: usize, now: Instant, fx: &mut Effects<C, E>) {
        self.max_size = max_size;
        self.min_idle = self.wanted_idle.min(max_size);
        let idle = self.slots.close_idle(self.excess());
        self.retire(idle, fx);
        self.serve(now, fx);
    }

    /// The keeper's work, if `at` is still when it is due: closes what has lived or been idle for
    /// long enough. Says when to come again.
    pub(crate) fn sweep(
        &mut self,
        at: Instant,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Option<Instant> {
        if self.keeper != Some(at) || self.closed {
            return None;
        }
        let closed = self.slots.sweep(now);
        self.retire(closed, fx);
        self.keeper = self.slots.soonest();
        self.serve(now, fx);
        self.keeper
    }

    /// The keeper has ended with its runtime. The next one is begun when something is due again.
    pub(crate) fn keeper_lost(&mut self, at: Instant) {
        if self.keeper == Some(at) {
            self.keeper = None;
        }
    }

    /// Takes out an idle connection to be looked at, if it has been idle since `before`.
    pub(crate) fn begin_look(&mut self, before: Instant) -> Option<Doubtful<C>> {
        let doubtful = self.slots.begin_look(before)?;
        self.checking += 1;
        Some(doubtful)
    }

    /// Whether a closed pool has nothing left in use; else whoever asks is woken.
    pub(crate) fn drained(&mut self, waker: &mut Option<Waker>) -> bool {
        let drained = self.slots.len() == 0 && self.closing == 0;
        if !drained {
            self.watching.extend(waker.take());
        }
        drained
    }

    /// Has `min_idle` connections opened. Tells whether they are open, or, to who has `asked`
    /// before, why one could not be. Else its waker is taken.
    pub(crate) fn warm_up(
        &mut self,
        asked: bool,
        waker: &mut Option<Waker>,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Option<Result<(), Failure<E>>> {
        if self.closed {
            return Some(Err(Failure::Closed));
        }
        if self.slots.len() >= self.min_idle {
            return Some(Ok(()));
        }
        match self.opening.last_error() {
            Some(error) if asked => return Some(Err(Failure::Connect(Arc::clone(error)))),
            _ => {}
        }
        self.watching.extend(waker.take());
        self.make_room(now, fx);
        None
    }

    /// Something happened that may have cost idle connections their peer.
    pub(crate) fn doubt_idle(&mut self, now: Instant) {
        self.slots.doubt_idle(now);
    }

    /// A caller that does not wait has found nothing; perhaps a check would help the next one.
    pub(crate) fn look_at_idle(&mut self, now: Instant, fx: &mut Effects<C, E>) {
        if self.checking == 0 {
            self.check_idle(1, now, fx);
        }
    }

    /// Ends the pool: nobody gets in, waiters are told, idle connections are closed.
    pub(crate) fn close(&mut self, fx: &mut Effects<C, E>) {
        self.closed = true;
        while let Some(kind) = self.line.first() {
            fx.wake.extend(self.line.fail(kind, Failure::Closed));
        }
        fx.wake.extend(self.watching.drain(..));
        let idle = self.slots.close_idle(usize::MAX);
        self.retire(idle, fx);
    }
}

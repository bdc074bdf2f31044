//! Who asks for a connection, waits for it, and leaves.

use std::panic::Location;
use std::task::Waker;

use super::State;
use crate::line::{Ask, Failure, Kind, Outcome, WaiterId};
use crate::moment::Moment;
use crate::slots::Grant;
use crate::transition::{Effects, Entered, Peeked, Waiting};

impl<C, E> State<C, E> {
    /// A caller asks for what is free. By invariant 2 nobody waits for it; but a lease may go by
    /// an exclusive caller.
    #[inline]
    pub(crate) fn try_enter(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        now: Moment,
    ) -> Option<Grant<C>> {
        if self.closed || self.paused {
            return None;
        }
        let grant = self.grant(kind, at, now)?;
        if self.line.total() > 0 {
            self.passed += 1;
            self.set_aside();
        }
        Some(grant)
    }

    /// Why nobody gets in, if so.
    pub(crate) fn refusal(&self) -> Option<Failure<E>> {
        match (self.closed, self.paused) {
            (true, _) => Some(Failure::Closed),
            (false, true) => Some(self.paused_failure()),
            (false, false) => None,
        }
    }

    /// A caller asks for a connection and waits if none is free; only then is its waker taken.
    pub(crate) fn enter(
        &mut self,
        ask: &Ask,
        waker: &mut Option<Waker>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Entered<C, E> {
        let is_new = ask.came == Moment::NEVER;
        let ticket = match is_new {
            true => self.line.draw(now),
            false => ask.came,
        };
        let latest = ticket.plus_limit(self.wait_timeout);
        let deadline = ask.deadline.min(latest);
        if !is_new && deadline <= now {
            return Entered::Late(self.figures(now).report(ticket, 0));
        }
        if let Some(grant) = self.try_enter(ask.kind, ask.at, now) {
            return Entered::Granted(grant);
        }
        if let Some(refusal) = self.refusal() {
            return Entered::Refused(refusal);
        }
        if is_new && self.line.total() >= self.max_waiters {
            return Entered::Full(Box::new(self.status()));
        }
        if ask.only_in_time && self.size() >= self.max_size {
            let ahead = self.line.ahead_of_class(ask.priority);
            if let Some(wait) = self.pace.expected_wait(ahead, now)
                && now.plus(wait) > deadline
            {
                return Entered::TooLate(wait, self.figures(now).report(now, ahead));
            }
        }
        let waker = waker.take().expect("a caller comes with a waker");
        let id = self.line.push(ask, ticket, deadline, waker, now);
        if self.slots.draining() > 0 {
            // A lease that is first now may have what was set aside for the one that was.
            self.hand_out(now, fx);
        }
        self.make_room(now, fx);
        Entered::Queued(Waiting {
            id,
            since: ticket,
            deadline,
        })
    }

    /// What became of a waiter; `None` if it still waits and would be woken by `waker`, or another.
    pub(crate) fn peek(&mut self, id: WaiterId, waker: &Waker) -> Peeked<C, E> {
        match self.line.take(id) {
            Some(outcome) => Peeked::Settled(outcome),
            None if !self.orphaned && self.line.will_wake(id, waker) => Peeked::Waiting,
            None => Peeked::WantsWaker,
        }
    }

    /// A waiter asks what became of it, and leaves its waker. `None` while it waits.
    pub(crate) fn poll(
        &mut self,
        id: WaiterId,
        waker: &mut Option<Waker>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Option<Outcome<C, E>> {
        if let Some(outcome) = self.line.take(id) {
            return Some(outcome);
        }
        if let Some(refusal) = self.refusal() {
            // It was absent when the others were turned away.
            self.line.remove(id);
            return Some(Outcome::Failed(refusal));
        }
        self.line.renew(id, waker, now);
        self.orphaned = false;
        // It may have been absent while something came free.
        self.serve(now, fx);
        self.line.take(id)
    }

    /// A waiter leaves; what it had been given goes to the next. What is left of it comes back, to
    /// be dropped outside of the lock.
    pub(crate) fn leave(
        &mut self,
        id: WaiterId,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Option<Outcome<C, E>> {
        let left = match self.line.remove(id) {
            Outcome::Granted(grant, _) => {
                self.take_back(grant, now, fx);
                None
            }
            outcome => Some(outcome),
        };
        self.serve(now, fx);
        left
    }

    /// A waiter's deadline has passed: what it was given in the meantime, and if that is nothing,
    /// what it was up against. What is left of it comes back, to be dropped outside of the lock.
    pub(crate) fn expire(
        &mut self,
        id: WaiterId,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> (Outcome<C, E>, Option<Outcome<C, E>>) {
        if let Some(outcome) = self.line.take(id) {
            return (outcome, None);
        }
        let (since, ahead) = (self.line.ticket(id), self.line.ahead_of(id));
        let report = self.figures(now).report(since, ahead);
        let waiter = self.line.remove(id);
        self.serve(now, fx);
        (Outcome::Late(report), Some(waiter))
    }

    #[inline]
    pub(super) fn grant(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        now: Moment,
    ) -> Option<Grant<C>> {
        match kind {
            Kind::Exclusive => self.slots.take(at, now),
            Kind::Lease => self.slots.lease(at, now),
        }
    }
}

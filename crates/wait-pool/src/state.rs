//! The pool's state machine: who holds what, who waits, what is being opened.
//!
//! Every method is one transition: it takes the time, changes the state, and leaves in
//! [`Effects`] what is to be done once the lock is released. There is no lock here, no clock and
//! no IO, so tests drive it by assigning time.
//!
//! # Invariants, after every transition
//!
//! 1. **Bound.** Open, opening and closing connections together are at most `max_size`. A place is
//!    taken before an attempt to connect begins, and is free again only after a connection has
//!    been dropped.
//! 2. **Nobody waits in vain.** If somebody waits, no connection that would serve the first in
//!    line is available; and where the bound leaves room, a connection is being opened, or the
//!    first in line has been woken to have it opened.
//! 3. **Order.** A connection that comes free is put into the hands of the first waiter under the
//!    same lock. So whatever a newcomer finds free, nobody waits for, and there is no wake-up to
//!    race for.
//!
//! # Fairness between the two kinds
//!
//! Whoever has the older ticket is served first. Exclusive callers need an idle connection, while
//! leases only need room on a shared one, so steady leases could keep every connection from ever
//! becoming idle. Therefore, while an exclusive caller is first, a shared connection is set aside:
//! it stops taking leases, becomes idle with its last return, and then goes to the older ticket.
//! Leases go on around it on the others, but only as many as share a connection: for each such
//! number that went by the same exclusive caller one more connection is set aside. Where another
//! connection may still be opened for it, the first is set aside only after that number. Nothing is
//! set aside while a lease is first.
//!
//! # Failed connects
//!
//! While at least one connection is open, waiters wait for its return, and a failure is kept to
//! be told as the cause of a later timeout. With none open, a failure is told to those the
//! connection would have served (one exclusive caller, or as many leases as share a connection),
//! and to everybody once no other attempt is under way.

mod figures;
mod model;
mod serve;
mod upkeep;

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::config::Config;
use crate::error::ConnectError;
use crate::line::{Failure, Kind, Line, Outcome, WaiterId};
use crate::opening::Opening;
use crate::slots::{Doubtful, Grant, HoldId, Slots};
use crate::transition::{Effects, Entered, Tried};

#[derive(Debug)]
pub(crate) struct State<C, E> {
    pool: Arc<str>,
    slots: Slots<C>,
    line: Line<C, E>,
    opening: Opening<E>,
    checking: usize,
    /// Connections on their way to be dropped. They count until they are gone.
    closing: usize,
    max_size: usize,
    max_leases: usize,
    max_waiters: usize,
    /// As the builder has it; a smaller bound asks for less.
    wanted_idle: usize,
    min_idle: usize,
    /// When the keeper wakes next, if there is one.
    keeper: Option<Instant>,
    /// Who waits for the pool to be warm, or to be drained, and looks again at each event.
    watching: Vec<Waker>,
    /// How many leases went by the exclusive caller that is first.
    passed: usize,
    /// An attempt was lost: whoever is polled next has another one begun.
    orphaned: bool,
    closed: bool,
}

impl<C, E> State<C, E> {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        let (first, longest) = config.connect_backoff;
        let backoff = Backoff::new(first, longest, seed);
        Self {
            slots: Slots::new(config.max_leases, config.lifetimes(), seed),
            line: Line::new(),
            opening: Opening::new(config.max_connecting, backoff),
            checking: 0,
            closing: 0,
            max_size: config.max_size,
            max_leases: config.max_leases,
            max_waiters: config.max_waiters,
            wanted_idle: config.min_idle,
            min_idle: config.min_idle,
            keeper: None,
            watching: Vec::new(),
            pool: Arc::clone(&config.name),
            passed: 0,
            orphaned: false,
            closed: false,
        }
    }

    /// A caller asks for what is free. By invariant 2 nobody waits for it; but a lease may go by
    /// an exclusive caller.
    pub(crate) fn try_enter(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        now: Instant,
    ) -> Tried<C> {
        if self.closed {
            return Tried::Closed;
        }
        let Some(grant) = self.grant(kind, at, now) else {
            return Tried::Empty;
        };
        if self.line.total() > 0 {
            self.passed += 1;
            self.set_aside();
        }
        Tried::Granted(grant)
    }

    /// A caller asks for a connection and waits if none is free; only then is its waker taken.
    pub(crate) fn enter(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        waker: &mut Option<Waker>,
        deadline: Option<Instant>,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Entered<C> {
        match self.try_enter(kind, at, now) {
            Tried::Granted(grant) => Entered::Granted(grant),
            Tried::Closed => Entered::Closed,
            Tried::Empty if self.line.total() >= self.max_waiters => Entered::Full(self.status()),
            Tried::Empty => {
                let waker = waker.take().expect("a caller comes with a waker");
                let id = self.line.push(kind, at, waker, now, deadline);
                self.make_room(now, fx);
                Entered::Queued(id)
            }
        }
    }

    /// A waiter asks what became of it, and leaves its waker. `None` while it waits.
    pub(crate) fn poll(
        &mut self,
        id: WaiterId,
        waker: &mut Waker,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Option<Outcome<C, E>> {
        let outcome = self.line.poll(id, waker);
        if outcome.is_none() && std::mem::take(&mut self.orphaned) {
            self.make_room(now, fx);
        }
        outcome
    }

    /// A waiter leaves; what it had been given goes to the next. What is left of it comes back, to
    /// be dropped outside of the lock.
    pub(crate) fn leave(
        &mut self,
        id: WaiterId,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Option<Outcome<C, E>> {
        match self.line.remove(id) {
            // Nobody has used it, so it has been idle since it was, not since now.
            Outcome::Granted(Grant {
                hold,
                connection,
                shared,
                since,
            }) => {
                let retired = match shared {
                    true => {
                        drop(connection);
                        self.slots.leave(hold, self.is_unwanted(), since)
                    }
                    false => self
                        .slots
                        .give_back(hold, connection, self.is_unwanted(), since),
                };
                self.retire(retired, fx);
                self.serve(now, fx);
                None
            }
            outcome => {
                self.serve(now, fx);
                Some(outcome)
            }
        }
    }

    /// A waiter's deadline has passed: what it was given in the meantime, and if that is nothing,
    /// what it was up against. What is left of it comes back, to be dropped outside of the lock.
    pub(crate) fn expire(
        &mut self,
        id: WaiterId,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> (Outcome<C, E>, Option<Outcome<C, E>>) {
        if self.line.is_settled(id) {
            return (self.line.remove(id), None);
        }
        let report = self.report(self.line.since(id), self.line.ahead_of(id), now);
        let waiter = self.line.remove(id);
        self.serve(now, fx);
        (Outcome::Late(report), Some(waiter))
    }

    /// A connection taken alone comes back. Says how long it was held.
    pub(crate) fn give_back(
        &mut self,
        hold: HoldId,
        connection: Arc<C>,
        broken: bool,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Duration {
        let used = now.saturating_duration_since(self.slots.held_since(hold));
        let broken = broken || self.is_unwanted();
        let retired = self.slots.give_back(hold, connection, broken, now);
        self.retire(retired, fx);
        self.serve(now, fx);
        used
    }

    /// A lease ends. The caller has dropped its reference to the connection before. Says how long
    /// it was held.
    pub(crate) fn end_lease(
        &mut self,
        hold: HoldId,
        broken: bool,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) -> Duration {
        let used = now.saturating_duration_since(self.slots.held_since(hold));
        let retired = self.slots.leave(hold, broken || self.is_unwanted(), now);
        self.retire(retired, fx);
        self.serve(now, fx);
        used
    }

    /// The holder keeps the connection for good; its place is free.
    pub(crate) fn detach(&mut self, hold: HoldId, now: Instant, fx: &mut Effects<C, E>) {
        self.slots.detach(hold);
        self.serve(now, fx);
    }

    /// A connection that was to be closed has been dropped; its place is free.
    pub(crate) fn dropped(&mut self, now: Instant, fx: &mut Effects<C, E>) {
        self.closing -= 1;
        self.serve(now, fx);
    }

    /// An attempt to connect has succeeded that was begun in a `generation`.
    pub(crate) fn connected(
        &mut self,
        connection: C,
        generation: u64,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) {
        fx.forget.extend(self.opening.succeeded());
        fx.wake.extend(self.watching.drain(..));
        let connection = Arc::new(connection);
        // Counted again now, where before it had a place as an attempt.
        let unwanted = self.closed || self.slots.len() >= self.max_size;
        if unwanted || generation != self.slots.generation() {
            self.retire([connection], fx);
        } else {
            self.slots.insert(connection, now);
        }
        self.serve(now, fx);
    }

    /// An attempt to connect has failed.
    pub(crate) fn connect_failed(
        &mut self,
        error: ConnectError<E>,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) {
        let error = Arc::new(error);
        let before = self.opening.failed(Arc::clone(&error), now);
        fx.forget.extend(before);
        fx.wake.extend(self.watching.drain(..));
        if self.slots.len() == 0 {
            self.tell(&Failure::Connect(error), fx);
        }
        self.serve(now, fx);
    }

    /// An attempt to connect could not be carried on: its runtime has ended, or there is none. The
    /// first in line is woken and begins the next where it lives itself. Begun from here, that one
    /// might be lost in the same way, and so on without end.
    pub(crate) fn attempt_lost(&mut self, fx: &mut Effects<C, E>) {
        self.opening.lost();
        if let Some(first) = self.line.wake_first() {
            self.orphaned = true;
            fx.wake.push(first);
        }
    }

    /// An idle connection has been looked at. If it is good, it has been idle `since` then, or since
    /// now if it has answered.
    pub(crate) fn checked(
        &mut self,
        doubtful: Doubtful<C>,
        good: bool,
        since: Option<Instant>,
        now: Instant,
        fx: &mut Effects<C, E>,
    ) {
        self.checking -= 1;
        let keep = good && !self.is_unwanted();
        let retired = self.slots.end_check(doubtful, keep, since.unwrap_or(now));
        self.retire(retired, fx);
        self.serve(now, fx);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a connection that comes back is to be closed.
    fn is_unwanted(&self) -> bool {
        self.closed || self.excess() > 0
    }

    fn in_use(&self) -> usize {
        self.slots.len() - self.slots.idle() - self.checking
    }

    fn size(&self) -> usize {
        self.slots.len() + self.opening.under_way() + self.closing
    }

    fn grant(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        now: Instant,
    ) -> Option<Grant<C>> {
        match kind {
            Kind::Exclusive => self.slots.take(at, now),
            Kind::Lease => self.slots.lease(at, now),
        }
    }

    /// How many more connections there are than there may be, those left out that are being closed.
    fn excess(&self) -> usize {
        (self.size() - self.closing).saturating_sub(self.max_size)
    }

    fn retire(&mut self, retired: impl IntoIterator<Item = Arc<C>>, fx: &mut Effects<C, E>) {
        for connection in retired {
            self.closing += 1;
            fx.close.push(connection);
        }
    }
}

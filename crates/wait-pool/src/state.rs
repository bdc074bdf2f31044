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
//!    line is available; and where the bound leaves room, a connection is being opened.
//! 3. **Order.** A connection that comes free is put into the hands of the first waiter under the
//!    same lock. So whatever a newcomer finds free, nobody waits for, and there is no wake-up to
//!    race for.
//!
//! # Fairness between the two kinds
//!
//! Whoever has the older ticket is served first. Exclusive callers need an idle connection, while
//! leases only need room on a shared one, so steady leases could keep every connection from ever
//! becoming idle. Therefore, when an exclusive caller is first and nothing more can be opened, one
//! shared connection stops taking leases; leases go on around it on the others. The connection
//! becomes idle with its last return and then goes to the older ticket, so neither kind starves
//! the other.
//!
//! # Failed connects
//!
//! While at least one connection is open, waiters wait for its return, and a failure is kept to
//! be told as the cause of a later timeout. With none open, a failure is told to those the
//! connection would have served (one exclusive caller, or as many leases as share a connection),
//! and to everybody once no other attempt is under way.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::config::Config;
use crate::error::{ConnectError, Phase, Timeout};
use crate::line::{Failure, Kind, Line, Progress, WaiterId};
use crate::opening::Opening;
use crate::slots::{Grant, HoldId, Holding, Slots};
use crate::status::Status;
use crate::transition::{Effects, Entered, Entry, Expired};

#[derive(Debug)]
pub(crate) struct State<C, E> {
    slots: Slots<C>,
    line: Line<C, E>,
    opening: Opening<E>,
    /// Connections on their way to be dropped. They count until they are gone.
    closing: usize,
    max_size: usize,
    max_leases: usize,
    closed: bool,
}

impl<C, E> State<C, E> {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        let (first, longest) = config.connect_backoff;
        let backoff = Backoff::new(first, longest, seed);
        Self {
            slots: Slots::new(config.max_leases, config.check_idle_after),
            line: Line::new(),
            opening: Opening::new(config.max_connecting, backoff),
            closing: 0,
            max_size: config.max_size,
            max_leases: config.max_leases,
            closed: false,
        }
    }

    /// A caller asks for a connection and waits if there is none.
    pub(crate) fn enter(
        &mut self,
        kind: Kind,
        entry: Entry,
        at: &'static Location<'static>,
        waker: &Waker,
        now: Instant,
        fx: &mut Effects<C>,
    ) -> Entered<C> {
        if self.closed {
            return Entered::Closed;
        }
        if let Some(grant) = self.grant(kind, at, now) {
            return Entered::Granted(grant);
        }
        let id = match entry {
            Entry::Back => self.line.push_back(kind, at, waker.clone()),
            Entry::Front => self.line.push_front(kind, at, waker.clone()),
        };
        self.make_room(now, fx);
        Entered::Queued(id)
    }

    /// A caller asks for a connection and does not wait. `None` if none is free.
    pub(crate) fn try_enter(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        now: Instant,
    ) -> Option<Grant<C>> {
        match self.closed {
            true => None,
            false => self.grant(kind, at, now),
        }
    }

    /// A waiter asks what became of it, and leaves its waker.
    pub(crate) fn poll(&mut self, id: WaiterId, waker: &Waker) -> Progress<C, E> {
        self.line.poll(id, waker)
    }

    /// A waiter leaves; what it had been given goes to the next.
    pub(crate) fn leave(&mut self, id: WaiterId, now: Instant, fx: &mut Effects<C>) {
        let Progress::Granted(grant) = self.line.remove(id) else {
            return self.serve(now, fx);
        };
        match grant.holding {
            // Nobody has used it, so it has been idle since it was, not since now.
            Holding::Alone { idle_since, .. } if !self.closed => {
                self.slots
                    .put_back(grant.hold, grant.connection, idle_since);
                self.serve(now, fx);
            }
            Holding::Alone { .. } => self.give_back(grant.hold, grant.connection, true, now, fx),
            Holding::Shared => {
                drop(grant.connection);
                self.leave_shared(grant.hold, false, now, fx);
            }
        }
    }

    /// A waiter's deadline has passed: what it was given in the meantime, or why it got nothing.
    pub(crate) fn expire(
        &mut self,
        id: WaiterId,
        pool: &Arc<str>,
        waited: Duration,
        now: Instant,
        fx: &mut Effects<C>,
    ) -> Result<Grant<C>, Expired<E>> {
        let ahead = match self.line.poll(id, Waker::noop()) {
            Progress::Granted(grant) => return Ok(grant),
            Progress::Failed(failure) => return Err(Expired::Failed(failure)),
            Progress::Waiting => self.line.ahead_of(id),
        };
        let report = self.timeout(Phase::Queued, pool, waited, ahead, now);
        self.line.remove(id);
        self.serve(now, fx);
        Err(Expired::Late(Box::new(report)))
    }

    /// A connection taken alone comes back.
    pub(crate) fn give_back(
        &mut self,
        hold: HoldId,
        connection: Arc<C>,
        broken: bool,
        now: Instant,
        fx: &mut Effects<C>,
    ) {
        let retired = self
            .slots
            .give_back(hold, connection, broken || self.closed, now);
        self.retire(retired, fx);
        self.serve(now, fx);
    }

    /// A lease ends. The caller has dropped its reference to the connection before.
    pub(crate) fn leave_shared(
        &mut self,
        hold: HoldId,
        broken: bool,
        now: Instant,
        fx: &mut Effects<C>,
    ) {
        let retired = self.slots.leave(hold, broken || self.closed, now);
        self.retire(retired, fx);
        self.serve(now, fx);
    }

    /// A connection that one caller has checked is to be shared with others.
    pub(crate) fn share(
        &mut self,
        hold: HoldId,
        connection: Arc<C>,
        now: Instant,
        fx: &mut Effects<C>,
    ) {
        self.slots.share(hold, connection);
        self.serve(now, fx);
    }

    /// The holder keeps the connection for good; its place is free.
    pub(crate) fn detach(&mut self, hold: HoldId, now: Instant, fx: &mut Effects<C>) {
        self.slots.detach(hold);
        self.serve(now, fx);
    }

    /// A connection that was to be closed has been dropped; its place is free.
    pub(crate) fn dropped(&mut self, now: Instant, fx: &mut Effects<C>) {
        self.closing -= 1;
        self.serve(now, fx);
    }

    /// An attempt to connect has succeeded.
    pub(crate) fn connected(&mut self, connection: C, now: Instant, fx: &mut Effects<C>) {
        self.opening.succeeded();
        let connection = Arc::new(connection);
        if self.closed {
            self.retire(Some(connection), fx);
        } else {
            self.slots.insert(connection, now);
            self.serve(now, fx);
        }
    }

    /// An attempt to connect has failed.
    pub(crate) fn connect_failed(
        &mut self,
        error: ConnectError<E>,
        now: Instant,
        fx: &mut Effects<C>,
    ) {
        self.note_failure(error, now, fx);
        self.serve(now, fx);
    }

    /// An attempt to connect has ended without a result. No other one is begun before the next
    /// transition: where nothing can be run any more, one lost attempt would cause the next.
    pub(crate) fn attempt_lost(&mut self, now: Instant, fx: &mut Effects<C>) {
        self.note_failure(ConnectError::Aborted, now, fx);
    }

    /// Something happened that may have cost idle connections their peer.
    pub(crate) fn doubt_idle(&mut self, now: Instant) {
        self.slots.doubt_idle(now);
    }

    /// Ends the pool: nobody gets in, waiters are told, idle connections are closed.
    pub(crate) fn close(&mut self, fx: &mut Effects<C>) {
        self.closed = true;
        self.fail_first(self.line.total(), &Failure::Closed, fx);
        self.closing += self.slots.idle();
        fx.close.extend(self.slots.clear_idle());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            max_size: self.max_size,
            size: self.size(),
            idle: self.slots.idle(),
            in_use: self.slots.len() - self.slots.idle(),
            opening: self.opening.under_way(),
            holders: self.slots.holders(),
            waiting: self.line.total(),
        }
    }

    /// What a caller whose deadline has passed is told.
    pub(crate) fn timeout(
        &self,
        phase: Phase,
        pool: &Arc<str>,
        waited: Duration,
        ahead: usize,
        now: Instant,
    ) -> Timeout<E> {
        Timeout {
            pool: Arc::clone(pool),
            phase,
            waited,
            ahead,
            status: self.status(),
            last_connect_error: self.opening.last_error().cloned(),
            longest_held: self
                .slots
                .longest_held()
                .map(|(since, at)| (now.saturating_duration_since(since), at)),
        }
    }

    fn size(&self) -> usize {
        self.slots.len() + self.opening.under_way() + self.closing
    }

    /// What a newcomer can have at once. This passes nobody: by invariant 2 nobody waits for what is
    /// free, and a connection that is set aside takes no leases.
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

    /// Hands out what there is, in the order of the tickets, and opens what is missing.
    fn serve(&mut self, now: Instant, fx: &mut Effects<C>) {
        loop {
            if self.line.len(Kind::Exclusive) == 0 {
                self.slots.stop_draining();
            }
            let Some((kind, grant)) = self.next_grant(now) else {
                break;
            };
            fx.wake.push(self.line.grant(kind, grant));
        }
        self.make_room(now, fx);
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

    /// Starts to open connections for those who wait, or sets one aside where no more may be
    /// opened.
    fn make_room(&mut self, now: Instant, fx: &mut Effects<C>) {
        let exclusive = self.line.len(Kind::Exclusive);
        let wanted = exclusive + self.line.len(Kind::Lease).div_ceil(self.max_leases);
        while self.size() < self.max_size
            && let Some(delay) = self.opening.begin(wanted, now)
        {
            fx.open.push(delay);
        }
        let no_more = self.size() == self.max_size || self.opening.is_failing();
        if exclusive > 0 && no_more && !self.slots.is_draining() {
            self.slots.drain_one();
        }
    }

    fn note_failure(&mut self, error: ConnectError<E>, now: Instant, fx: &mut Effects<C>) {
        let error = self.opening.failed(error, now);
        if self.slots.len() > 0 {
            return;
        }
        let concerned = match (self.opening.under_way(), self.line.first()) {
            (0, _) => self.line.total(),
            (_, Some(Kind::Lease)) => self.max_leases,
            (_, Some(Kind::Exclusive)) => 1,
            (_, None) => 0,
        };
        self.fail_first(concerned, &Failure::Connect(error), fx);
    }

    fn fail_first(&mut self, count: usize, failure: &Failure<E>, fx: &mut Effects<C>) {
        for _ in 0..count {
            let Some(kind) = self.line.first() else { break };
            fx.wake.extend(self.line.fail(kind, failure.clone()));
        }
    }

    fn retire(&mut self, retired: Option<Arc<C>>, fx: &mut Effects<C>) {
        if let Some(retired) = retired {
            self.closing += 1;
            fx.close.push(retired);
        }
    }
}

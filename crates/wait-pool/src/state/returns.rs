//! What comes back to the pool, or leaves it for good: connections, parts in them, places.

use std::sync::Arc;

use super::State;
use crate::error::ConnectError;
use crate::event::CloseReason;
use crate::line::Failure;
use crate::moment::Moment;
use crate::slots::{Doubtful, Grant, Hold, HoldId, Retired};
use crate::transition::{Effects, Opens};

impl<C, E> State<C, E> {
    /// A connection taken alone comes back, for some `reason` to be closed. Says since when it was
    /// held.
    pub(crate) fn give_back(
        &mut self,
        slot: u32,
        connection: Arc<C>,
        reason: Option<CloseReason>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Moment {
        let since = self.slots.held_since(HoldId::new(Hold::Alone(slot)));
        let reason = reason.or_else(|| self.unwanted());
        let retired = self.slots.give_back(slot, connection, reason, now);
        self.retire(retired, fx);
        self.serve(now, fx);
        since
    }

    /// A lease ends, for some `reason` to have the connection closed. The caller has dropped its
    /// reference to it before. Says since when it was held.
    pub(crate) fn end_lease(
        &mut self,
        part: u32,
        reason: Option<CloseReason>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Moment {
        let since = self.slots.held_since(HoldId::new(Hold::Part(part)));
        let reason = reason.or_else(|| self.unwanted());
        let retired = self.slots.leave(part, reason, now);
        self.retire(retired, fx);
        self.serve(now, fx);
        since
    }

    /// The holder keeps the connection for good; its place is free. Says its number.
    pub(crate) fn detach(&mut self, slot: u32, now: Moment, fx: &mut Effects<C, E>) -> u64 {
        let number = self.slots.detach(slot);
        self.ties.paid();
        self.serve(now, fx);
        number
    }

    /// A connection that was to be closed has been dropped; its place is free.
    pub(crate) fn dropped(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        self.closing -= 1;
        self.serve(now, fx);
    }

    /// A grant comes back that nobody has used: it has been idle since it was, not since now.
    pub(super) fn take_back(&mut self, grant: Grant<C>, now: Moment, fx: &mut Effects<C, E>) {
        let Grant {
            hold,
            connection,
            since,
        } = grant;
        let reason = self.unwanted();
        let retired = match hold.hold() {
            Hold::Alone(slot) => self.slots.take_back(slot, connection, reason, since, now),
            Hold::Part(part) => {
                drop(connection);
                self.slots.leave_unused(part, reason, now)
            }
        };
        self.retire(retired, fx);
    }

    /// An attempt to connect has succeeded.
    pub(crate) fn connected(
        &mut self,
        connection: Arc<C>,
        opens: Opens,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) {
        fx.forget.extend(self.opening.succeeded());
        self.ties.connected(now);
        fx.wake.extend(self.watching.drain(..));
        // Counted again now, where before it had a place as an attempt.
        let excess = self.slots.len() >= self.max_size;
        let stale = opens.generation != self.slots.generation();
        let reason = match () {
            () if self.closed => Some(CloseReason::PoolClosed),
            () if stale => Some(CloseReason::Stale),
            () if excess => Some(CloseReason::Excess),
            () => None,
        };
        let number = opens.number;
        match reason {
            None => self.slots.insert(connection, number, now),
            Some(reason) => {
                let retired = Retired {
                    connection,
                    number,
                    reason,
                };
                self.retire([retired], fx);
            }
        }
        self.serve(now, fx);
    }

    /// An attempt to connect has failed.
    pub(crate) fn connect_failed(
        &mut self,
        error: Arc<ConnectError<E>>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) {
        let before = self.opening.failed(Arc::clone(&error), now);
        self.ties.paid();
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
    pub(crate) fn attempt_lost(&mut self, held_up: bool, fx: &mut Effects<C, E>) {
        if held_up {
            self.opening.go_on();
        }
        self.opening.lost();
        fx.wake.extend(self.watching.drain(..));
        self.orphan(fx);
    }

    /// An idle connection has been looked at, and is to be closed for a `reason`. If it is not, it
    /// has been idle `since` then, or since now if it has answered.
    pub(crate) fn checked(
        &mut self,
        doubtful: Doubtful<C>,
        reason: Option<CloseReason>,
        since: Option<Moment>,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) {
        self.checking -= 1;
        let reason = reason.or_else(|| self.unwanted());
        let retired = match since {
            Some(since) => self.slots.end_look(doubtful, reason, since, now),
            None => self.slots.end_check(doubtful, reason, now),
        };
        self.retire(retired, fx);
        self.serve(now, fx);
    }
}

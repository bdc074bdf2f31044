//! The transitions that most checkouts and returns make: they leave nothing to do, or one caller to
//! wake. Each is a shortcut through the general one, and says no where that has to be taken.

use std::sync::Arc;
use std::task::Waker;

use super::State;
use crate::line::Ask;
use crate::moment::Moment;
use crate::policy::QueuePolicy;
use crate::slots::{Grant, Hold, HoldId};
use crate::transition::Waiting;

/// What has become of a sound connection that came back. Says since when it was held.
#[derive(Debug)]
pub(crate) enum Returned<C> {
    Idle(Moment),
    /// The next in line has it and is to be woken.
    HandedOver(Moment, Waker),
    /// That takes more: for [`State::give_back`].
    Uncommon(Arc<C>),
}

impl<C, E> State<C, E> {
    /// A caller lines up where nothing can be opened or checked for him, and nobody has to be told.
    pub(crate) fn line_up(
        &mut self,
        ask: &Ask,
        waker: &mut Option<Waker>,
        now: Moment,
    ) -> Option<Waiting> {
        let full = self.slots.idle() == 0 && self.size() >= self.max_size;
        let plain = !ask.only_in_time && ask.came == Moment::NEVER;
        let nothing_shared = self.slots.shared() == 0;
        let welcome = self.line.total() < self.max_waiters && !self.paused && !self.closed;
        // The group has to hear of who waits then.
        let held_up = self.opening.held_up() > 0;
        if !(full && plain && nothing_shared && welcome) || held_up {
            return None;
        }
        // Somebody else may leave something lying for too long now that there is who wants it.
        let claimed = self.line.total() > 0 || self.line.oldest_unclaimed().is_none();
        let kept = self.keeper.unwrap_or(Moment::NEVER) <= now.plus_limit(self.wait_timeout);
        if !claimed || !kept {
            return None;
        }
        let waker = waker.take()?;
        let ticket = self.line.draw(now);
        let deadline = ask.deadline.min(ticket.plus_limit(self.wait_timeout));
        let id = self.line.push(ask, ticket, deadline, waker, now);
        Some(Waiting {
            id,
            since: ticket,
            deadline,
        })
    }

    /// A connection taken alone comes back sound: nobody waits, or the first in line wants one of his
    /// own.
    #[inline]
    pub(crate) fn put_back(&mut self, slot: u32, connection: Arc<C>, now: Moment) -> Returned<C> {
        if self.unwanted().is_some() {
            return Returned::Uncommon(connection);
        }
        if self.line.total() > 0 {
            return self.hand_over(slot, connection, now);
        }
        if self.is_short_of_idle() || self.ties.is_called() {
            return Returned::Uncommon(connection);
        }
        match self.slots.put_back(slot, connection, now) {
            Ok(since) => Returned::Idle(since),
            Err(connection) => Returned::Uncommon(connection),
        }
    }

    fn hand_over(&mut self, slot: u32, connection: Arc<C>, now: Moment) -> Returned<C> {
        let first = match self.queue_policy {
            QueuePolicy::Fifo => self.line.first_alone_in_time(now),
            QueuePolicy::AdaptiveLifo { .. } => None,
        };
        // The keeper comes in time to see whether this one is picked up.
        let claim_by = now.plus(self.claim_timeout);
        let kept = self.keeper.is_some_and(|keeper| keeper <= claim_by);
        let nothing_else =
            self.slots.shared() == 0 && self.slots.idle() >= self.min_idle && !self.orphaned;
        let nothing_else = nothing_else && self.opening.held_up() == 0;
        let Some(first) = first.filter(|_| kept && nothing_else) else {
            return Returned::Uncommon(connection);
        };
        let Some(since) = self.slots.hand_over(slot, self.line.location(first), now) else {
            return Returned::Uncommon(connection);
        };
        let grant = Grant {
            hold: HoldId::new(Hold::Alone(slot)),
            connection,
            since: now,
        };
        self.pace.handed_over(self.line.ticket(first), now);
        let waker = self.line.grant(first, grant, now);
        self.passed = 0;
        if self.line.total() == 0 {
            self.pace.line_is_empty();
        }
        Returned::HandedOver(since, waker)
    }

    /// A lease ends on a sound connection, and nobody waits. Says since when it was held.
    pub(crate) fn end_lease_quietly(&mut self, part: u32, now: Moment) -> Option<Moment> {
        let quiet = self.line.total() == 0 && !self.is_short_of_idle() && !self.ties.is_called();
        let quiet = quiet && self.unwanted().is_none();
        match quiet {
            true => self.slots.leave_quietly(part, now),
            false => None,
        }
    }

    /// Whether no idle connection is to spare. More may have to be opened then; and with one more the
    /// oldest is to spare, which may be long due.
    const fn is_short_of_idle(&self) -> bool {
        self.min_idle > 0 && self.slots.idle() <= self.min_idle
    }
}

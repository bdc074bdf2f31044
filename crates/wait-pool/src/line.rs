//! Who waits, in which order.
//!
//! Exclusive callers and lease callers stand in lanes of their own, because what can serve the one
//! often cannot serve the other, and so do the classes of priority. A ticket is the moment at which
//! a caller came, made unique. Whose turn it is is told by the heads of the lanes alone: the lowest
//! sum of ticket and class handicap. Whoever has been handed a connection and has not picked it up
//! yet stands in no lane.

mod outcome;

use std::ops::Range;
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use crate::lanes::{Id, Lanes};
use crate::moment::Moment;
use crate::policy::Priority;
use crate::slots::Grant;

pub(crate) use outcome::{Failure, Outcome};

/// How a caller wants to hold a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Alone, as by `get()`.
    Exclusive,
    /// Together with others, as by `lease()`.
    Lease,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
    pub(crate) at: &'static Location<'static>,
    /// Earlier than the pool's, or never.
    pub(crate) deadline: Moment,
    /// When it came, if it has stood in line before and got nothing that it could use; else never.
    pub(crate) came: Moment,
    /// It would rather be refused at once than wait in vain.
    pub(crate) only_in_time: bool,
}

/// Names a waiter until its outcome is taken or it is removed.
pub(crate) type WaiterId = Id;

#[derive(Debug)]
pub(crate) struct Line<C, E> {
    lanes: Lanes<Waiter<C, E>, LANES>,
    last_ticket: Moment,
    /// Since when somebody has waited without a break, if somebody waits.
    occupied_since: Moment,
    /// No grant that has not been picked up was made before then.
    oldest_unclaimed: Moment,
    /// By how much a class comes later than the one above it.
    ageing: Duration,
    newest_first: bool,
}

#[derive(Debug)]
struct Waiter<C, E> {
    ticket: Moment,
    deadline: Moment,
    at: &'static Location<'static>,
    lane: u8,
    outcome: Outcome<C, E>,
}

impl<C, E> Line<C, E> {
    pub(crate) fn new(ageing: Duration) -> Self {
        Self {
            lanes: Lanes::new(),
            last_ticket: Moment::BEGINNING,
            occupied_since: Moment::BEGINNING,
            oldest_unclaimed: Moment::NEVER,
            // So that two head starts never reach the end of the clock.
            ageing: ageing.min(LONGEST_AGEING),
            newest_first: false,
        }
    }

    pub(crate) fn len(&self, kind: Kind) -> usize {
        lanes_of(kind).map(|lane| self.lanes.len(lane)).sum()
    }

    pub(crate) const fn total(&self) -> usize {
        self.lanes.standing()
    }

    /// Since when somebody has waited without a break. `None` if nobody waits.
    pub(crate) fn occupied_since(&self) -> Option<Moment> {
        (self.total() > 0).then_some(self.occupied_since)
    }

    /// Has the newest served first, or the oldest again.
    pub(crate) const fn serve_newest_first(&mut self, newest_first: bool) {
        self.newest_first = newest_first;
    }

    /// The waiter whose turn it is.
    pub(crate) fn first(&self) -> Option<WaiterId> {
        self.next_of(0..LANES)
    }

    /// The waiter whose turn it is, if it wants a connection of its own and has time left.
    pub(crate) fn first_alone_in_time(&self, now: Moment) -> Option<WaiterId> {
        let id = self.first()?;
        let waiter = self.lanes.get(id);
        let alone = usize::from(waiter.lane) < Priority::COUNT;
        (alone && waiter.deadline >= now).then_some(id)
    }

    /// The waiter of a kind whose turn it is.
    pub(crate) fn first_of(&self, kind: Kind) -> Option<WaiterId> {
        self.next_of(lanes_of(kind))
    }

    pub(crate) fn kind(&self, id: WaiterId) -> Kind {
        match lanes_of(Kind::Lease).contains(&usize::from(self.lanes.get(id).lane)) {
            true => Kind::Lease,
            false => Kind::Exclusive,
        }
    }

    /// Where a waiter was called from.
    pub(crate) fn location(&self, id: WaiterId) -> &'static Location<'static> {
        self.lanes.get(id).at
    }

    /// A ticket for who comes now.
    pub(crate) fn draw(&mut self, now: Moment) -> Moment {
        self.last_ticket = now.max(self.last_ticket.next());
        self.last_ticket
    }

    pub(crate) fn push(
        &mut self,
        ask: &Ask,
        ticket: Moment,
        deadline: Moment,
        waker: Waker,
        now: Moment,
    ) -> WaiterId {
        let waiter = Waiter {
            ticket,
            deadline,
            at: ask.at,
            lane: lane(ask.kind, ask.priority),
            outcome: Outcome::Waiting(waker),
        };
        let id = self.lanes.store(waiter);
        self.line_up(id, now);
        id
    }

    /// Hands a connection to a waiter and returns whom to wake.
    pub(crate) fn grant(&mut self, id: WaiterId, grant: Grant<C>, now: Moment) -> Waker {
        self.oldest_unclaimed = match self.oldest_unclaimed() {
            Some(before) => before.min(now),
            None => now,
        };
        self.settle(id, Outcome::Granted(grant, now))
    }

    /// Of the oldest waiters of each lane, and those who are next, that are `overdue` by deadline and
    /// ticket, the one who came first by turn.
    pub(crate) fn overdue(&self, overdue: impl Fn(Moment, Moment) -> bool) -> Option<WaiterId> {
        let lanes = self.lanes.occupied(0..LANES);
        let ends = lanes.flat_map(|lane| {
            let next = self.lanes.back(lane).filter(|_| self.newest_first);
            self.lanes.front(lane).into_iter().chain(next)
        });
        let overdue = ends.filter(|id| {
            let waiter = self.lanes.get(*id);
            overdue(waiter.deadline, waiter.ticket)
        });
        overdue.min_by_key(|id| self.turn_by_age(*id))
    }

    /// Since when the oldest of all has waited.
    pub(crate) fn oldest(&self) -> Option<Moment> {
        let lanes = self.lanes.occupied(0..LANES);
        let heads = lanes.filter_map(|lane| self.lanes.front(lane));
        heads.map(|id| self.lanes.get(id).ticket).min()
    }

    /// Settles a waiter and returns whom to wake.
    pub(crate) fn settle(&mut self, id: WaiterId, outcome: Outcome<C, E>) -> Waker {
        match std::mem::replace(&mut self.lanes.detach(id).outcome, outcome) {
            Outcome::Waiting(waker) => waker,
            _ => unreachable!("only who waits stands in line"),
        }
    }

    /// Before then no grant was made that has not been picked up yet, if there is one at all.
    pub(crate) fn oldest_unclaimed(&self) -> Option<Moment> {
        let settled = self.lanes.stored() > self.lanes.standing();
        settled.then_some(self.oldest_unclaimed)
    }

    /// Takes back the grants that were made until then and have not been picked up. Their waiters have
    /// no place in line until they are polled. Looks at everybody.
    pub(crate) fn reclaim(&mut self, until: Moment) -> Vec<Grant<C>> {
        let mut late = Vec::new();
        self.oldest_unclaimed = Moment::NEVER;
        for (id, waiter) in self.lanes.all() {
            match waiter.outcome {
                Outcome::Granted(_, at) if at <= until => late.push(id),
                Outcome::Granted(_, at) => self.oldest_unclaimed = self.oldest_unclaimed.min(at),
                _ => {}
            }
        }
        let reclaimed = late.into_iter().filter_map(|id| {
            let outcome = &mut self.lanes.get_mut(id).outcome;
            match std::mem::replace(outcome, Outcome::Absent) {
                Outcome::Granted(grant, _) => Some(grant),
                _ => None,
            }
        });
        reclaimed.collect()
    }

    /// When a waiter came.
    pub(crate) fn ticket(&self, id: WaiterId) -> Moment {
        self.lanes.get(id).ticket
    }

    /// What became of a waiter, which is gone from the line then. `None` while it waits.
    pub(crate) fn take(&mut self, id: WaiterId) -> Option<Outcome<C, E>> {
        match self.lanes.get(id).outcome {
            Outcome::Waiting(_) | Outcome::Absent => None,
            _ => Some(self.remove(id)),
        }
    }

    #[cfg(test)]
    pub(crate) const fn serves_newest_first(&self) -> bool {
        self.newest_first
    }

    #[cfg(test)]
    pub(crate) fn outcome(&self, id: WaiterId) -> &Outcome<C, E> {
        &self.lanes.get(id).outcome
    }

    /// In the order in which grants are taken back.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = WaiterId> {
        self.lanes.all().map(|(id, _)| id)
    }

    /// Leaves a new waker with one that waits; `waker` then is the one from before, if there was one.
    /// Who was absent is back in its old place.
    pub(crate) fn renew(&mut self, id: WaiterId, waker: &mut Option<Waker>, now: Moment) {
        match &mut self.lanes.get_mut(id).outcome {
            Outcome::Waiting(current) => {
                if let Some(new) = waker {
                    std::mem::swap(current, new);
                }
            }
            outcome @ Outcome::Absent => {
                *outcome = Outcome::Waiting(waker.take().expect("a poll comes with a waker"));
                self.line_up(id, now);
            }
            _ => unreachable!("who is settled has no use for a waker"),
        }
    }

    /// Whether a waiter would be woken by `waker` as it is.
    pub(crate) fn will_wake(&self, id: WaiterId, waker: &Waker) -> bool {
        matches!(&self.lanes.get(id).outcome, Outcome::Waiting(current) if current.will_wake(waker))
    }

    /// Removes a waiter and says what it had been given.
    pub(crate) fn remove(&mut self, id: WaiterId) -> Outcome<C, E> {
        self.lanes.remove(id).outcome
    }

    /// The waker of the waiter whose turn it is, which leaves a new one when it is polled.
    pub(crate) fn wake_first(&mut self) -> Option<Waker> {
        let id = self.first()?;
        match &mut self.lanes.get_mut(id).outcome {
            Outcome::Waiting(waker) => Some(std::mem::replace(waker, Waker::noop().clone())),
            _ => unreachable!("only who waits stands in line"),
        }
    }

    /// How many waiters are to be served before this one while the oldest go first.
    ///
    /// Exact up to [`COUNTED`] for each lane, and no further: a crowd whose time is up at once would
    /// otherwise count itself under the lock, one by one.
    pub(crate) fn ahead_of(&self, id: WaiterId) -> usize {
        let turn = self.turn_by_age(id);
        let ahead = |lane| {
            let ids = self.lanes.iter(lane).map(|(other, _)| other);
            let earlier = ids.take_while(|other| self.turn_by_age(*other) < turn);
            earlier.take(COUNTED).count()
        };
        self.lanes.occupied(0..LANES).map(ahead).sum()
    }

    /// How many waiters a newcomer of a class would find before itself.
    pub(crate) fn ahead_of_class(&self, priority: Priority) -> usize {
        let class = priority.class();
        let lanes = self.lanes.occupied(0..LANES);
        let ahead = lanes.filter(|lane| lane % Priority::COUNT <= class);
        ahead.map(|lane| self.lanes.len(lane)).sum()
    }

    fn line_up(&mut self, id: WaiterId, now: Moment) {
        if self.total() == 0 {
            // An overload ends when nobody waits.
            (self.occupied_since, self.newest_first) = (now, false);
        }
        let Waiter { ticket, lane, .. } = *self.lanes.get(id);
        let lane = usize::from(lane);
        match self.lanes.back(lane) {
            Some(last) if self.lanes.get(last).ticket > ticket => {
                self.lanes.insert(lane, id, |other| other.ticket > ticket);
            }
            _ => self.lanes.push_back(lane, id),
        }
    }

    fn next_of(&self, lanes: Range<usize>) -> Option<Id> {
        let end = |lane| match self.newest_first {
            true => self.lanes.back(lane),
            false => self.lanes.front(lane),
        };
        let mut heads = self.lanes.occupied(lanes).filter_map(end);
        let mut next = heads.next()?;
        for head in heads {
            if self.turn(head) < self.turn(next) {
                next = head;
            }
        }
        Some(next)
    }

    /// Comes earlier for who is served earlier.
    fn turn(&self, id: Id) -> Moment {
        match self.newest_first {
            true => self.handicapped(id, Moment::mirrored),
            false => self.turn_by_age(id),
        }
    }

    fn turn_by_age(&self, id: Id) -> Moment {
        self.handicapped(id, |ticket| ticket)
    }

    fn handicapped(&self, id: Id, from: impl Fn(Moment) -> Moment) -> Moment {
        let Waiter { ticket, lane, .. } = *self.lanes.get(id);
        let class = u32::from(lane) % Priority::COUNT as u32;
        from(ticket).plus(self.ageing.saturating_mul(class))
    }
}

fn lane(kind: Kind, priority: Priority) -> u8 {
    let first = lanes_of(kind).start;
    u8::try_from(first + priority.class()).expect("there are fewer lanes")
}

const fn lanes_of(kind: Kind) -> Range<usize> {
    match kind {
        Kind::Exclusive => 0..Priority::COUNT,
        Kind::Lease => Priority::COUNT..LANES,
    }
}

const LANES: usize = 2 * Priority::COUNT;

/// A hundred years.
const LONGEST_AGEING: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How far a waiter's place in line is counted in each lane.
const COUNTED: usize = 1_000;

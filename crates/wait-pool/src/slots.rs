//! The open connections: which are idle, shared or taken, and by whom.
//!
//! Every open connection has a slot. A slot is *idle* (the pool has the connection), *taken* (one holder
//! has it), *looked at* (a check has it) or *shared* (the pool keeps one reference, up to `max_leases`
//! holders the others). What is the matter with shared ones is told in [`sharing`].
//!
//! Idle slots are used last in, first out, so that a pool larger than its load leaves the rest
//! alone. Leases go to the shared slot that most recently had room: connections fill up one after
//! the other, which keeps pipelines deep and connections few. What a checkout or a return does is
//! O(1); what a report or the keeper does looks at every slot.

mod sharing;
mod upkeep;

use std::panic::Location;
use std::sync::Arc;

use slab::Slab;

use crate::config::Lifetimes;
use crate::event::CloseReason;
use crate::moment::{Moment, Span};

use sharing::{Part, Sharing};

/// Names a hold from the hand-over until the connection is given back. One word, since it is moved
/// about on the way of each checkout; [`Hold`] is what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldId(u64);

/// What a [`HoldId`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// That of the only holder of a slot's connection.
    Alone(u32),
    /// That of one among several.
    Part(u32),
}

impl HoldId {
    #[inline]
    pub(crate) const fn new(hold: Hold) -> Self {
        match hold {
            Hold::Alone(slot) => Self(slot as u64),
            Hold::Part(part) => Self(part as u64 | PART),
        }
    }

    #[inline]
    pub(crate) const fn hold(self) -> Hold {
        match self.0 & PART {
            0 => Hold::Alone(self.0 as u32),
            _ => Hold::Part(self.0 as u32),
        }
    }
}

const PART: u64 = 1 << 63;

/// A connection on its way to a caller.
#[derive(Debug)]
pub(crate) struct Grant<C> {
    pub(crate) hold: HoldId,
    pub(crate) connection: Arc<C>,
    /// When it was last used, should this caller not come to it.
    pub(crate) since: Moment,
}

/// An idle connection on its way to be looked at, without the lock.
#[derive(Debug)]
pub(crate) struct Doubtful<C> {
    slot: u32,
    pub(crate) connection: Arc<C>,
    /// Since when it has been idle.
    pub(crate) since: Moment,
}

/// A connection that has left its slot, to be dropped without the lock.
#[derive(Debug)]
pub(crate) struct Retired<C> {
    pub(crate) connection: Arc<C>,
    /// The connection's number.
    pub(crate) number: u64,
    pub(crate) reason: CloseReason,
}

#[derive(Debug)]
pub(crate) struct Slots<C> {
    slots: Slab<Slot<C>>,
    /// The one used last comes last.
    idle: Vec<u32>,
    /// How many slots have one holder.
    taken: usize,
    /// The holders of shared slots.
    parts: Slab<Part>,
    /// The shared slots that take further leases.
    roomy: Vec<u32>,
    draining: usize,
    /// How many shared slots are to be closed with their last return.
    retiring: usize,
    /// How many slots are shared, in whatever state.
    shared: usize,
    max_leases: usize,
    lifetimes: Lifetimes,
    /// What has been idle for longer is checked before it is used.
    stale_after: Span,
    /// How often all that was idle has been doubted.
    doubts: u32,
    /// Connections of earlier generations are closed as soon as nobody holds them.
    generation: u64,
    /// Nothing has to be closed before then.
    soonest: Moment,
    rng: fastrand::Rng,
}

#[derive(Debug)]
struct Slot<C> {
    /// There unless somebody has it alone.
    connection: Option<Arc<C>>,
    state: Occupancy,
    /// Since when it is idle, or taken; if it is shared, when it was used last.
    since: Moment,
    /// Where it was taken.
    at: &'static Location<'static>,
    /// When it is to be replaced.
    expires: Moment,
    generation: u64,
    number: u64,
    /// The doubts that there had been when it was last known to be good.
    doubts: u32,
    /// Whether somebody has been warned that it is held for long.
    warned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occupancy {
    Idle,
    Taken,
    LookedAt,
    Shared { holders: u32, state: Sharing },
}

impl<C> Slots<C> {
    pub(crate) fn new(max_leases: usize, lifetimes: Lifetimes, seed: u64) -> Self {
        Self {
            slots: Slab::new(),
            idle: Vec::new(),
            taken: 0,
            parts: Slab::new(),
            roomy: Vec::new(),
            draining: 0,
            retiring: 0,
            shared: 0,
            max_leases,
            stale_after: Span::new(lifetimes.check_idle_after),
            lifetimes,
            doubts: 0,
            generation: 0,
            soonest: Moment::NEVER,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) const fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many holders there are; one connection may have many.
    pub(crate) fn holders(&self) -> usize {
        self.taken + self.parts.len()
    }

    pub(crate) const fn in_use(&self) -> usize {
        self.taken + self.shared
    }

    pub(crate) const fn retiring(&self) -> usize {
        self.retiring
    }

    pub(crate) const fn shared(&self) -> usize {
        self.shared
    }

    pub(crate) const fn draining(&self) -> usize {
        self.draining
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes in a connection that has just been opened. It is idle.
    pub(crate) fn insert(&mut self, connection: Arc<C>, number: u64, now: Moment) {
        let expires = self.lifetimes.max_lifetime.map(|longest| {
            let jitter = 1.0 - 0.2 * self.rng.f64();
            now.plus(longest.mul_f64(jitter))
        });
        let expires = expires.unwrap_or(Moment::NEVER);
        let slot = self.slots.insert(Slot {
            connection: None,
            state: Occupancy::LookedAt,
            since: now,
            at: Location::caller(),
            expires,
            generation: self.generation,
            number,
            doubts: self.doubts,
            warned: false,
        });
        let slot = u32::try_from(slot).expect("there are fewer connections");
        let idles_out = now.plus_limit(self.lifetimes.idle_timeout);
        self.soonest = self.soonest.min(expires).min(idles_out);
        self.make_idle(slot, connection, now);
    }

    /// Gives an idle connection to one holder, unless all have been idle for long.
    #[inline]
    pub(crate) fn take(&mut self, at: &'static Location<'static>, now: Moment) -> Option<Grant<C>> {
        let &slot = self.idle.last()?;
        if self.is_stale(slot, now) {
            return None;
        }
        self.idle.pop();
        self.taken += 1;
        let entry = &mut self.slots[index(slot)];
        let connection = entry.connection.take().expect(IDLE);
        entry.state = Occupancy::Taken;
        (entry.at, entry.warned) = (at, false);
        Some(Grant {
            hold: HoldId::new(Hold::Alone(slot)),
            connection,
            since: std::mem::replace(&mut entry.since, now),
        })
    }

    /// Takes back a connection that one holder had, unless it is old, and says since when he had it.
    #[inline]
    pub(crate) fn put_back(
        &mut self,
        slot: u32,
        connection: Arc<C>,
        now: Moment,
    ) -> Result<Moment, Arc<C>> {
        let entry = &mut self.slots[index(slot)];
        if entry.generation != self.generation || entry.expires <= now {
            return Err(connection);
        }
        entry.connection = Some(connection);
        entry.state = Occupancy::Idle;
        entry.doubts = self.doubts;
        self.taken -= 1;
        self.idle.push(slot);
        Ok(std::mem::replace(&mut entry.since, now))
    }

    /// Gives a connection that one holder had to another, unless it is old, and says since when the
    /// first had it.
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        slot: u32,
        to: &'static Location<'static>,
        now: Moment,
    ) -> Option<Moment> {
        let entry = &mut self.slots[index(slot)];
        if entry.generation != self.generation || entry.expires <= now {
            return None;
        }
        entry.doubts = self.doubts;
        (entry.at, entry.warned) = (to, false);
        Some(std::mem::replace(&mut entry.since, now))
    }

    /// Takes back a connection that one holder had, and keeps it, unless it is to be closed for a
    /// `reason`, or because it is old.
    pub(crate) fn give_back(
        &mut self,
        slot: u32,
        connection: Arc<C>,
        reason: Option<CloseReason>,
        now: Moment,
    ) -> Option<Retired<C>> {
        self.taken -= 1;
        self.slots[index(slot)].doubts = self.doubts;
        self.keep_or_retire(slot, connection, reason, now, now)
    }

    /// Takes back a connection that its holder has not used, and that has been idle `since` then.
    pub(crate) fn take_back(
        &mut self,
        slot: u32,
        connection: Arc<C>,
        reason: Option<CloseReason>,
        since: Moment,
        now: Moment,
    ) -> Option<Retired<C>> {
        self.taken -= 1;
        self.keep_or_retire(slot, connection, reason, since, now)
    }

    /// Forgets a connection that its holder keeps for good, and says its number.
    pub(crate) fn detach(&mut self, slot: u32) -> u64 {
        self.taken -= 1;
        self.slots.remove(index(slot)).number
    }

    /// Since when a holder has its connection.
    pub(crate) fn held_since(&self, hold: HoldId) -> Moment {
        match hold.hold() {
            Hold::Alone(slot) => self.slots[index(slot)].since,
            Hold::Part(part) => self.parts[index(part)].since,
        }
    }

    /// The number of the connection that a holder has.
    pub(crate) fn number(&self, hold: HoldId) -> u64 {
        let slot = match hold.hold() {
            Hold::Alone(slot) => slot,
            Hold::Part(part) => self.parts[index(part)].slot,
        };
        self.slots[index(slot)].number
    }

    /// Who holds what: since when, where it was taken.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Moment, &'static Location<'static>)> {
        let slots = self.slots.iter().map(|(_, slot)| slot);
        let taken = slots.filter(|slot| slot.state == Occupancy::Taken);
        let alone = taken.map(|slot| (slot.since, slot.at));
        alone.chain(self.parts.iter().map(|(_, part)| (part.since, part.at)))
    }

    fn keep_or_retire(
        &mut self,
        slot: u32,
        connection: Arc<C>,
        reason: Option<CloseReason>,
        since: Moment,
        now: Moment,
    ) -> Option<Retired<C>> {
        let Some(reason) = reason.or_else(|| self.spent(slot, now)) else {
            self.make_idle(slot, connection, since);
            return None;
        };
        let number = self.slots.remove(index(slot)).number;
        Some(Retired {
            connection,
            number,
            reason,
        })
    }

    fn make_idle(&mut self, slot: u32, connection: Arc<C>, since: Moment) {
        let entry = &mut self.slots[index(slot)];
        entry.connection = Some(connection);
        entry.state = Occupancy::Idle;
        entry.since = since;
        self.soonest = self.soonest.min(entry.expires);
        // Last, but for one that comes back unused; and one to be checked hides none as old that is not.
        let fresh = entry.doubts == self.doubts;
        let earlier = |&other: &u32| {
            let other = &self.slots[index(other)];
            other.since < since || other.since == since && (fresh || other.doubts != self.doubts)
        };
        let at = self.idle.iter().rposition(earlier).map_or(0, |at| at + 1);
        self.idle.insert(at, slot);
        if self.idle.len() > self.lifetimes.min_idle {
            let oldest = self.slots[index(self.idle[0])].since;
            let idles_out = oldest.plus_limit(self.lifetimes.idle_timeout);
            self.soonest = self.soonest.min(idles_out);
        }
    }

    /// Whether an idle connection has to be checked before it is used.
    #[inline]
    fn is_stale(&self, slot: u32, now: Moment) -> bool {
        let slot = &self.slots[index(slot)];
        now.is_past(slot.since, self.stale_after) || slot.doubts != self.doubts
    }

    /// Why a connection is not to be used any more, if so.
    fn spent(&self, slot: u32, now: Moment) -> Option<CloseReason> {
        let slot = &self.slots[index(slot)];
        if slot.generation != self.generation {
            return Some(CloseReason::Stale);
        }
        (slot.expires <= now).then_some(CloseReason::Lifetime)
    }
}

const fn index(slot: u32) -> usize {
    slot as usize
}

const IDLE: &str = "the idle list names slots that have their connection";

//! The open connections: which are idle, shared or taken, and by whom.
//!
//! Every open connection has a slot, every holder a hold. A slot is *idle* (the pool has the
//! connection), *taken* (one holder has it) or *shared* (the pool keeps one reference, up to
//! `max_leases` holders the others). A shared slot may be *draining* (no new leases, becomes idle
//! with the last return) or *retiring* (no new leases, closed with the last return).
//!
//! Idle slots are used last in, first out, so that a pool larger than its load leaves the rest
//! alone. Leases go to the shared slot that most recently had room: connections fill up one after
//! the other, which keeps pipelines deep and connections few. All choices are O(1) but one:
//! [`Slots::drain_one`] looks at every slot.

mod sharing;

use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use crate::config::Lifetimes;
use crate::queue::{Id, Queue};

use sharing::Shared;

/// Names a hold from the hand-over until the connection is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldId(Id);

/// A connection on its way to a caller.
#[derive(Debug)]
pub(crate) struct Grant<C> {
    pub(crate) hold: HoldId,
    pub(crate) connection: Arc<C>,
    /// Together with others.
    pub(crate) shared: bool,
    /// When it was last used, should this caller not come to it.
    pub(crate) since: Instant,
}

/// An idle connection on its way to be looked at, without the lock.
#[derive(Debug)]
pub(crate) struct Doubtful<C> {
    slot: SlotId,
    pub(crate) connection: Arc<C>,
    /// Since when it has been idle.
    pub(crate) since: Instant,
}

/// Names a slot while its connection is checked.
#[derive(Clone, Copy, Debug)]
struct SlotId(usize);

#[derive(Debug)]
pub(crate) struct Slots<C> {
    slots: Slab<Slot<C>>,
    idle: Vec<usize>,
    /// The shared slots that take further leases.
    roomy: Vec<usize>,
    draining: usize,
    /// How many slots are shared, in whatever state.
    shared: usize,
    /// Oldest first.
    holds: Queue<Hold>,
    max_leases: usize,
    lifetimes: Lifetimes,
    /// What has been idle since before then is to be checked, too.
    doubted: Option<Instant>,
    /// Connections of earlier generations are closed as soon as nobody holds them.
    generation: u64,
    /// No idle connection has to be closed before then.
    soonest: Option<Instant>,
    rng: fastrand::Rng,
}

#[derive(Debug)]
struct Slot<C> {
    state: Occupancy<C>,
    /// When it is to be replaced.
    expires: Option<Instant>,
    generation: u64,
}

#[derive(Debug)]
enum Occupancy<C> {
    Idle { connection: Arc<C>, since: Instant },
    Taken,
    Shared(Shared<C>),
}

#[derive(Debug)]
struct Hold {
    slot: usize,
    since: Instant,
    at: &'static Location<'static>,
}

impl<C> Slots<C> {
    pub(crate) fn new(max_leases: usize, lifetimes: Lifetimes, seed: u64) -> Self {
        Self {
            slots: Slab::new(),
            idle: Vec::new(),
            roomy: Vec::new(),
            draining: 0,
            shared: 0,
            holds: Queue::new(),
            max_leases,
            lifetimes,
            doubted: None,
            generation: 0,
            soonest: None,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many callers hold a connection, alone or together.
    pub(crate) fn holders(&self) -> usize {
        self.holds.len()
    }

    /// How many shared connections take no more leases, to become idle.
    pub(crate) fn draining(&self) -> usize {
        self.draining
    }

    /// When and where the longest-held connection was taken.
    pub(crate) fn longest_held(&self) -> Option<(Instant, &'static Location<'static>)> {
        self.holds.front().map(|(_, hold)| (hold.since, hold.at))
    }

    /// The generation that connections opened from now on belong to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// When to [sweep](Self::sweep) next, if ever.
    pub(crate) fn soonest(&self) -> Option<Instant> {
        self.soonest
    }

    /// Adds a freshly opened connection as an idle one.
    pub(crate) fn insert(&mut self, connection: Arc<C>, now: Instant) {
        let lifetime = self.lifetimes.max_lifetime;
        // Those opened together are not to end together.
        let jittered = lifetime.map(|longest| longest.mul_f64(1.0 - 0.2 * self.rng.f64()));
        let slot = self.slots.insert(Slot {
            state: Occupancy::Taken,
            expires: jittered.and_then(|lifetime| now.checked_add(lifetime)),
            generation: self.generation,
        });
        self.make_idle(slot, connection, now);
    }

    /// Takes out the idle connections that have lived or been idle for long enough, oldest first.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<Arc<C>> {
        let mut closed = Vec::new();
        let mut spare = self.idle.len().saturating_sub(self.lifetimes.min_idle);
        for slot in std::mem::take(&mut self.idle) {
            let idle_out = spare > 0 && self.idles_out_at(slot).is_some_and(|at| at <= now);
            if idle_out || self.is_spent(slot, now) {
                spare = spare.saturating_sub(1);
                closed.push(self.remove_idle(slot));
            } else {
                self.idle.push(slot);
            }
        }
        let expiries = self
            .idle
            .iter()
            .filter_map(|&slot| self.slots[slot].expires);
        self.soonest = expiries.chain(self.next_idle_out()).min();
        closed
    }

    /// Takes out the connections that have been idle for longest, `count` of them if there are.
    pub(crate) fn close_idle(&mut self, count: usize) -> Vec<Arc<C>> {
        let count = count.min(self.idle.len());
        let oldest: Vec<usize> = self.idle.drain(..count).collect();
        oldest
            .into_iter()
            .map(|slot| self.remove_idle(slot))
            .collect()
    }

    /// Begins a new generation: idle connections are returned, to be dropped outside of the lock,
    /// shared ones take no more leases, and all are closed with their last return.
    pub(crate) fn clear(&mut self) -> Vec<Arc<C>> {
        self.generation += 1;
        self.retire_shared();
        self.close_idle(usize::MAX)
    }

    /// Gives an idle connection to one holder, unless all have been idle for long.
    pub(crate) fn take(
        &mut self,
        at: &'static Location<'static>,
        now: Instant,
    ) -> Option<Grant<C>> {
        let (slot, connection, since) = self.pop_idle(|is_stale| !is_stale, now)?;
        Some(Grant {
            hold: self.hold(slot, at, now),
            connection,
            shared: false,
            since,
        })
    }

    /// Takes out an idle connection that has to be checked before it is used.
    pub(crate) fn begin_check(&mut self, now: Instant) -> Option<Doubtful<C>> {
        let (slot, connection, since) = self.pop_idle(|is_stale| is_stale, now)?;
        Some(Doubtful {
            slot: SlotId(slot),
            connection,
            since,
        })
    }

    /// Takes out the connection that has been idle for longest, if that is since `before`.
    pub(crate) fn begin_look(&mut self, before: Instant) -> Option<Doubtful<C>> {
        let slot = *self.idle.first()?;
        let since = self.idle_since(slot);
        if since > before {
            return None;
        }
        self.idle.remove(0);
        match std::mem::replace(&mut self.slots[slot].state, Occupancy::Taken) {
            Occupancy::Idle { connection, .. } => Some(Doubtful {
                slot: SlotId(slot),
                connection,
                since,
            }),
            Occupancy::Taken | Occupancy::Shared(_) => unreachable!("{IDLE}"),
        }
    }

    /// Since when a holder has its connection.
    pub(crate) fn held_since(&self, hold: HoldId) -> Instant {
        self.holds.get(hold.0).since
    }

    /// Who holds what: since when, where it was taken. Oldest first.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Instant, &'static Location<'static>)> {
        self.holds.iter().map(|(_, hold)| (hold.since, hold.at))
    }

    /// Takes back a connection that has been looked at, and found good or not: idle `since` then, or
    /// returned, to be dropped outside of the lock.
    pub(crate) fn end_check(
        &mut self,
        Doubtful {
            slot, connection, ..
        }: Doubtful<C>,
        good: bool,
        since: Instant,
    ) -> Option<Arc<C>> {
        self.keep_or_remove(slot.0, connection, good, since)
    }

    /// Takes back a connection that one holder had, and keeps it unless it is `broken`: then it is
    /// returned, to be dropped outside of the lock.
    pub(crate) fn give_back(
        &mut self,
        hold: HoldId,
        connection: Arc<C>,
        broken: bool,
        now: Instant,
    ) -> Option<Arc<C>> {
        let slot = self.holds.remove(hold.0).slot;
        self.keep_or_remove(slot, connection, !broken, now)
    }

    /// Forgets a connection that its holder keeps for good.
    pub(crate) fn detach(&mut self, hold: HoldId) {
        let slot = self.holds.remove(hold.0).slot;
        self.slots.remove(slot);
    }

    /// Has the connections that are idle now checked before they are used again.
    pub(crate) fn doubt_idle(&mut self, now: Instant) {
        self.doubted = Some(now);
    }

    fn hold(&mut self, slot: usize, at: &'static Location<'static>, since: Instant) -> HoldId {
        HoldId(self.holds.push_back(Hold { slot, since, at }))
    }

    /// The idle connection used last, if it is `wanted` by whether it has been idle for long.
    fn pop_idle(
        &mut self,
        wanted: impl Fn(bool) -> bool,
        now: Instant,
    ) -> Option<(usize, Arc<C>, Instant)> {
        let slot = *self.idle.last()?;
        let since = self.idle_since(slot);
        let is_stale = now.saturating_duration_since(since) > self.lifetimes.check_idle_after
            || self.doubted.is_some_and(|doubted| since <= doubted);
        if !wanted(is_stale) {
            return None;
        }
        self.idle.pop();
        match std::mem::replace(&mut self.slots[slot].state, Occupancy::Taken) {
            Occupancy::Idle { connection, since } => Some((slot, connection, since)),
            Occupancy::Taken | Occupancy::Shared(_) => unreachable!("{IDLE}"),
        }
    }

    fn keep_or_remove(
        &mut self,
        slot: usize,
        connection: Arc<C>,
        keep: bool,
        now: Instant,
    ) -> Option<Arc<C>> {
        if keep && !self.is_spent(slot, now) {
            self.make_idle(slot, connection, now);
            return None;
        }
        self.slots.remove(slot);
        Some(connection)
    }

    fn make_idle(&mut self, slot: usize, connection: Arc<C>, since: Instant) {
        let Slot { state, expires, .. } = &mut self.slots[slot];
        *state = Occupancy::Idle { connection, since };
        let expires = *expires;
        self.idle.push(slot);
        let due = [self.soonest, expires, self.next_idle_out()];
        self.soonest = due.into_iter().flatten().min();
    }

    fn remove_idle(&mut self, slot: usize) -> Arc<C> {
        match self.slots.remove(slot).state {
            Occupancy::Idle { connection, .. } => connection,
            Occupancy::Taken | Occupancy::Shared(_) => unreachable!("{IDLE}"),
        }
    }

    /// Whether a connection has lived for long enough, or belongs to an earlier generation.
    fn is_spent(&self, slot: usize, now: Instant) -> bool {
        let Slot {
            expires,
            generation,
            ..
        } = self.slots[slot];
        generation != self.generation || expires.is_some_and(|expires| expires <= now)
    }

    /// When the connection that has been idle for longest is to be closed for that.
    fn next_idle_out(&self) -> Option<Instant> {
        match self.idle.first() {
            Some(&oldest) if self.idle.len() > self.lifetimes.min_idle => self.idles_out_at(oldest),
            _ => None,
        }
    }

    fn idles_out_at(&self, slot: usize) -> Option<Instant> {
        let timeout = self.lifetimes.idle_timeout?;
        self.idle_since(slot).checked_add(timeout)
    }

    fn idle_since(&self, slot: usize) -> Instant {
        match self.slots[slot].state {
            Occupancy::Idle { since, .. } => since,
            Occupancy::Taken | Occupancy::Shared(_) => unreachable!("{IDLE}"),
        }
    }
}

const IDLE: &str = "the idle list names idle slots";

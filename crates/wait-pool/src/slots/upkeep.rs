//! What is done to connections that nobody uses: checked, closed, doubted.

use std::panic::Location;
use std::time::Duration;

use super::{Doubtful, IDLE, Occupancy, Retired, Slot, Slots, index};
use crate::event::CloseReason;
use crate::moment::Moment;

impl<C> Slots<C> {
    /// Before then nothing has to be closed.
    pub(crate) const fn soonest(&self) -> Moment {
        self.soonest
    }

    /// How many idle connections stay, however long they are idle.
    pub(crate) const fn set_min_idle(&mut self, min_idle: usize) {
        self.lifetimes.min_idle = min_idle;
        // What may be closed has changed: the keeper is to look.
        self.soonest = Moment::BEGINNING;
    }

    /// Takes out the idle connections that have lived or been idle for long enough, oldest first.
    pub(crate) fn sweep(&mut self, now: Moment) -> Vec<Retired<C>> {
        let mut closed = Vec::new();
        let mut spare = self.idle.len().saturating_sub(self.lifetimes.min_idle);
        for slot in std::mem::take(&mut self.idle) {
            let idle_out = spare > 0 && self.idles_out_at(slot) <= now;
            let idle_out = idle_out.then_some(CloseReason::Idle);
            match self.spent(slot, now).or(idle_out) {
                Some(reason) => {
                    spare = spare.saturating_sub(1);
                    closed.push(self.remove_idle(slot, reason));
                }
                None => self.idle.push(slot),
            }
        }
        self.retire_expired(now);
        self.soonest = self.next_due(now);
        closed
    }

    /// Since when the connection has been idle that has been so for longest.
    pub(crate) fn idle_since(&self) -> Option<Moment> {
        let &oldest = self.idle.first()?;
        Some(self.slots[index(oldest)].since)
    }

    /// Takes out the connections that have been idle for longest, `count` of them if there are.
    pub(crate) fn close_idle(&mut self, count: usize, reason: CloseReason) -> Vec<Retired<C>> {
        let count = count.min(self.idle.len());
        let oldest: Vec<u32> = self.idle.drain(..count).collect();
        oldest
            .into_iter()
            .map(|slot| self.remove_idle(slot, reason))
            .collect()
    }

    /// Begins a new generation: idle connections are returned, to be dropped outside of the lock,
    /// shared ones take no more leases, and all are closed with their last return.
    pub(crate) fn clear(&mut self) -> Vec<Retired<C>> {
        self.generation += 1;
        self.retire_shared(CloseReason::Stale);
        self.close_idle(usize::MAX, CloseReason::Stale)
    }

    /// Has the connections that are idle now checked before they are used again.
    pub(crate) const fn doubt_idle(&mut self) {
        self.doubts = self.doubts.wrapping_add(1);
    }

    /// Takes out an idle connection that has to be checked before it is used.
    pub(crate) fn begin_check(&mut self, now: Moment) -> Option<Doubtful<C>> {
        let &slot = self.idle.last()?;
        if !self.is_stale(slot, now) {
            return None;
        }
        self.idle.pop();
        Some(self.look_at(slot))
    }

    /// Takes out the connection that has been idle for longest, if that is since `before`.
    pub(crate) fn begin_look(&mut self, before: Moment) -> Option<Doubtful<C>> {
        let &slot = self.idle.first()?;
        if self.slots[index(slot)].since > before {
            return None;
        }
        self.idle.remove(0);
        Some(self.look_at(slot))
    }

    /// Takes back a connection that has been asked whether it is good: it is, or is to be closed for a
    /// `reason`.
    pub(crate) fn end_check(
        &mut self,
        doubtful: Doubtful<C>,
        reason: Option<CloseReason>,
        now: Moment,
    ) -> Option<Retired<C>> {
        self.slots[index(doubtful.slot)].doubts = self.doubts;
        self.end_look(doubtful, reason, now, now)
    }

    /// Takes back a connection that has been looked at, without asking it: idle `since` then, or to be
    /// closed for a `reason`.
    pub(crate) fn end_look(
        &mut self,
        Doubtful {
            slot, connection, ..
        }: Doubtful<C>,
        reason: Option<CloseReason>,
        since: Moment,
        now: Moment,
    ) -> Option<Retired<C>> {
        self.keep_or_retire(slot, connection, reason, since, now)
    }

    /// Holds that have lasted for `longest` and that nobody has been warned of. Each is told once.
    pub(crate) fn leaks(
        &mut self,
        now: Moment,
        longest: Duration,
    ) -> Vec<(Duration, &'static Location<'static>)> {
        let slots = self.slots.iter_mut().map(|(_, slot)| slot);
        let taken = slots.filter(|slot| slot.state == Occupancy::Taken);
        let alone = taken.map(|slot| (slot.since, slot.at, &mut slot.warned));
        let parts = self.parts.iter_mut();
        let parts = parts.map(|(_, part)| (part.since, part.at, &mut part.warned));
        let mut leaks = Vec::new();
        for (since, at, warned) in alone.chain(parts) {
            if !*warned && since.plus(longest) <= now {
                *warned = true;
                leaks.push((now.since(since), at));
            }
        }
        leaks
    }

    /// When a hold is to be warned of that lasts for `longest`.
    pub(crate) fn next_leak(&self, longest: Duration) -> Moment {
        let slots = self.slots.iter().map(|(_, slot)| slot);
        let taken = slots.filter(|slot| slot.state == Occupancy::Taken && !slot.warned);
        let alone = taken.map(|slot| slot.since);
        let parts = self.parts.iter().filter(|(_, part)| !part.warned);
        let oldest = alone.chain(parts.map(|(_, part)| part.since)).min();
        oldest.map_or(Moment::NEVER, |since| since.plus(longest))
    }

    fn look_at(&mut self, slot: u32) -> Doubtful<C> {
        let entry = &mut self.slots[index(slot)];
        entry.state = Occupancy::LookedAt;
        Doubtful {
            slot,
            connection: entry.connection.take().expect(IDLE),
            since: entry.since,
        }
    }

    fn remove_idle(&mut self, slot: u32, reason: CloseReason) -> Retired<C> {
        let slot = self.slots.remove(index(slot));
        Retired {
            connection: slot.connection.expect(IDLE),
            number: slot.number,
            reason,
        }
    }

    /// When the next connection may have to be closed. What is in use may be idle from now on, at
    /// the earliest; that saves every return the question.
    fn next_due(&self, now: Moment) -> Moment {
        let expiries = self.slots.iter().map(|(_, Slot { expires, .. })| *expires);
        let expiries = expiries.filter(|expires| *expires > now);
        let in_use = self.slots.len() > self.idle.len();
        let idle_out = match self.idle.first() {
            Some(&oldest) if self.idle.len() > self.lifetimes.min_idle => self.idles_out_at(oldest),
            _ if in_use && self.slots.len() > self.lifetimes.min_idle => {
                now.plus_limit(self.lifetimes.idle_timeout)
            }
            _ => Moment::NEVER,
        };
        expiries.chain([idle_out]).min().unwrap_or(Moment::NEVER)
    }

    fn idles_out_at(&self, slot: u32) -> Moment {
        let since = self.slots[index(slot)].since;
        since.plus_limit(self.lifetimes.idle_timeout)
    }
}

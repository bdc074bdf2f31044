//! Connections that several holders share.
//!
//! A shared slot takes leases while it is *roomy*; it is *full*, *draining* (set aside, becomes idle
//! with the last return) or *retiring* (is closed with the last return) otherwise.

use std::panic::Location;
use std::sync::Arc;

use super::{Grant, Hold, HoldId, Occupancy, Retired, Slot, Slots, index};
use crate::event::CloseReason;
use crate::moment::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Takes leases; its place in `roomy`.
    Roomy(u32),
    Full,
    Draining,
    Retiring(CloseReason),
}

/// One holder's part in a shared connection.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) slot: u32,
    pub(super) since: Moment,
    pub(super) at: &'static Location<'static>,
    /// Whether somebody has been warned that it is held for long.
    pub(super) warned: bool,
}

impl<C> Slots<C> {
    /// Gives room on a shared connection to one more holder, or else begins to share an idle one,
    /// unless all have been idle for long.
    pub(crate) fn lease(
        &mut self,
        at: &'static Location<'static>,
        now: Moment,
    ) -> Option<Grant<C>> {
        if let Some(grant) = self.join(at, now) {
            return Some(grant);
        }
        let mut grant = self.take(at, now)?;
        if let Hold::Alone(slot) = grant.hold.hold() {
            self.share(slot, Arc::clone(&grant.connection), grant.since);
            grant.hold = self.part(slot, at, now);
        }
        Some(grant)
    }

    /// Gives room on a connection that others already share.
    pub(crate) fn join(&mut self, at: &'static Location<'static>, now: Moment) -> Option<Grant<C>> {
        let &slot = self.roomy.last()?;
        let (holders, _) = self.sharing(slot);
        self.set_holders(slot, holders + 1);
        if holders as usize + 1 == self.max_leases {
            self.set_sharing(slot, Sharing::Full);
        }
        let connection = self.slots[index(slot)].connection.as_ref();
        Some(Grant {
            connection: Arc::clone(connection.expect(SHARED)),
            hold: self.part(slot, at, now),
            since: now,
        })
    }

    /// Lets others share what one holder has taken, and nobody has used `since` then.
    fn share(&mut self, slot: u32, connection: Arc<C>, since: Moment) {
        self.taken -= 1;
        self.shared += 1;
        let entry = &mut self.slots[index(slot)];
        (entry.connection, entry.since) = (Some(connection), since);
        entry.state = Occupancy::Shared {
            holders: 1,
            state: Sharing::Full,
        };
        if self.max_leases > 1 {
            self.set_sharing(slot, Sharing::Roomy(0));
        }
    }

    /// Ends one holder's part in a sound shared connection that has others or may become idle, and
    /// says since when he had it. `None`, and nothing done, if it is to be closed.
    pub(crate) fn leave_quietly(&mut self, part: u32, now: Moment) -> Option<Moment> {
        let Part { slot, since, .. } = self.parts[index(part)];
        let (_, state) = self.sharing(slot);
        if matches!(state, Sharing::Retiring(_)) || self.spent(slot, now).is_some() {
            return None;
        }
        let closed = self.leave(part, None, now);
        debug_assert!(closed.is_none(), "there was no reason");
        Some(since)
    }

    /// Ends one holder's part in a shared connection that is good as of now. The last one makes it
    /// idle, unless any holder had a `reason` to have it closed. The holder's own reference must be
    /// gone already.
    pub(crate) fn leave(
        &mut self,
        part: u32,
        reason: Option<CloseReason>,
        now: Moment,
    ) -> Option<Retired<C>> {
        let slot = self.parts[index(part)].slot;
        let entry = &mut self.slots[index(slot)];
        (entry.doubts, entry.since) = (self.doubts, now);
        self.leave_unused(part, reason, now)
    }

    /// As [`leave`](Self::leave), for a holder that has not come to use it: who knows whether it is
    /// good. If it becomes idle, it has been so since another has used it.
    pub(crate) fn leave_unused(
        &mut self,
        part: u32,
        reason: Option<CloseReason>,
        now: Moment,
    ) -> Option<Retired<C>> {
        let slot = self.parts.remove(index(part)).slot;
        if let Some(reason) = reason.or_else(|| self.spent(slot, now)) {
            self.retire(slot, reason);
        }
        let (holders, state) = self.sharing(slot);
        let holders = holders - 1;
        self.set_holders(slot, holders);
        if holders > 0 {
            if state == Sharing::Full {
                self.set_sharing(slot, Sharing::Roomy(0));
            }
            return None;
        }
        let reason = match state {
            Sharing::Retiring(reason) => Some(reason),
            Sharing::Roomy(_) | Sharing::Full | Sharing::Draining => None,
        };
        // Out of the lists of those that take leases or drain.
        self.set_sharing(slot, Sharing::Full);
        self.shared -= 1;
        let entry = &mut self.slots[index(slot)];
        let (connection, since) = (entry.connection.take().expect(SHARED), entry.since);
        self.keep_or_retire(slot, connection, reason, since, now)
    }

    /// Stops giving leases on the shared connection with the fewest holders, so that it becomes
    /// idle soon. Does nothing where none is shared. O(slots) otherwise.
    pub(crate) fn drain_one(&mut self) {
        if self.shared == 0 {
            return;
        }
        let takes_leases = |state| matches!(state, Sharing::Roomy(_) | Sharing::Full);
        let shared = self.all_shared().filter(|(.., state)| takes_leases(*state));
        let fewest = shared.min_by_key(|(_, holders, _)| *holders);
        if let Some((slot, ..)) = fewest {
            self.set_sharing(slot, Sharing::Draining);
        }
    }

    /// Has the shared connection with the fewest holders closed with its last return. Says no if there
    /// is none that will not be so anyway. O(slots).
    pub(crate) fn retire_one(&mut self, reason: CloseReason) -> bool {
        let stays = |state: &Sharing| !matches!(state, Sharing::Retiring(_));
        let shared = self.all_shared().filter(|(.., state)| stays(state));
        let fewest = shared.min_by_key(|(_, holders, _)| *holders);
        if let Some((slot, ..)) = fewest {
            self.retire(slot, reason);
        }
        fewest.is_some()
    }

    /// Lets draining connections take leases again. O(slots), and only if any drains.
    pub(crate) fn stop_draining(&mut self) {
        while self.draining > 0 {
            let found = self
                .all_shared()
                .find(|(.., state)| *state == Sharing::Draining);
            let Some((slot, holders, _)) = found else {
                break;
            };
            let state = match holders as usize == self.max_leases {
                true => Sharing::Full,
                false => Sharing::Roomy(0),
            };
            self.set_sharing(slot, state);
        }
    }

    /// Has all shared connections closed with their last return.
    pub(super) fn retire_shared(&mut self, reason: CloseReason) {
        let shared: Vec<u32> = self.all_shared().map(|(slot, ..)| slot).collect();
        for slot in shared {
            self.retire(slot, reason);
        }
    }

    /// Has the shared connections that have lived for long enough closed with their last return.
    pub(super) fn retire_expired(&mut self, now: Moment) {
        let shared: Vec<u32> = self.all_shared().map(|(slot, ..)| slot).collect();
        for slot in shared {
            if let Some(reason) = self.spent(slot, now) {
                self.retire(slot, reason);
            }
        }
    }

    /// Has a shared connection closed with its last return, for the first reason there was.
    fn retire(&mut self, slot: u32, reason: CloseReason) {
        if !matches!(self.sharing(slot).1, Sharing::Retiring(_)) {
            self.set_sharing(slot, Sharing::Retiring(reason));
        }
    }

    fn part(&mut self, slot: u32, at: &'static Location<'static>, since: Moment) -> HoldId {
        let part = self.parts.insert(Part {
            slot,
            since,
            at,
            warned: false,
        });
        let part = u32::try_from(part).expect("there are fewer holders");
        HoldId::new(Hold::Part(part))
    }

    /// Each with its holders and its state.
    fn all_shared(&self) -> impl Iterator<Item = (u32, u32, Sharing)> {
        let slots = self.slots.iter();
        slots.filter_map(|(slot, Slot { state, .. })| match *state {
            Occupancy::Shared { holders, state } => Some((slot as u32, holders, state)),
            _ => None,
        })
    }

    /// The number of each connection, when it is to be replaced, and whether it is set aside.
    #[cfg(test)]
    pub(crate) fn seen(&self) -> impl Iterator<Item = (u64, Moment, bool)> {
        let draining = |slot| {
            let mut shared = self.all_shared();
            shared.any(|(other, _, state)| slot == other && state == Sharing::Draining)
        };
        let slots = self.slots.iter();
        slots.map(move |(slot, one)| (one.number, one.expires, draining(slot as u32)))
    }

    fn sharing(&self, slot: u32) -> (u32, Sharing) {
        match self.slots[index(slot)].state {
            Occupancy::Shared { holders, state } => (holders, state),
            _ => unreachable!("{SHARED}"),
        }
    }

    fn set_holders(&mut self, slot: u32, new: u32) {
        match &mut self.slots[index(slot)].state {
            Occupancy::Shared { holders, .. } => *holders = new,
            _ => unreachable!("{SHARED}"),
        }
    }

    /// The only place where `roomy` and `draining` change. The index in `Roomy` is set here.
    fn set_sharing(&mut self, slot: u32, new: Sharing) {
        let new = match new {
            Sharing::Roomy(_) => Sharing::Roomy(self.roomy.len() as u32),
            other => other,
        };
        match self.replace_sharing(slot, new) {
            Sharing::Roomy(at) => {
                self.roomy.swap_remove(index(at));
                if let Some(&moved) = self.roomy.get(index(at)) {
                    self.replace_sharing(moved, Sharing::Roomy(at));
                }
            }
            Sharing::Draining => self.draining -= 1,
            Sharing::Retiring(_) => self.retiring -= 1,
            Sharing::Full => {}
        }
        match new {
            Sharing::Roomy(_) => self.roomy.push(slot),
            Sharing::Draining => self.draining += 1,
            Sharing::Retiring(_) => self.retiring += 1,
            Sharing::Full => {}
        }
    }

    fn replace_sharing(&mut self, slot: u32, new: Sharing) -> Sharing {
        match &mut self.slots[index(slot)].state {
            Occupancy::Shared { state, .. } => std::mem::replace(state, new),
            _ => unreachable!("{SHARED}"),
        }
    }
}

const SHARED: &str = "a lease is on a shared slot, which has its connection";

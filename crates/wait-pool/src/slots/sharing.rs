//! Connections that several holders share.
//!
//! A shared slot takes leases while it is *roomy*; it is *full*, *draining* (set aside, becomes idle
//! with the last return) or *retiring* (is closed with the last return) otherwise.

use std::panic::Location;
use std::sync::Arc;

use super::{Grant, HoldId, Occupancy, Retired, Slot, Slots, index};
use crate::event::CloseReason;
use crate::moment::Moment;

#[derive(Debug)]
pub(super) struct Shared<C> {
    connection: Arc<C>,
    holders: usize,
    state: Sharing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Takes leases; its place in `roomy`.
    Roomy(usize),
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
        if let HoldId::Alone(slot) = grant.hold {
            self.share(slot, Arc::clone(&grant.connection));
            grant.hold = self.part(slot, at, now);
        }
        Some(grant)
    }

    /// Gives room on a connection that others already share.
    pub(crate) fn join(&mut self, at: &'static Location<'static>, now: Moment) -> Option<Grant<C>> {
        let &slot = self.roomy.last()?;
        let shared = self.shared_mut(slot);
        shared.holders += 1;
        let (holders, connection) = (shared.holders, Arc::clone(&shared.connection));
        if holders == self.max_leases {
            self.set_sharing(slot, Sharing::Full);
        }
        Some(Grant {
            hold: self.part(slot, at, now),
            connection,
            since: now,
        })
    }

    /// Lets others share what one holder has taken.
    fn share(&mut self, slot: u32, connection: Arc<C>) {
        self.taken -= 1;
        self.shared += 1;
        self.slots[index(slot)].state = Occupancy::Shared(Shared {
            connection,
            holders: 1,
            state: Sharing::Full,
        });
        if self.max_leases > 1 {
            self.set_sharing(slot, Sharing::Roomy(0));
        }
    }

    /// Ends one holder's part in a sound shared connection that has others or may become idle, and
    /// says since when he had it. `None`, and nothing done, if it is to be closed.
    pub(crate) fn leave_quietly(&mut self, part: u32, now: Moment) -> Option<Moment> {
        let Part { slot, since, .. } = self.parts[index(part)];
        let retiring = matches!(self.shared_mut(slot).state, Sharing::Retiring(_));
        if retiring || self.spent(slot, now).is_some() {
            return None;
        }
        let closed = self.leave(part, None, now);
        debug_assert!(closed.is_none(), "there was no reason");
        Some(since)
    }

    /// Ends one holder's part in a shared connection. The last one makes it idle, unless any holder
    /// had a `reason` to have it closed. The holder's own reference must be gone already.
    pub(crate) fn leave(
        &mut self,
        part: u32,
        reason: Option<CloseReason>,
        now: Moment,
    ) -> Option<Retired<C>> {
        let slot = self.parts.remove(index(part)).slot;
        if let Some(reason) = reason.or_else(|| self.spent(slot, now)) {
            self.retire(slot, reason);
        }
        let shared = self.shared_mut(slot);
        shared.holders -= 1;
        let (holders, state) = (shared.holders, shared.state);
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
        let state = &mut self.slots[index(slot)].state;
        let Occupancy::Shared(Shared { connection, .. }) =
            std::mem::replace(state, Occupancy::LookedAt)
        else {
            unreachable!("the slot was shared a moment ago")
        };
        self.keep_or_retire(slot, connection, reason, now)
    }

    /// Stops giving leases on the shared connection with the fewest holders, so that it becomes
    /// idle soon. Does nothing where none is shared. O(slots) otherwise.
    pub(crate) fn drain_one(&mut self) {
        if self.shared == 0 {
            return;
        }
        let open = |shared: &Shared<C>| matches!(shared.state, Sharing::Roomy(_) | Sharing::Full);
        let shared = self.all_shared().filter(|(_, shared)| open(shared));
        let fewest = shared.min_by_key(|(_, shared)| shared.holders);
        if let Some((slot, _)) = fewest {
            self.set_sharing(slot, Sharing::Draining);
        }
    }

    /// Lets draining connections take leases again. O(slots), and only if any drains.
    pub(crate) fn stop_draining(&mut self) {
        while self.draining > 0 {
            let mut shared = self.all_shared();
            let found = shared.find(|(_, shared)| shared.state == Sharing::Draining);
            let found = found.map(|(slot, shared)| (slot, shared.holders));
            drop(shared);
            let Some((slot, holders)) = found else { break };
            let state = match holders == self.max_leases {
                true => Sharing::Full,
                false => Sharing::Roomy(0),
            };
            self.set_sharing(slot, state);
        }
    }

    /// Has all shared connections closed with their last return.
    pub(super) fn retire_shared(&mut self, reason: CloseReason) {
        let shared: Vec<u32> = self.all_shared().map(|(slot, _)| slot).collect();
        for slot in shared {
            self.retire(slot, reason);
        }
    }

    /// Has a shared connection closed with its last return, for the first reason there was.
    fn retire(&mut self, slot: u32, reason: CloseReason) {
        if !matches!(self.shared_mut(slot).state, Sharing::Retiring(_)) {
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
        HoldId::Part(u32::try_from(part).expect("there are fewer holders"))
    }

    fn all_shared(&self) -> impl Iterator<Item = (u32, &Shared<C>)> {
        let slots = self.slots.iter();
        slots.filter_map(|(slot, Slot { state, .. })| match state {
            Occupancy::Shared(shared) => Some((slot as u32, shared)),
            _ => None,
        })
    }

    fn shared_mut(&mut self, slot: u32) -> &mut Shared<C> {
        match &mut self.slots[index(slot)].state {
            Occupancy::Shared(shared) => shared,
            _ => unreachable!("a lease is on a shared slot"),
        }
    }

    /// The only place where `roomy` and `draining` change. The index in `Roomy` is set here.
    fn set_sharing(&mut self, slot: u32, new: Sharing) {
        let new = match new {
            Sharing::Roomy(_) => Sharing::Roomy(self.roomy.len()),
            other => other,
        };
        match std::mem::replace(&mut self.shared_mut(slot).state, new) {
            Sharing::Roomy(index) => {
                self.roomy.swap_remove(index);
                if let Some(&moved) = self.roomy.get(index) {
                    self.shared_mut(moved).state = Sharing::Roomy(index);
                }
            }
            Sharing::Draining => self.draining -= 1,
            Sharing::Full | Sharing::Retiring(_) => {}
        }
        match new {
            Sharing::Roomy(_) => self.roomy.push(slot),
            Sharing::Draining => self.draining += 1,
            Sharing::Full | Sharing::Retiring(_) => {}
        }
    }
}

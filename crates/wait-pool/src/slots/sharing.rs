//! Connections that several holders share.
//!
//! A shared slot takes leases while it is *roomy*; it is *full*, *draining* (set aside, becomes idle
//! with the last return) or *retiring* (is closed with the last return) otherwise.

use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use super::{Grant, HoldId, Occupancy, Slot, Slots};

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
    Retiring,
}

impl<C> Slots<C> {
    /// Gives room on a shared connection to one more holder, or else begins to share an idle one,
    /// unless all have been idle for long.
    pub(crate) fn lease(
        &mut self,
        at: &'static Location<'static>,
        now: Instant,
    ) -> Option<Grant<C>> {
        if let Some(grant) = self.join(at, now) {
            return Some(grant);
        }
        let mut grant = self.take(at, now)?;
        self.share(grant.hold, Arc::clone(&grant.connection));
        grant.shared = true;
        Some(grant)
    }

    /// Gives room on a connection that others already share.
    pub(crate) fn join(
        &mut self,
        at: &'static Location<'static>,
        now: Instant,
    ) -> Option<Grant<C>> {
        let slot = *self.roomy.last()?;
        let shared = self.shared_mut(slot);
        shared.holders += 1;
        let (holders, connection) = (shared.holders, Arc::clone(&shared.connection));
        if holders == self.max_leases {
            self.set_sharing(slot, Sharing::Full);
        }
        Some(Grant {
            hold: self.hold(slot, at, now),
            connection,
            shared: true,
            since: now,
        })
    }

    /// Lets others share what one holder has taken.
    fn share(&mut self, hold: HoldId, connection: Arc<C>) {
        let slot = self.holds.get(hold.0).slot;
        self.shared += 1;
        self.slots[slot].state = Occupancy::Shared(Shared {
            connection,
            holders: 1,
            state: Sharing::Full,
        });
        if self.max_leases > 1 {
            self.set_sharing(slot, Sharing::Roomy(0));
        }
    }

    /// Ends one holder's part in a shared connection; the last one makes it idle, or closes it
    /// if any holder found it `broken`. The holder's own reference must be gone already.
    pub(crate) fn leave(&mut self, hold: HoldId, broken: bool, now: Instant) -> Option<Arc<C>> {
        let slot = self.holds.remove(hold.0).slot;
        if broken || self.is_spent(slot, now) {
            self.set_sharing(slot, Sharing::Retiring);
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
        self.set_sharing(slot, Sharing::Retiring);
        self.shared -= 1;
        let Occupancy::Shared(Shared { connection, .. }) =
            std::mem::replace(&mut self.slots[slot].state, Occupancy::Taken)
        else {
            unreachable!("the slot was shared a moment ago")
        };
        self.keep_or_remove(slot, connection, state != Sharing::Retiring, now)
    }

    /// Stops giving leases on the shared connection with the fewest holders, so that it becomes
    /// idle soon. Does nothing where none is shared. O(slots) otherwise.
    pub(crate) fn drain_one(&mut self) {
        if self.shared == 0 {
            return;
        }
        let shared = self
            .slots
            .iter()
            .filter_map(|(slot, Slot { state, .. })| match state {
                Occupancy::Shared(shared)
                    if matches!(shared.state, Sharing::Roomy(_) | Sharing::Full) =>
                {
                    Some((shared.holders, slot))
                }
                _ => None,
            });
        if let Some((_, slot)) = shared.min() {
            self.set_sharing(slot, Sharing::Draining);
        }
    }

    /// Lets draining connections take leases again. O(slots), and only if any drains.
    pub(crate) fn stop_draining(&mut self) {
        while self.draining > 0 {
            let slot = self
                .slots
                .iter()
                .find_map(|(slot, Slot { state, .. })| match state {
                    Occupancy::Shared(shared) if shared.state == Sharing::Draining => {
                        Some((slot, shared))
                    }
                    _ => None,
                });
            let Some((slot, shared)) = slot else { break };
            let full = shared.holders == self.max_leases;
            let state = if full {
                Sharing::Full
            } else {
                Sharing::Roomy(0)
            };
            self.set_sharing(slot, state);
        }
    }

    /// Has all shared connections closed with their last return.
    pub(super) fn retire_shared(&mut self) {
        let shared = self
            .slots
            .iter()
            .filter_map(|(slot, Slot { state, .. })| match state {
                Occupancy::Shared(_) => Some(slot),
                Occupancy::Idle { .. } | Occupancy::Taken => None,
            });
        for slot in shared.collect::<Vec<_>>() {
            self.set_sharing(slot, Sharing::Retiring);
        }
    }

    fn shared_mut(&mut self, slot: usize) -> &mut Shared<C> {
        match &mut self.slots[slot].state {
            Occupancy::Shared(shared) => shared,
            Occupancy::Idle { .. } | Occupancy::Taken => {
                unreachable!("a lease is on a shared slot")
            }
        }
    }

    /// The only place where `roomy` and `draining` change. The index in `Roomy` is set here.
    fn set_sharing(&mut self, slot: usize, new: Sharing) {
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
            Sharing::Full | Sharing::Retiring => {}
        }
        match new {
            Sharing::Roomy(_) => self.roomy.push(slot),
            Sharing::Draining => self.draining += 1,
            Sharing::Full | Sharing::Retiring => {}
        }
    }
}

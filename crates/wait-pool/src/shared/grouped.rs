//! The pool as a member of its group.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Shared;
use crate::config::Config;
use crate::group::{Asking, Group, Member};
use crate::hook::Observers;
use crate::manager::Manager;
use crate::transition::Needs;

impl<M: Manager> Shared<M> {
    /// A pool that is in a group from the beginning, if in any.
    pub(crate) fn in_group(
        manager: M,
        config: Config,
        observers: Observers<M>,
        group: Option<&Group>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let this = Weak::clone(this);
            let group = group.map(|group| group.join(this));
            Self::new(manager, config, observers, group)
        })
    }

    /// Asks for room for a connection. Nothing where none is needed.
    pub(crate) fn ask_for_room(&self) -> Option<Asking> {
        self.group.as_ref().map(|group| group.place())
    }

    /// An attempt has to wait for room.
    pub(crate) fn attempt_held_up(self: &Arc<Self>) {
        self.transition(|state, _, _| state.attempt_held_up());
    }

    /// An attempt that had to wait has got room. Says whether it is still wanted; if not, it is over.
    pub(crate) fn attempt_admitted(self: &Arc<Self>) -> bool {
        self.transition(|state, now, fx| state.attempt_admitted(now, fx))
    }

    /// An attempt that had to wait is not wanted any more.
    pub(crate) fn attempt_spared(self: &Arc<Self>) {
        self.transition(|state, now, fx| state.attempt_spared(now, fx));
    }

    pub(crate) fn tell_the_group(&self, needs: Option<Needs>, offer: bool) {
        let Some(group) = &self.group else { return };
        if let Some(needs) = needs {
            group.tell(needs);
        }
        if offer {
            group.offer();
        }
    }
}

impl<M: Manager> Member for Shared<M> {
    fn look(self: Arc<Self>, rest: Duration) -> Option<Duration> {
        self.transition(|state, now, fx| state.look(rest, now, fx))
    }

    fn close_idle(self: Arc<Self>, rest: Duration) -> bool {
        self.transition(|state, now, fx| state.close_idle(rest, now, fx))
    }

    fn owe(self: Arc<Self>, patient: bool) -> bool {
        self.transition(|state, now, fx| state.owe(patient, now, fx))
    }

    fn forgive(self: Arc<Self>) -> bool {
        self.transition(|state, _, _| state.forgive())
    }
}

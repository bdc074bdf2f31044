//! What the listener is told. All of it costs a look at a flag where there is none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Shared;
use crate::event::Event;
use crate::manager::Manager;
use crate::slots::{Hold, HoldId};

impl<M: Manager> Shared<M> {
    /// Tells the listener, if there is one.
    #[inline]
    pub(crate) fn emit(&self, event: &Event<'_>) {
        if let Some(listener) = &self.observers.listener {
            // Wherever it is called something is under way that it must not end.
            let told = || listener.on_event(&self.config.name, event);
            let _ = catch_unwind(AssertUnwindSafe(told));
        }
    }

    /// Tells the listener of something that has to do with the connection of a holder.
    #[inline]
    pub(crate) fn emit_of(&self, hold: HoldId, event: impl Fn(u64) -> Event<'static>) {
        if self.observers.listener.is_some() {
            let number = self.state.lock().number(hold);
            self.emit(&event(number));
        }
    }

    #[inline]
    pub(super) fn emit_return(&self, hold: Hold) {
        if self.observers.listener.is_some() {
            let hold = HoldId::new(hold);
            let now = self.clock.now();
            let (connection, used) = {
                let state = self.state.lock();
                (state.number(hold), now.since(state.held_since(hold)))
            };
            self.emit(&Event::CheckedIn { connection, used });
        }
    }
}

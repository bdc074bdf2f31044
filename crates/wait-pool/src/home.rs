//! The runtime that the pool's tasks run in.
//!
//! Connections are opened where the last caller waited: who has one opened may do so from a runtime
//! that ends, or from none. The keeper stays in the runtime that it was begun in, and deadlines are
//! left to it by those who wait in the same; others set timers of their own.

use std::future::Future;

use tokio::runtime::{Handle, Id};

use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Home(Mutex<Place>);

#[derive(Debug, Default)]
struct Place {
    runtime: Option<Handle>,
    keeper: Option<Id>,
}

impl Home {
    /// Remembers the runtime that a caller waits in, and says whether the keeper lives there: true only
    /// for who has lined up already, so that it is the keeper that has been told.
    pub(crate) fn enter(&self, current: Handle) -> bool {
        let id = current.id();
        let mut place = self.0.lock();
        let kept = place.keeper == Some(id);
        let before = match &place.runtime {
            Some(runtime) if runtime.id() == id => Some(current),
            _ => place.runtime.replace(current),
        };
        drop(place);
        drop(before);
        kept
    }

    /// A task could not be carried on: callers have to find another place to wait in.
    pub(crate) fn leave(&self) {
        let left = self.0.lock().runtime.take();
        drop(left);
    }

    /// Runs a task where callers wait. Without a runtime it is dropped, and reports that.
    pub(crate) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.0.lock().runtime.clone();
        if let Some(runtime) = runtime.or_else(|| Handle::try_current().ok()) {
            drop(runtime.spawn(task));
        }
    }

    /// Runs a task for somebody who will be driven, where he is.
    pub(crate) fn run_here(&self, task: impl Future<Output = ()> + Send + 'static) {
        match Handle::try_current() {
            Ok(here) => drop(here.spawn(task)),
            Err(_) => self.run(task),
        }
    }

    /// Has other workers of the runtime take over what this one was about to run next. tokio keeps the
    /// task that was woken last to the worker that woke it, for as long as that is busy.
    pub(crate) fn share(&self) {
        self.run(async {});
    }

    /// The keeper has ended.
    pub(crate) fn keeper_left(&self) {
        self.0.lock().keeper = None;
    }

    pub(crate) fn run_keeper(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.0.lock().runtime.clone();
        if let Some(runtime) = runtime.or_else(|| Handle::try_current().ok()) {
            self.0.lock().keeper = Some(runtime.id());
            drop(runtime.spawn(task));
        }
    }
}

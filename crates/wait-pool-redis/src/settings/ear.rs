//! Who hears of what happens to connections.

use std::fmt;
use std::sync::Arc;

use wait_pool::event::{Event, Listener};

/// A listener that the pools of several servers share.
#[derive(Clone)]
pub(crate) struct Ear(Arc<dyn Listener>);

impl Ear {
    pub(crate) fn of(listener: impl Listener) -> Self {
        Self(Arc::new(listener))
    }
}

impl Listener for Ear {
    fn on_event(&self, pool: &str, event: &Event<'_>) {
        self.0.on_event(pool, event);
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a listener")
    }
}

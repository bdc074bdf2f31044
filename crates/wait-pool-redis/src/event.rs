//! What a pool learns of its cluster, told to whoever listens.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;

use crate::node::NodeAddr;
use crate::slot::Slot;

/// Hears of everything that a pool learns of its cluster. See
/// [`Builder::topology_listener`](crate::Builder::topology_listener).
///
/// Called by the task that learnt it, which may be that of a request: it may ask the pool for its
/// [`topology`](crate::cluster::Pool::topology), and had better be quick. A panic in it ends there and
/// changes nothing.
///
/// # Example
///
/// ```
/// use wait_pool_redis::cluster::{Pool, TopologyEvent, TopologyListener};
///
/// struct Log;
///
/// impl TopologyListener for Log {
///     fn on_event(&self, pool: &str, event: &TopologyEvent<'_>) {
///         if let TopologyEvent::Changed { added, removed, .. } = event {
///             eprintln!("{pool}: {added:?} came, {removed:?} left");
///         }
///     }
/// }
///
/// let pool = Pool::builder(["redis://10.0.0.1:7000"]).topology_listener(Log).build()?;
/// # Ok::<(), wait_pool_redis::BuildError>(())
/// ```
pub trait TopologyListener: Send + Sync + 'static {
    /// Something has been learnt by the pool of that name.
    fn on_event(&self, pool: &str, event: &TopologyEvent<'_>);
}

/// Something that a pool has learnt of its cluster, or could not learn.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TopologyEvent<'a> {
    /// The topology has been looked up, whether it has changed or not.
    Refreshed {
        /// The node whose word was taken; of several that agreed, one.
        told_by: &'a NodeAddr,
        /// How long it took, without the pause before it.
        took: Duration,
    },
    /// A look-up has brought something new.
    Changed {
        /// Nodes that are new, in whatever role.
        added: &'a [NodeAddr],
        /// Nodes that have left. Their connections are closed once nobody uses them.
        removed: &'a [NodeAddr],
        /// How many slots have another owner than before.
        slots: u16,
    },
    /// A look-up has brought nothing, and what was known stays.
    RefreshFailed {
        /// Why.
        error: &'a RedisError,
        /// How long it took, without the pause before it.
        took: Duration,
    },
    /// What a node told was not believed at once; others are asked too.
    Doubted {
        /// The node.
        told_by: &'a NodeAddr,
        /// Why.
        doubt: Doubt,
    },
    /// A redirect (`MOVED`) has told the owner of a slot. A look-up follows.
    Moved {
        /// The slot.
        slot: Slot,
        /// Its owner from now on.
        to: &'a NodeAddr,
    },
}

/// Why what a node told of its cluster was not believed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Doubt {
    /// It knows of fewer served slots than are known to be served.
    FewerSlots,
    /// More than half of the known nodes are none of its cluster.
    OtherNodes,
    /// Its cluster has not got as far as is known: an older `cluster_current_epoch`.
    OlderEpoch,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FewerSlots => "it knows of fewer served slots than are known to be served",
            Self::OtherNodes => "more than half of the known nodes are none of its cluster",
            Self::OlderEpoch => "its cluster has an older epoch than is known",
        })
    }
}

/// Who listens, if anybody.
#[derive(Clone, Default)]
pub(crate) struct Audience(Option<Arc<dyn TopologyListener>>);

impl Audience {
    pub(crate) fn of(listener: impl TopologyListener) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn tell(&self, pool: &str, event: &TopologyEvent<'_>) {
        if let Some(listener) = &self.0 {
            // What a listener does to itself is its own affair.
            let _ = catch_unwind(AssertUnwindSafe(|| listener.on_event(pool, event)));
        }
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "nobody"
        } else {
            "a listener"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;

    impl TopologyListener for Panics {
        fn on_event(&self, _pool: &str, _event: &TopologyEvent<'_>) {
            panic!("in a listener");
        }
    }

    #[test]
    fn a_panic_in_a_listener_ends_there() {
        let audience = Audience::of(Panics);
        let to = NodeAddr::new("a", 1);
        let slot = Slot::of(b"a");
        audience.tell("redis", &TopologyEvent::Moved { slot, to: &to });
        assert!(!audience.is_empty() && Audience::default().is_empty());
    }
}

//! The look at the topology from time to time, while there are requests.
//!
//! A task sleeps from one look to the next. It ends when no request has come since the last one, and the
//! next request begins it anew: a pool without traffic asks nobody and has no timer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Topologies;

#[derive(Debug, Default)]
pub(super) struct Check {
    /// Whether a request has come since the last look.
    traffic: AtomicBool,
    /// Whether there is a task.
    under_way: AtomicBool,
    /// The last one.
    task: Mutex<Option<AbortHandle>>,
}

impl Check {
    /// For every request: one load of what hardly ever changes.
    pub(super) fn note(&self, topologies: &Arc<Topologies>) {
        if !self.traffic.load(Ordering::Relaxed) {
            self.first_since_the_last_look(topologies);
        }
    }

    #[cold]
    fn first_since_the_last_look(&self, topologies: &Arc<Topologies>) {
        self.traffic.store(true, Ordering::SeqCst);
        let interval = topologies.nodes.settings().finding.check_interval;
        let (Some(interval), true) = (interval, topologies.source.may_change()) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !self.under_way.swap(true, Ordering::SeqCst) {
            let task = Task(Arc::downgrade(topologies));
            let task = runtime.spawn(check(task, interval));
            *self.task.lock() = Some(task.abort_handle());
        }
    }
}

/// Without a pool there is nothing to look at.
impl Drop for Check {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

/// However it ends, the next request may begin another.
struct Task(Weak<Topologies>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(topologies) = self.0.upgrade() {
            topologies.check.traffic.store(false, Ordering::SeqCst);
            topologies.check.under_way.store(false, Ordering::SeqCst);
        }
    }
}

async fn check(task: Task, interval: Duration) {
    loop {
        let jitter = (interval / 4).mul_f64(fastrand::f64());
        let pause = interval.saturating_add(jitter);
        tokio::time::sleep(pause).await;
        let Some(topologies) = task.0.upgrade() else {
            return;
        };
        if topologies.is_closed() || !topologies.check.traffic.swap(false, Ordering::SeqCst) {
            return;
        }
        topologies.request();
    }
}

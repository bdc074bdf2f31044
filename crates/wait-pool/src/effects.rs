//! What is done after a transition, without the lock: wake, drop, open, check, tell the group, warn.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use crate::check;
use crate::connect;
use crate::event::Event;
use crate::keeper;
use crate::manager::Manager;
use crate::shared::{Open, Shared};
use crate::slots::Retired;
use crate::transition::{Effects, Keep};

impl<M: Manager> Shared<M> {
    pub(crate) fn carry_out(self: &Arc<Self>, fx: Effects<Open<M>, M::Error>) {
        if fx.is_waking_only() {
            return wake_all(fx.wake);
        }
        // First of all, values whose drop reports what has not been done: a waker that panics then
        // costs nobody a place.
        let attempts = fx.open.into_iter();
        let attempts: Vec<_> = attempts.map(|one| connect::attempt(self, one)).collect();
        let checks = fx.check.into_iter();
        let checks: Vec<_> = checks.map(|one| check::check(self, one)).collect();
        let keeper = match fx.keep {
            Some(Keep::Begin) => Some(keeper::keep(self)),
            Some(Keep::Sooner) | None => None,
        };
        let closing = fx.close.into_iter().map(|retired| Closing {
            pool: self,
            retired: Some(retired),
        });
        let closing: Vec<_> = closing.collect();
        if fx.keep == Some(Keep::Sooner) {
            self.sooner.notify_one();
            self.home.share();
        }
        // Before a waker can panic: the group has to hear of it.
        let told = AssertUnwindSafe(|| self.tell_the_group(fx.needs, fx.offer));
        let told = catch_unwind(told);
        wake_all(fx.wake);
        drop(closing);
        drop(fx.forget);
        for attempt in attempts {
            self.home.run(attempt);
        }
        for check in checks {
            self.home.run(check);
        }
        if let Some(keeper) = keeper {
            self.home.run_keeper(keeper);
            self.home.share();
        }
        for (held, taken_at) in fx.leaks {
            let pool = &self.config.name;
            tracing::warn!(%pool, ?held, %taken_at, "a connection has been held for long");
            self.emit(&Event::LeakSuspected { taken_at, held });
        }
        if let Err(panic) = told {
            resume_unwind(panic);
        }
    }
}

/// Wakes all. A panic of one reaches the caller once the others have been woken.
fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut panicked = None;
    for waker in wakers {
        let woken = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        panicked = panicked.or_else(|| woken.err());
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
}

/// A connection that is dropped without the lock. Only then is its place free.
struct Closing<'a, M: Manager> {
    pool: &'a Arc<Shared<M>>,
    retired: Option<Retired<Open<M>>>,
}

impl<M: Manager> Drop for Closing<'_, M> {
    fn drop(&mut self) {
        /// Frees the place also if the connection's own drop panics.
        struct Free<'a, M: Manager>(&'a Arc<Shared<M>>);

        impl<M: Manager> Drop for Free<'_, M> {
            fn drop(&mut self) {
                self.0.transition(|state, now, fx| state.dropped(now, fx));
            }
        }

        let Some(retired) = self.retired.take() else {
            return;
        };
        let _free = Free(self.pool);
        drop(retired.connection);
        let (connection, reason) = (retired.number, retired.reason);
        tracing::debug!(pool = %self.pool.config.name, connection, %reason, "connection closed");
        self.pool
            .emit(&Event::ConnectionClosed { connection, reason });
    }
}

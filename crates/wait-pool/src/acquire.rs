//! Waiting for a connection. [`Acquire`] is the only hand-written future of the crate.
//!
//! What a drop does: before the first poll nothing, since the caller never was in line; while it
//! waits it leaves the line, and a connection it had been handed goes to the next. While a
//! `before_use` hook runs, the connection is closed. Connects and checks run in tasks of their own and
//! go on.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::error::AcquireError;
use crate::event::{CheckOutFailedReason, Event};
use crate::guard::Held;
use crate::line::{Ask, Failure, Kind, Outcome};
use crate::manager::Manager;
use crate::moment::Moment;
use crate::shared::{Open, Shared};
use crate::slots::{Grant, HoldId};
use crate::transition::{Entered, Waiting};

/// Resolves to a guard for a connection that has been handed to this caller. Cancel-safe: see the
/// module.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Acquire<'a, M: Manager, G> {
    pool: &'a Arc<Shared<M>>,
    ask: Ask,
    way: Way<'a, M>,
    guard: PhantomData<fn() -> G>,
}

enum Way<'a, M: Manager> {
    Outside,
    InLine(Waiting),
    /// In line, where the keeper does not see to the deadline.
    Timed(Waiting, Pin<Box<Sleep>>),
    /// Boxed, so that nobody else's future is larger for the hook.
    Prepared(Pin<Box<dyn Future<Output = Acquired<M, Held<M>>> + Send + 'a>>),
}

type Acquired<M, T> = Result<T, AcquireError<<M as Manager>::Error>>;
type Granted<M> = Acquired<M, Grant<Open<M>>>;

impl<'a, M: Manager, G: From<Held<M>>> Acquire<'a, M, G> {
    pub(crate) fn new(pool: &'a Arc<Shared<M>>, ask: Ask) -> Self {
        let mut acquire = Self::straight(pool, ask);
        if ask.kind == Kind::Exclusive && pool.observers.before_use.is_some() {
            acquire.way = Way::Prepared(Box::pin(prepared(pool, ask)));
        }
        acquire
    }

    fn straight(pool: &'a Arc<Shared<M>>, ask: Ask) -> Self {
        Self {
            pool,
            ask,
            way: Way::Outside,
            guard: PhantomData,
        }
    }

    /// What is free goes without asking the exact clock, or for a place in line.
    #[inline]
    fn at_once(&self) -> Option<Grant<Open<M>>> {
        self.pool.emit(&Event::CheckOutStarted);
        if self.pool.is_crowded() || self.ask.came != Moment::NEVER {
            return None;
        }
        self.pool.try_enter(self.ask.kind, self.ask.at)
    }

    /// Gets a place in line.
    fn line_up(&mut self, cx: &mut Context<'_>) -> Poll<Granted<M>> {
        let Ok(here) = Handle::try_current() else {
            return Poll::Ready(Err(match self.pool.refusal() {
                Some(refusal) => self.refused(refusal, Duration::ZERO),
                None => {
                    self.failed(CheckOutFailedReason::ConnectionError, Duration::ZERO);
                    AcquireError::NoRuntime
                }
            }));
        };
        let entered = match self.pool.line_up(&self.ask, cx.waker().clone()) {
            Ok(waiting) => Entered::Queued(waiting),
            Err(waker) => {
                self.pool.home.enter(here.clone());
                self.pool.enter(&self.ask, waker)
            }
        };
        Poll::Ready(match entered {
            Entered::Queued(waiting) => {
                // First of all, so that a runtime without timers, which panics, costs no place.
                self.way = Way::InLine(waiting);
                self.way = self.way_of(waiting, here);
                return match self.timer_is_up(cx) {
                    true => Poll::Ready(self.expire(waiting)),
                    false => Poll::Pending,
                };
            }
            Entered::Granted(grant) => {
                self.served(grant.hold, Duration::ZERO);
                Ok(grant)
            }
            Entered::Refused(failure) => Err(self.refused(failure, Duration::ZERO)),
            Entered::Full(status) => {
                self.failed(CheckOutFailedReason::Overload, Duration::ZERO);
                let pool = Arc::clone(&self.pool.config.name);
                Err(AcquireError::QueueFull {
                    pool,
                    status: *status,
                })
            }
            Entered::Late(report) => {
                self.pool.metrics.timed_out();
                self.failed(CheckOutFailedReason::Timeout, report.waited);
                Err(AcquireError::Timeout(report))
            }
            Entered::TooLate(expected, report) => {
                self.failed(CheckOutFailedReason::Timeout, Duration::ZERO);
                Err(AcquireError::TooLate { expected, report })
            }
        })
    }

    /// A timer is set only if the keeper would come too late, or from another runtime.
    fn way_of(&self, waiting: Waiting, here: Handle) -> Way<'a, M> {
        let latest = waiting.since.plus_limit(self.pool.config.wait_timeout);
        let is_kept = self.pool.home.enter(here) && waiting.deadline == latest;
        match self.pool.clock.instant(waiting.deadline) {
            Some(deadline) if !is_kept => {
                let timer = tokio::time::sleep_until(deadline.into());
                Way::Timed(waiting, Box::pin(timer))
            }
            _ => Way::InLine(waiting),
        }
    }

    /// Looks what has become of the place in line.
    fn wait(&mut self, waiting: Waiting, cx: &mut Context<'_>) -> Poll<Granted<M>> {
        if let Some(outcome) = self.pool.poll(waiting.id, cx.waker()) {
            return Poll::Ready(self.taken(waiting, outcome));
        }
        match self.timer_is_up(cx) || self.pool.clock.now() >= waiting.deadline {
            true => Poll::Ready(self.expire(waiting)),
            false => Poll::Pending,
        }
    }

    /// Has the timer wake this task, if there is one and it is not up.
    fn timer_is_up(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.way {
            Way::Timed(_, timer) => timer.as_mut().poll(cx).is_ready(),
            _ => false,
        }
    }

    fn expire(&mut self, waiting: Waiting) -> Granted<M> {
        let outcome = self.pool.expire(waiting.id);
        self.taken(waiting, outcome)
    }

    /// What a caller that waited makes of what it was given.
    fn taken(&mut self, waiting: Waiting, outcome: Outcome<Open<M>, M::Error>) -> Granted<M> {
        self.way = Way::Outside;
        let waited = self.pool.roughly_now().since(waiting.since);
        match outcome {
            Outcome::Granted(grant, _) => {
                let slow = self.pool.config.slow_acquire_after;
                if slow.is_some_and(|slow| waited >= slow) {
                    let (pool, at) = (&self.pool.config.name, self.ask.at);
                    tracing::warn!(%pool, ?waited, %at, "a caller waited for long");
                }
                self.served(grant.hold, waited);
                Ok(grant)
            }
            Outcome::Failed(failure) => Err(self.refused(failure, waited)),
            Outcome::Late(report) => {
                self.pool.metrics.timed_out();
                self.failed(CheckOutFailedReason::Timeout, waited);
                Err(AcquireError::Timeout(report))
            }
            Outcome::Shed(report) => {
                self.pool.metrics.shed();
                self.failed(CheckOutFailedReason::Overload, waited);
                Err(AcquireError::Overloaded(report))
            }
            Outcome::Waiting(_) | Outcome::Absent => unreachable!("who waits is not settled"),
        }
    }
}

impl<M: Manager, G> Acquire<'_, M, G> {
    #[inline]
    fn served(&self, hold: HoldId, waited: Duration) {
        self.pool.metrics.waited(waited);
        let event = |connection| Event::CheckedOut { connection, waited };
        self.pool.emit_of(hold, event);
    }

    fn refused(&self, failure: Failure<M::Error>, waited: Duration) -> AcquireError<M::Error> {
        let reason = match failure {
            Failure::Closed => CheckOutFailedReason::PoolClosed,
            Failure::Paused(_) => CheckOutFailedReason::PoolPaused,
            Failure::Connect(_) => CheckOutFailedReason::ConnectionError,
        };
        self.failed(reason, waited);
        AcquireError::from_failure(failure, &self.pool.config.name)
    }

    fn failed(&self, reason: CheckOutFailedReason, waited: Duration) {
        self.pool.emit(&Event::CheckOutFailed { reason, waited });
    }
}

/// Waits for a connection that the hook has nothing against. Who is refused one keeps his place
/// in line. Bounded: after as many refusals as there may be connections he is told.
async fn prepared<M: Manager>(
    pool: &Arc<Shared<M>>,
    mut ask: Ask,
) -> Result<Held<M>, AcquireError<M::Error>> {
    let came = pool.clock.now();
    let mut refused = 0;
    loop {
        let mut held: Held<M> = Acquire::straight(pool, ask).await?;
        let error = match held.prepare().await {
            Ok(()) => return Ok(held),
            Err(error) => error,
        };
        drop(held);
        refused += 1;
        if refused > pool.config.max_size {
            pool.emit(&Event::CheckOutFailed {
                reason: CheckOutFailedReason::ConnectionError,
                waited: pool.clock.now().since(came),
            });
            return Err(AcquireError::Connect(Arc::new(error)));
        }
        ask.came = came;
    }
}

impl<M: Manager, G: From<Held<M>>> Future for Acquire<'_, M, G> {
    type Output = Acquired<M, G>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Way::Prepared(prepared) = &mut self.way {
            return prepared.as_mut().poll(cx).map_ok(G::from);
        }
        // A caller in a hot loop lets others run from time to time.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let granted = match self.way {
            Way::InLine(waiting) | Way::Timed(waiting, _) => self.wait(waiting, cx),
            Way::Outside | Way::Prepared(_) => match self.at_once() {
                Some(grant) => {
                    budget.made_progress();
                    self.served(grant.hold, Duration::ZERO);
                    return Poll::Ready(Ok(Held::new(self.pool, grant).into()));
                }
                None => self.line_up(cx),
            },
        };
        let granted = ready!(granted);
        budget.made_progress();
        Poll::Ready(granted.map(|grant| Held::new(self.pool, grant).into()))
    }
}

impl<M: Manager, G> Drop for Acquire<'_, M, G> {
    fn drop(&mut self) {
        if let Way::InLine(waiting) | Way::Timed(waiting, _) = self.way {
            self.pool.leave(waiting.id);
            if self.pool.observers.listener.is_some() {
                let waited = self.pool.clock.now().since(waiting.since);
                self.failed(CheckOutFailedReason::Cancelled, waited);
            }
        }
    }
}

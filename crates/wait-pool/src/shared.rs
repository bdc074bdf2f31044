//! What all handles, guards and tasks of a pool share. The only file that takes the lock.
//!
//! Every entry goes the same way: lock, one transition of the [state](crate::state), unlock, then
//! carry out its effects: wake, drop, open, check. Nothing of the user's runs under the lock, not
//! even the clone or drop of a waker: those come in as values and go out as values.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::check;
use crate::config::Config;
use crate::connect;
use crate::error::ConnectError;
use crate::keeper;
use crate::line::{Failure, Kind, Outcome, WaiterId};
use crate::manager::Manager;
use crate::metrics::{Levels, Metrics};
use crate::slots::{Doubtful, HoldId};
use crate::state::State;
use crate::status::{Holding, Status};
use crate::transition::{Effects, Entered, Tried};

type Core<M> = State<<M as Manager>::Connection, <M as Manager>::Error>;
type Todo<M> = Effects<<M as Manager>::Connection, <M as Manager>::Error>;

pub(crate) struct Shared<M: Manager> {
    /// By itself, so that an attempt to connect does not keep the pool alive.
    pub(crate) manager: Arc<M>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    state: Mutex<Core<M>>,
    /// Where the last caller to wait did so. Connections are opened there, since whoever has one
    /// opened may do so from a runtime that ends, or from none.
    home: Mutex<Option<Handle>>,
}

impl<M: Manager> Shared<M> {
    pub(crate) fn new(manager: M, config: Config) -> Self {
        let state = State::new(&config, fastrand::u64(..));
        let metrics = Metrics::new(&config);
        metrics.moved(Levels::default(), state.levels());
        Self {
            metrics,
            manager: Arc::new(manager),
            config,
            state: Mutex::new(state),
            home: Mutex::new(None),
        }
    }

    /// Remembers the runtime that a caller waits in. `false` outside of any.
    pub(crate) fn enter_runtime(&self) -> bool {
        let Ok(current) = Handle::try_current() else {
            return false;
        };
        let before = self.home.lock().replace(current);
        drop(before);
        true
    }

    pub(crate) fn try_enter(
        self: &Arc<Self>,
        kind: Kind,
        at: &'static Location<'static>,
    ) -> Tried<M::Connection> {
        let (tried, lacks_spare) = self.locked(|state, now| {
            let tried = state.try_enter(kind, at, now);
            (tried, state.lacks_spare())
        });
        if lacks_spare {
            self.transition(|state, now, fx| state.make_room(now, fx));
        }
        tried
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        kind: Kind,
        at: &'static Location<'static>,
        waker: Waker,
        deadline: Option<Instant>,
    ) -> Entered<M::Connection> {
        let mut waker = Some(waker);
        self.transition(|state, now, fx| state.enter(kind, at, &mut waker, deadline, now, fx))
    }

    pub(crate) fn poll(
        self: &Arc<Self>,
        id: WaiterId,
        mut waker: Waker,
    ) -> Option<Outcome<M::Connection, M::Error>> {
        self.transition(|state, now, fx| state.poll(id, &mut waker, now, fx))
    }

    pub(crate) fn leave(self: &Arc<Self>, id: WaiterId) {
        let left = self.transition(|state, now, fx| state.leave(id, now, fx));
        drop(left);
    }

    pub(crate) fn expire(self: &Arc<Self>, id: WaiterId) -> Outcome<M::Connection, M::Error> {
        let (outcome, left) = self.transition(|state, now, fx| state.expire(id, now, fx));
        drop(left);
        outcome
    }

    pub(crate) fn give_back(
        self: &Arc<Self>,
        hold: HoldId,
        connection: Arc<M::Connection>,
        broken: bool,
    ) {
        let used =
            self.transition(|state, now, fx| state.give_back(hold, connection, broken, now, fx));
        self.metrics.used(used);
    }

    pub(crate) fn end_lease(self: &Arc<Self>, hold: HoldId, broken: bool) {
        let used = self.transition(|state, now, fx| state.end_lease(hold, broken, now, fx));
        self.metrics.used(used);
    }

    pub(crate) fn detach(self: &Arc<Self>, hold: HoldId) {
        self.transition(|state, now, fx| state.detach(hold, now, fx));
    }

    pub(crate) fn connected(self: &Arc<Self>, connection: M::Connection, generation: u64) {
        self.transition(|state, now, fx| state.connected(connection, generation, now, fx));
    }

    pub(crate) fn connect_failed(self: &Arc<Self>, error: ConnectError<M::Error>) {
        self.transition(|state, now, fx| state.connect_failed(error, now, fx));
    }

    pub(crate) fn attempt_lost(self: &Arc<Self>) {
        self.leave_home();
        self.transition(|state, _, fx| state.attempt_lost(fx));
    }

    pub(crate) fn begin_look(&self, before: Instant) -> Option<Doubtful<M::Connection>> {
        self.locked(|state, _| state.begin_look(before))
    }

    pub(crate) fn drained(&self, waker: Waker) -> bool {
        let mut waker = Some(waker);
        self.state.lock().drained(&mut waker)
    }

    pub(crate) fn holdings(&self) -> Vec<Holding> {
        self.state.lock().holdings(now())
    }

    pub(crate) fn checked(
        self: &Arc<Self>,
        doubtful: Doubtful<M::Connection>,
        good: bool,
        since: Option<Instant>,
    ) {
        self.transition(|state, now, fx| state.checked(doubtful, good, since, now, fx));
    }

    pub(crate) fn look_at_idle(self: &Arc<Self>) {
        self.transition(|state, now, fx| state.look_at_idle(now, fx));
    }

    pub(crate) fn clear(self: &Arc<Self>) {
        self.transition(|state, now, fx| state.clear(now, fx));
    }

    pub(crate) fn resize(self: &Arc<Self>, max_size: usize) {
        self.transition(|state, now, fx| state.resize(max_size, now, fx));
    }

    pub(crate) fn sweep(self: &Arc<Self>, at: Instant) -> Option<Instant> {
        self.transition(|state, now, fx| state.sweep(at, now, fx))
    }

    pub(crate) fn keeper_lost(&self, at: Instant) {
        self.leave_home();
        self.state.lock().keeper_lost(at);
    }

    pub(crate) fn warm_up(
        self: &Arc<Self>,
        asked: bool,
        waker: Waker,
    ) -> Option<Result<(), Failure<M::Error>>> {
        let mut waker = Some(waker);
        self.transition(|state, now, fx| state.warm_up(asked, &mut waker, now, fx))
    }

    pub(crate) fn doubt_idle(&self) {
        self.state.lock().doubt_idle(now());
    }

    pub(crate) fn close(self: &Arc<Self>) {
        self.transition(|state, _, fx| state.close(fx));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed()
    }

    pub(crate) fn status(&self) -> Status {
        self.state.lock().status()
    }

    /// A task could not be carried on: callers have to find another place to wait in.
    fn leave_home(&self) {
        let home = self.home.lock().take();
        drop(home);
    }

    fn transition<R>(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Core<M>, Instant, &mut Todo<M>) -> R,
    ) -> R {
        let mut fx = Effects::none();
        let result = self.locked(|state, now| step(state, now, &mut fx));
        if !fx.is_none() {
            self.carry_out(fx);
        }
        result
    }

    /// Takes the lock, and shows afterwards what has changed.
    fn locked<R>(&self, step: impl FnOnce(&mut Core<M>, Instant) -> R) -> R {
        let mut state = self.state.lock();
        let before = state.levels();
        let result = step(&mut state, now());
        let after = state.levels();
        drop(state);
        self.metrics.moved(before, after);
        result
    }

    fn carry_out(self: &Arc<Self>, fx: Todo<M>) {
        // First of all, values whose drop reports what has not been done: a waker that panics then
        // costs nobody a place.
        let attempts = fx
            .open
            .into_iter()
            .map(|delay| connect::attempt(self, delay));
        let attempts: Vec<_> = attempts.collect();
        let checks = fx
            .check
            .into_iter()
            .map(|doubtful| check::check(self, doubtful));
        let checks: Vec<_> = checks.collect();
        let keeper = fx.keep.map(|at| keeper::keep(self, at));
        let closing = fx.close.into_iter().map(|connection| Closing {
            pool: self,
            connection: Some(connection),
        });
        let closing: Vec<_> = closing.collect();
        for waker in fx.wake {
            waker.wake();
        }
        drop(closing);
        drop(fx.forget);
        for attempt in attempts {
            self.run(attempt);
        }
        for check in checks {
            self.run(check);
        }
        if let Some(keeper) = keeper {
            self.run(keeper);
        }
    }

    /// Runs a task where callers wait. Without a runtime it is dropped, and reports that.
    fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let home = self.home.lock().clone();
        if let Some(runtime) = home.or_else(|| Handle::try_current().ok()) {
            drop(runtime.spawn(task));
        }
    }
}

impl<M: Manager> Drop for Shared<M> {
    fn drop(&mut self) {
        let levels = self.state.get_mut().levels();
        self.metrics.moved(levels, Levels::default());
    }
}

/// A connection that is dropped without the lock. Only then is its place free.
struct Closing<'a, M: Manager> {
    pool: &'a Arc<Shared<M>>,
    connection: Option<Arc<M::Connection>>,
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

        let _free = Free(self.pool);
        drop(self.connection.take());
    }
}

/// Tokio's clock, so that tests can stop it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

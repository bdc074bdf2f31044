//! What all handles, guards and tasks of a pool share. The only file that takes the lock.
//!
//! Every entry goes the same way: lock, one transition of the [state](crate::state), unlock, then
//! carry out its effects: wake, drop, open. Nothing of the user's runs under the lock.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::connect;
use crate::error::{ConnectError, Phase, Timeout};
use crate::line::{Kind, Progress, WaiterId};
use crate::manager::Manager;
use crate::slots::{Grant, HoldId};
use crate::state::State;
use crate::status::Status;
use crate::transition::{Effects, Entered, Entry, Expired};

type Core<M> = State<<M as Manager>::Connection, <M as Manager>::Error>;
type Todo<M> = Effects<<M as Manager>::Connection>;

pub(crate) struct Shared<M: Manager> {
    pub(crate) manager: M,
    pub(crate) config: Config,
    state: Mutex<Core<M>>,
    /// Where the last caller to wait did so: connections are opened there when the one who gives
    /// way to it is outside of a runtime.
    runtime: Mutex<Option<Handle>>,
}

impl<M: Manager> Shared<M> {
    pub(crate) fn new(manager: M, config: Config) -> Self {
        let state = State::new(&config, fastrand::u64(..));
        Self {
            manager,
            config,
            state: Mutex::new(state),
            runtime: Mutex::new(None),
        }
    }

    /// Remembers the runtime that a caller waits in. `false` outside of any.
    pub(crate) fn enter_runtime(&self) -> bool {
        let current = Handle::try_current().ok();
        let found = current.is_some();
        if found {
            *self.runtime.lock() = current;
        }
        found
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        kind: Kind,
        entry: Entry,
        at: &'static Location<'static>,
        waker: &Waker,
    ) -> Entered<M::Connection> {
        self.transition(|state, now, fx| state.enter(kind, entry, at, waker, now, fx))
    }

    pub(crate) fn try_enter(
        &self,
        kind: Kind,
        at: &'static Location<'static>,
    ) -> Option<Grant<M::Connection>> {
        self.state.lock().try_enter(kind, at, now())
    }

    pub(crate) fn poll(&self, id: WaiterId, waker: &Waker) -> Progress<M::Connection, M::Error> {
        self.state.lock().poll(id, waker)
    }

    pub(crate) fn leave(self: &Arc<Self>, id: WaiterId) {
        self.transition(|state, now, fx| state.leave(id, now, fx));
    }

    pub(crate) fn expire(
        self: &Arc<Self>,
        id: WaiterId,
        waited: Duration,
    ) -> Result<Grant<M::Connection>, Expired<M::Error>> {
        let pool = &self.config.name;
        self.transition(|state, now, fx| state.expire(id, pool, waited, now, fx))
    }

    pub(crate) fn give_back(
        self: &Arc<Self>,
        hold: HoldId,
        connection: Arc<M::Connection>,
        broken: bool,
    ) {
        self.transition(|state, now, fx| state.give_back(hold, connection, broken, now, fx));
    }

    pub(crate) fn leave_shared(self: &Arc<Self>, hold: HoldId, broken: bool) {
        self.transition(|state, now, fx| state.leave_shared(hold, broken, now, fx));
    }

    pub(crate) fn share(self: &Arc<Self>, hold: HoldId, connection: Arc<M::Connection>) {
        self.transition(|state, now, fx| state.share(hold, connection, now, fx));
    }

    pub(crate) fn detach(self: &Arc<Self>, hold: HoldId) {
        self.transition(|state, now, fx| state.detach(hold, now, fx));
    }

    pub(crate) fn connected(self: &Arc<Self>, connection: M::Connection) {
        self.transition(|state, now, fx| state.connected(connection, now, fx));
    }

    pub(crate) fn connect_failed(self: &Arc<Self>, error: ConnectError<M::Error>) {
        self.transition(|state, now, fx| state.connect_failed(error, now, fx));
    }

    pub(crate) fn attempt_lost(self: &Arc<Self>) {
        self.transition(|state, now, fx| state.attempt_lost(now, fx));
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

    /// The report for a caller whose time was up while it checked a connection.
    pub(crate) fn checking_timeout(&self, waited: Duration) -> Box<Timeout<M::Error>> {
        let state = self.state.lock();
        Box::new(state.timeout(Phase::Checking, &self.config.name, waited, 0, now()))
    }

    fn transition<R>(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Core<M>, Instant, &mut Todo<M>) -> R,
    ) -> R {
        let mut fx = Effects::default();
        let result = step(&mut self.state.lock(), now(), &mut fx);
        self.carry_out(fx);
        result
    }

    fn carry_out(self: &Arc<Self>, fx: Todo<M>) {
        for waker in fx.wake {
            waker.wake();
        }
        for retired in fx.close {
            drop(retired);
            // Only now is its place free: the bound counts it until it is gone.
            self.transition(|state, now, fx| state.dropped(now, fx));
        }
        for delay in fx.open {
            let attempt = connect::attempt(self, delay);
            let runtime = Handle::try_current().ok();
            match runtime.or_else(|| self.runtime.lock().clone()) {
                Some(runtime) => drop(runtime.spawn(attempt)),
                // An attempt that is dropped tells the pool so.
                None => drop(attempt),
            }
        }
    }
}

/// Tokio's clock, so that tests can stop it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

//! What all handles, guards and tasks of a pool share. The only file that takes the lock.
//!
//! Every entry goes the same way: lock, one transition of the [state](crate::state), unlock, then
//! carry out its [effects](crate::effects): wake, drop, open, check. Nothing of the user's runs under the
//! lock, not even the clone or drop of a waker: those come in as values and go out as values.

mod grouped;
mod told;

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::Instant;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::ConnectError;
use crate::event::{CloseReason, Event};
use crate::group::{Membership, Place, Placed};
use crate::home::Home;
use crate::hook::Observers;
use crate::line::{Ask, Failure, Kind, Outcome, WaiterId};
use crate::manager::Manager;
use crate::metrics::{Levels, Metrics};
use crate::moment::Moment;
use crate::slots::{Doubtful, Grant, Hold};
use crate::state::{Returned, State};
use crate::status::{Holding, Status};
use crate::sync::{AtomicBool, Mutex};
use crate::transition::{Effects, Entered, Opens, Peeked, Waiting};

/// An open connection, with its place in the group if there is one.
pub(crate) type Open<M> = Placed<<M as Manager>::Connection>;

type Core<M> = State<Open<M>, <M as Manager>::Error>;
type Todo<M> = Effects<Open<M>, <M as Manager>::Error>;

pub(crate) struct Shared<M: Manager> {
    /// By itself, so that an attempt to connect does not keep the pool alive.
    pub(crate) manager: Arc<M>,
    pub(crate) config: Config,
    pub(crate) observers: Observers<M>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) home: Home,
    /// Tells the keeper to come sooner.
    pub(crate) sooner: Arc<Notify>,
    /// Whether times are to be exact where a few milliseconds do not matter to the pool itself.
    exact: bool,
    /// Whether somebody waited a moment ago: a newcomer need not try before he lines up.
    crowded: AtomicBool,
    group: Option<Membership>,
    state: Mutex<Core<M>>,
}

impl<M: Manager> Shared<M> {
    pub(crate) fn new(
        manager: M,
        config: Config,
        observers: Observers<M>,
        group: Option<Membership>,
    ) -> Self {
        let state = State::new(&config, fastrand::u64(..));
        let metrics = Metrics::new(&config);
        metrics.moved(Levels::default(), state.levels());
        let shared = Self {
            exact: metrics.recorded || observers.listener.is_some() || config.counts_in_moments(),
            metrics,
            manager: Arc::new(manager),
            config,
            observers,
            clock: Clock::new(),
            home: Home::default(),
            sooner: Arc::default(),
            crowded: AtomicBool::new(false),
            group,
            state: Mutex::new(state),
        };
        shared.emit(&Event::PoolCreated);
        shared
    }

    // Always: what it returns would otherwise go through memory word by word, which costs more than
    // the lock.
    #[inline(always)]
    pub(crate) fn try_enter(
        self: &Arc<Self>,
        kind: Kind,
        at: &'static Location<'static>,
    ) -> Option<Grant<Open<M>>> {
        let now = self.roughly_now();
        let mut wants_upkeep = false;
        let tried = self.locked(|state| {
            let tried = state.try_enter(kind, at, now);
            wants_upkeep = state.wants_upkeep(now);
            tried
        });
        if wants_upkeep {
            self.transition(Core::<M>::make_room);
        }
        tried
    }

    /// Why nobody gets in, if so.
    pub(crate) fn refusal(&self) -> Option<Failure<M::Error>> {
        self.state.lock().refusal()
    }

    /// Whether to line up without trying first. Only a hint.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Relaxed)
    }

    /// A place in line, where that is all there is to do for a caller.
    pub(crate) fn line_up(&self, ask: &Ask, waker: Waker) -> Result<Waiting, Waker> {
        let now = self.clock.now();
        let mut waker = Some(waker);
        let waiting = self.locked(|state| state.line_up(ask, &mut waker, now));
        waiting.ok_or_else(|| waker.expect("it is taken with a place alone"))
    }

    pub(crate) fn enter(self: &Arc<Self>, ask: &Ask, waker: Waker) -> Entered<Open<M>, M::Error> {
        let mut waker = Some(waker);
        self.transition(|state, now, fx| state.enter(ask, &mut waker, now, fx))
    }

    pub(crate) fn poll(
        self: &Arc<Self>,
        id: WaiterId,
        waker: &Waker,
    ) -> Option<Outcome<Open<M>, M::Error>> {
        match self.locked(|state| state.peek(id, waker)) {
            Peeked::Settled(outcome) => Some(outcome),
            Peeked::Waiting => None,
            Peeked::WantsWaker => {
                let mut waker = Some(waker.clone());
                self.transition(|state, now, fx| state.poll(id, &mut waker, now, fx))
            }
        }
    }

    pub(crate) fn leave(self: &Arc<Self>, id: WaiterId) {
        let left = self.transition(|state, now, fx| state.leave(id, now, fx));
        drop(left);
    }

    pub(crate) fn expire(self: &Arc<Self>, id: WaiterId) -> Outcome<Open<M>, M::Error> {
        let (outcome, left) = self.transition(|state, now, fx| state.expire(id, now, fx));
        drop(left);
        outcome
    }

    pub(crate) fn give_back(
        self: &Arc<Self>,
        slot: u32,
        connection: Arc<Open<M>>,
        reason: Option<CloseReason>,
    ) {
        self.emit_return(Hold::Alone(slot));
        if reason.is_some() {
            return self.give_back_otherwise(slot, connection, reason);
        }
        let now = self.roughly_now();
        match self.locked(|state| state.put_back(slot, connection, now)) {
            Returned::Idle(since) => self.metrics.used(since, now),
            Returned::HandedOver(since, waker) => {
                self.metrics.used(since, now);
                waker.wake();
            }
            Returned::Uncommon(connection) => self.give_back_otherwise(slot, connection, None),
        }
    }

    #[cold]
    fn give_back_otherwise(
        self: &Arc<Self>,
        slot: u32,
        connection: Arc<Open<M>>,
        reason: Option<CloseReason>,
    ) {
        let (since, now) = self
            .transition(|state, now, fx| (state.give_back(slot, connection, reason, now, fx), now));
        self.metrics.used(since, now);
    }

    pub(crate) fn end_lease(self: &Arc<Self>, part: u32, reason: Option<CloseReason>) {
        self.emit_return(Hold::Part(part));
        if reason.is_none() {
            let now = self.roughly_now();
            if let Some(since) = self.locked(|state| state.end_lease_quietly(part, now)) {
                return self.metrics.used(since, now);
            }
        }
        let (since, now) =
            self.transition(|state, now, fx| (state.end_lease(part, reason, now, fx), now));
        self.metrics.used(since, now);
    }

    pub(crate) fn detach(self: &Arc<Self>, slot: u32) {
        let connection = self.transition(|state, now, fx| state.detach(slot, now, fx));
        self.emit(&Event::ConnectionClosed {
            connection,
            reason: CloseReason::Detached,
        });
    }

    pub(crate) fn connected(
        self: &Arc<Self>,
        connection: M::Connection,
        place: Option<Place>,
        opens: Opens,
    ) {
        self.clock.mind();
        let connection = Arc::new(Placed::new(connection, place));
        self.transition(|state, now, fx| state.connected(connection, opens, now, fx));
    }

    pub(crate) fn connect_failed(self: &Arc<Self>, error: Arc<ConnectError<M::Error>>) {
        self.transition(|state, now, fx| state.connect_failed(error, now, fx));
    }

    pub(crate) fn attempt_lost(self: &Arc<Self>, held_up: bool) {
        self.home.leave();
        self.transition(|state, _, fx| state.attempt_lost(held_up, fx));
    }

    pub(crate) fn begin_look(&self, before: Moment) -> Option<Doubtful<Open<M>>> {
        self.locked(|state| state.begin_look(before))
    }

    pub(crate) fn drained(&self, waker: Waker) -> bool {
        let mut waker = Some(waker);
        self.state.lock().drained(&mut waker)
    }

    pub(crate) fn holdings(&self) -> Vec<Holding> {
        let now = self.clock.now();
        self.state.lock().holdings(now)
    }

    pub(crate) fn checked(
        self: &Arc<Self>,
        doubtful: Doubtful<Open<M>>,
        reason: Option<CloseReason>,
        since: Option<Moment>,
    ) {
        self.transition(|state, now, fx| state.checked(doubtful, reason, since, now, fx));
    }

    pub(crate) fn look_at_idle(self: &Arc<Self>) {
        self.transition(Core::<M>::look_at_idle);
    }

    pub(crate) fn clear(self: &Arc<Self>) {
        if !self.is_closed() {
            self.emit(&Event::PoolCleared);
        }
        self.transition(Core::<M>::clear);
    }

    pub(crate) fn pause(self: &Arc<Self>) {
        if self.transition(|state, _, fx| state.pause(fx)) {
            self.emit(&Event::PoolPaused);
        }
    }

    pub(crate) fn ready(self: &Arc<Self>) {
        if self.transition(Core::<M>::ready) {
            self.emit(&Event::PoolReady);
        }
    }

    pub(crate) fn resize(self: &Arc<Self>, max_size: usize) {
        self.transition(|state, now, fx| state.resize(max_size, now, fx));
    }

    pub(crate) fn sweep(self: &Arc<Self>) -> Option<Instant> {
        self.clock.mind();
        let next = self.transition(Core::<M>::sweep);
        next.and_then(|at| self.clock.instant(at))
    }

    /// When the keeper is to come.
    pub(crate) fn keeper_due(&self) -> Option<Instant> {
        let due = self.state.lock().keeper();
        due.and_then(|at| self.clock.instant(at))
    }

    pub(crate) fn keeper_lost(self: &Arc<Self>) {
        self.home.leave();
        self.home.keeper_left();
        self.transition(|state, _, fx| state.keeper_lost(fx));
    }

    pub(crate) fn warm_up(
        self: &Arc<Self>,
        failures: &mut Option<u64>,
        waker: Waker,
    ) -> Option<Result<(), Failure<M::Error>>> {
        let mut waker = Some(waker);
        self.transition(|state, now, fx| state.warm_up(failures, &mut waker, now, fx))
    }

    pub(crate) fn doubt_idle(&self) {
        self.state.lock().doubt_idle();
    }

    pub(crate) fn close(self: &Arc<Self>) {
        if self.transition(|state, _, fx| state.close(fx)) {
            self.emit(&Event::PoolClosed);
        }
    }

    /// Whether anybody is served.
    pub(crate) fn is_open(&self) -> bool {
        self.refusal().is_none()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed()
    }

    pub(crate) fn status(&self) -> Status {
        self.state.lock().status()
    }

    /// One transition that reads the exact clock and may leave something to do.
    pub(crate) fn transition<R>(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Core<M>, Moment, &mut Todo<M>) -> R,
    ) -> R {
        let mut fx = Effects::none();
        let now = self.clock.now();
        let grouped = self.group.is_some();
        let result = self.locked(|state| {
            let result = step(state, now, &mut fx);
            if grouped {
                fx.needs = state.needs();
            }
            result
        });
        self.carry_out(fx);
        result
    }

    /// Takes the lock, and shows afterwards what has changed.
    #[inline]
    fn locked<R>(&self, step: impl FnOnce(&mut Core<M>) -> R) -> R {
        let mut state = self.state.lock();
        let before = self.metrics.recorded.then(|| state.levels());
        let result = step(&mut state);
        self.crowded.store(state.is_crowded(), Relaxed);
        if let Some(before) = before {
            let after = state.levels();
            drop(state);
            self.metrics.moved(before, after);
        }
        result
    }

    /// Now, as exactly as anybody needs it who is not up against a deadline.
    pub(crate) fn roughly_now(&self) -> Moment {
        match self.exact {
            true => self.clock.now(),
            false => self.clock.roughly_now(),
        }
    }
}

impl<M: Manager> Drop for Shared<M> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let levels = state.levels();
        let mut fx = Effects::none();
        let was_open = state.close(&mut fx);
        self.metrics.moved(levels, Levels::default());
        for retired in fx.close {
            drop(retired.connection);
            self.emit(&Event::ConnectionClosed {
                connection: retired.number,
                reason: retired.reason,
            });
        }
        if was_open {
            self.emit(&Event::PoolClosed);
        }
        // There is nothing left for it to keep.
        self.sooner.notify_one();
    }
}

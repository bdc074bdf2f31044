//! Drives the state machine and the world of the reference through one script, by the calls that the
//! pool's shell makes, and has them compared after each.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::script::Step;
use super::world::{Name, Standing, World};
use crate::config::Config;
use crate::error::ConnectError;
use crate::event::CloseReason;
use crate::line::{Outcome, WaiterId};
use crate::moment::Moment;
use crate::slots::{Doubtful, Grant, Hold, Retired};
use crate::state::State;
use crate::transition::{Effects, Opens};

pub(super) type Todo = Effects<Name, &'static str>;

pub(super) struct Driver {
    pub(super) state: State<Name, &'static str>,
    pub(super) world: World,
    /// Whether the keeper comes when it is due, or only now and then.
    punctual: bool,
    /// Callers that have not learnt yet what has become of them.
    pub(super) waiting: Vec<Waiter>,
    /// What those have become that have learnt it in this step.
    pub(super) told: Vec<(Name, Standing)>,
    pub(super) held: Vec<Grant<Name>>,
    pub(super) opens: Vec<Opens>,
    hung: Vec<Opens>,
    pub(super) closes: Vec<Retired<Name>>,
    pub(super) checks: Vec<Doubtful<Name>>,
    pub(super) ring: Sender<Name>,
    pub(super) rung: Receiver<Name>,
    pub(super) named: Name,
    /// Whether somebody has lined up in this step.
    pub(super) lined_up: bool,
    /// Whether the keeper has come in it.
    pub(super) swept: bool,
}

pub(super) struct Waiter {
    pub(super) name: Name,
    pub(super) id: WaiterId,
    pub(super) waker: Waker,
    pub(super) deadline: Moment,
}

pub(super) struct Bell(pub(super) Name, pub(super) Sender<Name>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.1.send(self.0).expect("somebody listens");
    }
}

impl Driver {
    pub(super) fn new(config: &Config, punctual: bool) -> Self {
        let (ring, rung) = mpsc::channel();
        Self {
            state: State::new(config, 7),
            world: World::new(config),
            punctual,
            waiting: Vec::new(),
            told: Vec::new(),
            held: Vec::new(),
            opens: Vec::new(),
            hung: Vec::new(),
            closes: Vec::new(),
            checks: Vec::new(),
            ring,
            rung,
            named: 0,
            lined_up: false,
            swept: false,
        }
    }

    pub(super) fn take_step(&mut self, step: Step) {
        let now = self.world.now;
        match step {
            Step::Ask(kind, priority, own) => self.ask(kind, priority, own),
            Step::Again(kind, ago) => self.ask_again(kind, ago),
            Step::Try(kind) => self.act(|it, fx| it.try_enter(kind, fx)),
            Step::Poll(one, other) => {
                if let Some(at) = pick(one, &self.waiting) {
                    if other {
                        self.waiting[at].waker = self.waker(self.waiting[at].name);
                    }
                    self.poll(at);
                }
            }
            Step::Expire(one) => {
                let late = self.waiting.iter().enumerate();
                let late = late.filter(|(_, waiter)| waiter.deadline <= now);
                let late: Vec<usize> = late.map(|(at, _)| at).collect();
                if let Some(at) = pick(one, &late) {
                    self.poll(late[at]);
                }
            }
            Step::Cancel(one) => {
                if let Some(at) = pick(one, &self.waiting) {
                    self.act(|it, fx| it.cancel(at, fx));
                }
            }
            Step::Return(one) => self.give_back(one, false),
            Step::Break(one) => self.give_back(one, true),
            Step::Detach(one) => {
                if let Some(at) = pick(one, &self.held)
                    && let Hold::Alone(slot) = self.held[at].hold.hold()
                {
                    let name = *self.held.remove(at).connection;
                    self.world.connections.retain(|one| one.name != name);
                    self.act(|it, fx| _ = it.state.detach(slot, now, fx));
                }
            }
            Step::Connect(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.act(|it, fx| it.connect(at, fx));
                }
            }
            Step::Fail(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.opens.remove(at);
                    self.world.connect_failed();
                    let error = Arc::new(ConnectError::Failed("no"));
                    self.act(|it, fx| it.state.connect_failed(error, now, fx));
                }
            }
            Step::Lose(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.opens.remove(at);
                    self.world.opening -= 1;
                    let first = self.world.line().first().copied();
                    let first = first.filter(|first| !first.woken).map(|first| first.name);
                    self.act(|it, fx| {
                        it.state.attempt_lost(false, fx);
                        fx.wake.drain(..).for_each(Waker::wake);
                        let rung = it.rung.try_iter().next();
                        assert_eq!(rung, first, "who sees to the next");
                        rung.into_iter()
                            .for_each(|one| it.world.caller(one).woken = true);
                    });
                }
            }
            Step::Hang(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.hung.push(self.opens.remove(at));
                }
            }
            Step::Drop => {
                if self.closes.pop().is_some() {
                    self.world.closing -= 1;
                    self.act(|it, fx| it.state.dropped(now, fx));
                }
            }
            Step::Check(one, good) => {
                if let Some(at) = pick(one, &self.checks) {
                    let doubtful = self.checks.remove(at);
                    self.world.release(*doubtful.connection, true, !good);
                    let reason = (!good).then_some(CloseReason::Error);
                    self.act(|it, fx| it.state.checked(doubtful, reason, None, now, fx));
                }
            }
            Step::Tick(seconds) => self.tick(now.plus(Duration::from_secs(seconds))),
            Step::Sweep => {
                if self.state.keeper().is_some_and(|due| due <= now) {
                    self.sweep();
                }
            }
            Step::Doubt => {
                self.world.doubt();
                self.act(|it, _| it.state.doubt_idle());
            }
            Step::Clear => {
                self.world.clear();
                self.act(|it, fx| it.state.clear(now, fx));
            }
            Step::Pause => {
                self.world.paused = true;
                self.world.turn_all_away();
                self.act(|it, fx| _ = it.state.pause(fx));
            }
            Step::Ready => {
                self.world.paused = false;
                self.act(|it, fx| _ = it.state.ready(now, fx));
            }
            Step::Resize(size) => {
                self.world.rules.max_size = size;
                self.act(|it, fx| it.state.resize(size, now, fx));
            }
            Step::Close => {
                self.world.close();
                self.act(|it, fx| _ = it.state.close(fx));
            }
        }
    }

    /// One transition, or several in which nothing else may happen, and what comes of it.
    pub(super) fn act(&mut self, transition: impl FnOnce(&mut Self, &mut Todo)) {
        let mut fx = Effects::none();
        transition(self, &mut fx);
        self.compare(fx);
    }

    fn tick(&mut self, until: Moment) {
        while self.punctual
            && let Some(due) = self.state.keeper()
            && due <= until
        {
            self.world.now = self.world.now.max(due);
            self.sweep();
        }
        self.world.now = until;
        self.act(|_, _| {});
    }

    fn sweep(&mut self) {
        // It may come once too often, for a grant that has been picked up.
        let rests = self.sweep_once() || self.sweep_once();
        assert!(rests, "the keeper rests");
    }

    /// Whether the keeper need not come again at once.
    fn sweep_once(&mut self) -> bool {
        let mut next = None;
        self.act(|it, fx| {
            next = it.state.sweep(it.world.now, fx);
            it.swept = true;
        });
        next.is_none_or(|next| next > self.world.now)
    }

    /// Everybody leaves and every task ends: nothing may be left over.
    pub(super) fn end(mut self) {
        while !self.waiting.is_empty() {
            self.take_step(Step::Cancel(0));
        }
        while !self.held.is_empty() {
            self.take_step(Step::Return(0));
        }
        self.opens.append(&mut self.hung);
        while !(self.closes.is_empty() && self.opens.is_empty() && self.checks.is_empty()) {
            self.take_step(Step::Drop);
            self.take_step(Step::Connect(0));
            self.take_step(Step::Check(0, true));
        }
        let status = self.state.status();
        assert_eq!(
            (status.size, status.in_use, status.holders),
            (status.idle, 0, 0)
        );
        assert_eq!((status.waiting, status.opening, status.checking), (0, 0, 0));
        assert!(status.size <= status.max_size);
    }
}

pub(super) fn pick<T>(one: usize, among: &[T]) -> Option<usize> {
    one.checked_rem(among.len())
}

pub(super) fn standing(outcome: &Outcome<Name, &'static str>) -> Standing {
    match outcome {
        Outcome::Waiting(_) => Standing::Waiting,
        Outcome::Absent => Standing::Absent,
        Outcome::Granted(grant, _) => Standing::Granted(*grant.connection),
        Outcome::Failed(_) => Standing::Failed,
        Outcome::Late(_) => Standing::Late,
        Outcome::Shed(_) => Standing::Shed,
    }
}

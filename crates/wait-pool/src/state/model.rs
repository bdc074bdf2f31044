//! Random scripts against the state machine, with books kept by hand beside it.
//!
//! The books know nothing of queues, tickets or draining. They know what was asked, who holds what,
//! and which tasks are out; and after every step they check what must hold whatever the policy is.

#![cfg(test)]

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::State;
use crate::config::Config;
use crate::error::ConnectError;
use crate::line::{Kind, Outcome, WaiterId};
use crate::slots::{Doubtful, Grant};
use crate::transition::{Effects, Entered, Opens, Tried};

type Connection = u32;

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(Kind),
    Try(Kind),
    /// The waiters, held connections and tasks are named by a number that any count fits.
    Poll(usize),
    Cancel(usize),
    Expire(usize),
    Return(usize),
    Break(usize),
    Detach(usize),
    Connect(usize),
    Fail(usize),
    Lose(usize),
    Drop,
    Check(usize, bool),
    Tick(u64),
    Sweep,
    Doubt,
    Clear,
    Resize(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop_oneof![Just(Kind::Exclusive), Just(Kind::Lease)];
    let one = || any::<usize>();
    prop_oneof![
        8 => kind().prop_map(Step::Ask),
        2 => kind().prop_map(Step::Try),
        6 => one().prop_map(Step::Poll),
        2 => one().prop_map(Step::Cancel),
        1 => one().prop_map(Step::Expire),
        8 => one().prop_map(Step::Return),
        1 => one().prop_map(Step::Break),
        1 => one().prop_map(Step::Detach),
        6 => one().prop_map(Step::Connect),
        2 => one().prop_map(Step::Fail),
        1 => one().prop_map(Step::Lose),
        4 => Just(Step::Drop),
        3 => (one(), any::<bool>()).prop_map(|(one, good)| Step::Check(one, good)),
        2 => (0..50_u64).prop_map(Step::Tick),
        1 => Just(Step::Sweep),
        1 => Just(Step::Doubt),
        1 => Just(Step::Clear),
        1 => (1..5_usize).prop_map(Step::Resize),
        1 => prop_oneof![9 => Just(Step::Doubt), 1 => Just(Step::Close)],
    ]
}

struct Books {
    state: State<Connection, &'static str>,
    now: Instant,
    max_leases: usize,
    max_size: usize,
    /// In the order they asked, with the number of their question.
    waiting: Vec<(WaiterId, Kind, u32)>,
    held: Vec<(Grant<Connection>, Kind)>,
    opens: Vec<Opens>,
    closes: Vec<Arc<Connection>>,
    checks: Vec<Doubtful<Connection>>,
    keeper: Option<Instant>,
    asked: u32,
    opened: Connection,
}

impl Books {
    fn new(config: &Config) -> Self {
        Self {
            state: State::new(config, 7),
            now: Instant::now(),
            max_leases: config.max_leases,
            max_size: config.max_size,
            waiting: Vec::new(),
            held: Vec::new(),
            opens: Vec::new(),
            closes: Vec::new(),
            checks: Vec::new(),
            keeper: None,
            asked: 0,
            opened: 0,
        }
    }

    fn take_step(&mut self, step: Step) {
        let mut fx = Effects::none();
        let (now, at) = (self.now, Location::caller());
        match step {
            Step::Ask(kind) => {
                let waker = &mut Some(Waker::noop().clone());
                let late = Some(now + Duration::from_secs(20));
                match self.state.enter(kind, at, waker, late, now, &mut fx) {
                    Entered::Granted(grant) => self.held.push((grant, kind)),
                    Entered::Queued(id) => self.waiting.push((id, kind, self.asked)),
                    Entered::Full(_) | Entered::Closed => {}
                }
                self.asked += 1;
            }
            Step::Try(kind) => match self.state.try_enter(kind, at, now) {
                Tried::Granted(grant) => self.held.push((grant, kind)),
                Tried::Empty => self.state.look_at_idle(now, &mut fx),
                Tried::Closed => {}
            },
            Step::Poll(one) => {
                if let Some(at) = pick(one, &self.waiting) {
                    let (id, kind, _) = self.waiting[at];
                    let outcome = self
                        .state
                        .poll(id, &mut Waker::noop().clone(), now, &mut fx);
                    if let Some(outcome) = outcome {
                        self.settle(at, kind, outcome);
                    }
                }
            }
            Step::Cancel(one) => {
                if let Some(at) = pick(one, &self.waiting) {
                    let (id, ..) = self.waiting.remove(at);
                    self.state.leave(id, now, &mut fx);
                }
            }
            Step::Expire(one) => {
                if let Some(at) = pick(one, &self.waiting) {
                    let (id, kind, _) = self.waiting[at];
                    let (outcome, _) = self.state.expire(id, now, &mut fx);
                    self.settle(at, kind, outcome);
                }
            }
            Step::Return(one) => self.give_back(one, false, &mut fx),
            Step::Break(one) => self.give_back(one, true, &mut fx),
            Step::Detach(one) => {
                let alone = pick(one, &self.held).filter(|&at| !self.held[at].0.shared);
                if let Some(at) = alone {
                    let (grant, _) = self.held.remove(at);
                    self.state.detach(grant.hold, now, &mut fx);
                }
            }
            Step::Connect(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    let opens = self.opens.remove(at);
                    self.opened += 1;
                    self.state
                        .connected(self.opened, opens.generation, now, &mut fx);
                }
            }
            Step::Fail(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.opens.remove(at);
                    self.state
                        .connect_failed(ConnectError::Failed("no"), now, &mut fx);
                }
            }
            Step::Lose(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.opens.remove(at);
                    self.state.attempt_lost(&mut fx);
                }
            }
            Step::Drop => {
                if self.closes.pop().is_some() {
                    self.state.dropped(now, &mut fx);
                }
            }
            Step::Check(one, good) => {
                if let Some(at) = pick(one, &self.checks) {
                    let doubtful = self.checks.remove(at);
                    self.state.checked(doubtful, good, None, now, &mut fx);
                }
            }
            Step::Tick(seconds) => self.now += Duration::from_secs(seconds),
            Step::Sweep => {
                if let Some(due) = self.keeper.take_if(|due| *due <= now) {
                    self.keeper = self.state.sweep(due, now, &mut fx);
                }
            }
            Step::Doubt => self.state.doubt_idle(now),
            Step::Clear => self.state.clear(now, &mut fx),
            Step::Resize(size) => {
                self.max_size = size;
                self.state.resize(size, now, &mut fx);
            }
            Step::Close => self.state.close(&mut fx),
        }
        let begun = !fx.open.is_empty();
        self.opens.extend(fx.open);
        self.closes.extend(fx.close);
        self.checks.extend(fx.check);
        self.keeper = fx.keep.or(self.keeper);
        self.check(begun, step);
    }

    fn give_back(&mut self, one: usize, broken: bool, fx: &mut Effects<Connection, &'static str>) {
        let Some(at) = pick(one, &self.held) else {
            return;
        };
        let (grant, _) = self.held.remove(at);
        if grant.shared {
            drop(grant.connection);
            self.state.end_lease(grant.hold, broken, self.now, fx);
        } else {
            self.state
                .give_back(grant.hold, grant.connection, broken, self.now, fx);
        }
    }

    /// A waiter has its outcome. Nobody of its kind that asked earlier still waits with time left.
    fn settle(&mut self, at: usize, kind: Kind, outcome: Outcome<Connection, &'static str>) {
        self.waiting.remove(at);
        if let Outcome::Granted(grant) = outcome {
            self.held.push((grant, kind));
        }
    }

    fn check(&self, begun: bool, step: Step) {
        let status = self.state.status();
        let open = status.idle + status.in_use + status.checking;
        assert_eq!(
            status.size,
            open + self.opens.len() + self.closes.len(),
            "{step:?}"
        );
        assert_eq!(status.opening, self.opens.len());
        assert_eq!(status.checking, self.checks.len());
        assert!(
            !begun || status.size <= self.max_size,
            "opened beyond the bound by {step:?}"
        );

        // Nobody shares with somebody alone, and no connection has too many holders.
        let mut holders: HashMap<Connection, (usize, bool)> = HashMap::new();
        for (grant, kind) in &self.held {
            assert_eq!(grant.shared, *kind == Kind::Lease);
            let (count, shared) = holders
                .entry(*grant.connection)
                .or_insert((0, grant.shared));
            *count += 1;
            assert_eq!(*shared, grant.shared, "both alone and shared");
            assert!(*count <= if *shared { self.max_leases } else { 1 });
        }

        // First come, first served: who still waits came after all of its kind who do not.
        for kind in [Kind::Exclusive, Kind::Lease] {
            let of_kind = self.waiting.iter().filter(|(_, other, _)| *other == kind);
            let settled: Vec<bool> = of_kind
                .map(|(id, ..)| self.state.line.is_settled(*id))
                .collect();
            assert!(
                settled.is_sorted_by(|a, b| a >= b),
                "{kind:?} out of order: {settled:?}"
            );
        }

        // Nobody waits in vain.
        if status.waiting > 0 && !self.state.is_closed() {
            let under_way = status.opening + status.checking + self.closes.len();
            assert!(
                under_way + status.in_use > 0 || self.state.orphaned,
                "in vain after {step:?}"
            );
            let stale = status.idle == 0 || status.checking > 0;
            assert!(
                stale || status.waiting == 0,
                "beside a free one after {step:?}"
            );
            if status.size < self.max_size && !self.state.orphaned {
                assert!(
                    status.opening + status.checking > 0,
                    "no attempt after {step:?}"
                );
            }
        }
    }

    /// Everybody leaves and every task ends: nothing may be left over.
    fn end(mut self) {
        while !self.waiting.is_empty() {
            self.take_step(Step::Cancel(0));
        }
        while !self.held.is_empty() {
            self.take_step(Step::Return(0));
        }
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
        assert!(status.size <= self.max_size);
    }
}

fn pick<T>(one: usize, among: &[T]) -> Option<usize> {
    one.checked_rem(among.len())
}

fn config() -> impl Strategy<Value = Config> {
    let sizes = (1..4_usize, 1..4_usize, 1..4_usize, 1..6_usize, 0..3_usize);
    sizes.prop_map(
        |(max_size, max_leases, max_connecting, max_waiters, min_idle)| Config {
            max_size,
            max_leases,
            max_connecting,
            max_waiters,
            min_idle: min_idle.min(max_size),
            idle_timeout: Some(Duration::from_secs(60)),
            max_lifetime: Some(Duration::from_secs(300)),
            ..Config::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_must_hold_holds_after_every_step(
        config in config(),
        script in prop::collection::vec(step(), 0..150),
    ) {
        let mut books = Books::new(&config);
        for step in script {
            books.take_step(step);
        }
        books.end();
    }
}

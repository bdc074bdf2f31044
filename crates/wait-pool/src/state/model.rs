//! Random scripts against the state machine, with books kept by hand beside it.
//!
//! The books know nothing of queues, tickets or draining. They know what was asked, who holds what,
//! and which tasks are out; and after every step they check what must hold whatever the policy is.

#![cfg(test)]

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use proptest::prelude::*;

use super::{Returned, State};
use crate::config::Config;
use crate::error::ConnectError;
use crate::event::CloseReason;
use crate::line::{Ask, Kind, Outcome, WaiterId};
use crate::moment::Moment;
use crate::policy::Priority;
use crate::slots::{Doubtful, Grant, Hold, Retired};
use crate::transition::{Effects, Entered, Opens};

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
    now: Moment,
    max_leases: usize,
    max_size: usize,
    /// In the order they asked, and whether it has been their turn.
    waiting: Vec<(WaiterId, Kind, bool)>,
    held: Vec<(Grant<Connection>, Kind)>,
    opens: Vec<Opens>,
    closes: Vec<Retired<Connection>>,
    checks: Vec<Doubtful<Connection>>,
    opened: Connection,
}

impl Books {
    fn new(config: &Config) -> Self {
        Self {
            state: State::new(config, 7),
            now: Moment::BEGINNING,
            max_leases: config.max_leases,
            max_size: config.max_size,
            waiting: Vec::new(),
            held: Vec::new(),
            opens: Vec::new(),
            closes: Vec::new(),
            checks: Vec::new(),
            opened: 0,
        }
    }

    fn take_step(&mut self, step: Step) {
        let mut fx = Effects::none();
        let (now, at) = (self.now, Location::caller());
        match step {
            Step::Ask(kind) => {
                let waker = &mut Some(Waker::noop().clone());
                let ask = Ask {
                    kind,
                    priority: Priority::Normal,
                    at,
                    deadline: now.plus(Duration::from_secs(20)),
                    came: Moment::NEVER,
                    only_in_time: false,
                };
                let entered = match self.state.line_up(&ask, waker, now) {
                    Some(waiting) => Entered::Queued(waiting),
                    None => self.state.enter(&ask, waker, now, &mut fx),
                };
                match entered {
                    Entered::Granted(grant) => self.held.push((grant, kind)),
                    Entered::Queued(waiting) => self.waiting.push((waiting.id, kind, false)),
                    Entered::Full(_)
                    | Entered::TooLate(..)
                    | Entered::Late(_)
                    | Entered::Refused(_) => {}
                }
            }
            Step::Try(kind) => match self.state.try_enter(kind, at, now) {
                Some(grant) => self.held.push((grant, kind)),
                None if self.state.refusal().is_some() => {}
                None => self.state.look_at_idle(now, &mut fx),
            },
            Step::Poll(one) => {
                if let Some(at) = pick(one, &self.waiting) {
                    let (id, kind, _) = self.waiting[at];
                    let outcome =
                        self.state
                            .poll(id, &mut Some(Waker::noop().clone()), now, &mut fx);
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
                if let Some(at) = pick(one, &self.held)
                    && let Hold::Alone(slot) = self.held[at].0.hold.hold()
                {
                    self.held.remove(at);
                    self.state.detach(slot, now, &mut fx);
                }
            }
            Step::Connect(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    let opens = self.opens.remove(at);
                    self.opened += 1;
                    self.state
                        .connected(Arc::new(self.opened), opens, now, &mut fx);
                }
            }
            Step::Fail(one) => {
                if let Some(at) = pick(one, &self.opens) {
                    self.opens.remove(at);
                    self.state
                        .connect_failed(Arc::new(ConnectError::Failed("no")), now, &mut fx);
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
                    let reason = (!good).then_some(CloseReason::Error);
                    self.state.checked(doubtful, reason, None, now, &mut fx);
                }
            }
            Step::Tick(seconds) => self.now = now.plus(Duration::from_secs(seconds)),
            Step::Sweep => {
                if self.state.keeper().is_some_and(|due| due <= now) {
                    self.state.sweep(now, &mut fx);
                }
            }
            Step::Doubt => self.state.doubt_idle(),
            Step::Clear => self.state.clear(now, &mut fx),
            Step::Resize(size) => {
                self.max_size = size;
                self.state.resize(size, now, &mut fx);
            }
            Step::Close => {
                self.state.close(&mut fx);
            }
        }
        let begun = !fx.open.is_empty();
        self.opens.extend(fx.open);
        self.closes.extend(fx.close);
        self.checks.extend(fx.check);
        self.check(begun, step);
    }

    fn give_back(&mut self, one: usize, broken: bool, fx: &mut Effects<Connection, &'static str>) {
        let Some(at) = pick(one, &self.held) else {
            return;
        };
        let reason = broken.then_some(CloseReason::Error);
        let (grant, _) = self.held.remove(at);
        match grant.hold.hold() {
            Hold::Part(part) => {
                drop(grant.connection);
                let quiet = match reason {
                    Some(_) => None,
                    None => self.state.end_lease_quietly(part, self.now),
                };
                if quiet.is_none() {
                    self.state.end_lease(part, reason, self.now, fx);
                }
            }
            Hold::Alone(slot) => {
                let returned = match reason {
                    Some(_) => Returned::Uncommon(grant.connection),
                    None => self.state.put_back(slot, grant.connection, self.now),
                };
                if let Returned::Uncommon(connection) = returned {
                    self.state.give_back(slot, connection, reason, self.now, fx);
                }
            }
        }
    }

    /// A waiter has its outcome. Nobody of its kind that asked earlier still waits with time left.
    fn settle(&mut self, at: usize, kind: Kind, outcome: Outcome<Connection, &'static str>) {
        self.waiting.remove(at);
        if let Outcome::Granted(grant, _) = outcome {
            self.held.push((grant, kind));
        }
    }

    fn check(&mut self, begun: bool, step: Step) {
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
            let part = matches!(grant.hold.hold(), Hold::Part(_));
            assert_eq!(part, *kind == Kind::Lease);
            let (count, shared) = holders.entry(*grant.connection).or_insert((0, part));
            *count += 1;
            assert_eq!(*shared, part, "both alone and shared");
            assert!(*count <= if *shared { self.max_leases } else { 1 });
        }

        // First come, first served: whose turn has not come came after all of its kind whose has.
        for (id, _, turn) in &mut self.waiting {
            *turn |= self.state.line.has_had_its_turn(*id);
        }
        for kind in [Kind::Exclusive, Kind::Lease] {
            let of_kind = self.waiting.iter().filter(|(_, other, _)| *other == kind);
            let turns: Vec<bool> = of_kind.map(|(.., turn)| *turn).collect();
            assert!(
                turns.is_sorted_by(|a, b| a >= b),
                "{kind:?} out of order: {turns:?}"
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

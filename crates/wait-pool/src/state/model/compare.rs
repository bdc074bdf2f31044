//! After every step: has the state machine done what the reference says, and does all hold that must?

use std::collections::{BTreeSet, HashMap};
use std::task::Waker;

use super::driver::{Driver, Todo, standing};
use super::reference::Choice;
use super::world::{Caller, Name, Standing, Usage};
use crate::line::{Kind, WaiterId};
use crate::moment::Moment;
use crate::policy::QueuePolicy;

impl Driver {
    pub(super) fn compare(&mut self, mut fx: Todo) {
        fx.wake.drain(..).for_each(Waker::wake);
        let rung: Vec<Name> = self.rung.try_iter().collect();
        let told = std::mem::take(&mut self.told);
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|one| (one.name, standing(self.state.line.outcome(one.id))));
        let now: Vec<(Name, Standing)> = waiting.chain(told.iter().copied()).collect();

        let swept = std::mem::take(&mut self.swept);
        self.give_up_on(&now, Standing::Late, swept);
        if swept {
            self.close(&fx, |usage| usage == Usage::Idle);
            self.world.retire_expired();
            let order = self.state.line.ids();
            let named = |id| self.waiting.iter().find(|one| one.id == id);
            let order: Vec<Name> = order.filter_map(named).map(|one| one.name).collect();
            self.world.reclaim(&order);
        }
        self.give_up_on(&now, Standing::Shed, swept);
        self.close(&fx, |_| true);
        let seen = self.state.slots.seen();
        let choice = Choice {
            given: now
                .iter()
                .filter_map(|(name, one)| Some((*name, one.connection()?)))
                .collect(),
            aside: seen
                .filter_map(|(name, _, aside)| aside.then_some(name))
                .collect(),
        };
        self.world.newest_first = self.state.line.serves_newest_first();
        let served = self.world.serve(&choice);
        // For who lines up nothing has come free: the order is as it was.
        if !std::mem::take(&mut self.lined_up) {
            self.check_overload(&served);
        }
        for doubtful in &fx.check {
            let one = *self.world.connection(*doubtful.connection);
            assert!(
                one.usage == Usage::Idle && self.world.is_stale(&one),
                "{one:?}"
            );
            self.world.connection(one.name).usage = Usage::LookedAt;
        }
        self.world.opening += fx.open.len();
        self.check_opens(&fx);
        self.opens.extend(fx.open);
        self.closes.extend(fx.close);
        self.checks.extend(fx.check);
        self.check_aside(&choice);

        for (name, standing) in &now {
            assert_eq!(
                self.world.caller(*name).standing,
                *standing,
                "what became of {name}"
            );
        }
        self.check_wakes(&rung, &served);
        self.world
            .callers
            .retain(|one| !told.iter().any(|(name, _)| *name == one.name));
        assert_eq!(self.state.status(), self.world.status());
        self.check_order();
        self.check_nobody_waits_in_vain();
        self.check_keeper(swept);
        let waits = self.state.is_crowded().then_some(self.world.now);
        self.world.occupied = waits.map(|now| self.world.occupied.unwrap_or(now));
    }

    /// Closes those of the connections to be closed that are still there and used like that.
    fn close(&mut self, fx: &Todo, suits: fn(Usage) -> bool) {
        for retired in &fx.close {
            let mut open = self.world.connections.iter();
            if open.any(|one| one.name == retired.number && suits(one.usage)) {
                self.world.close_one(retired.number, retired.reason);
            }
        }
    }

    /// When somebody is told that its time is up is not foretold; but it has to be up.
    fn give_up_on(&mut self, all: &[(Name, Standing)], how: Standing, swept: bool) {
        let (now, overloaded) = (self.world.now, self.world.is_overloaded());
        let policy = self.world.rules.queue_policy;
        for (name, _) in all.iter().filter(|(_, standing)| *standing == how) {
            let caller = self.world.caller(*name);
            let right = match policy {
                _ if caller.standing != Standing::Waiting => continue,
                _ if how == Standing::Late => {
                    caller.deadline < now || swept && caller.deadline == now
                }
                QueuePolicy::AdaptiveLifo { patience, .. } => {
                    overloaded && now.since(caller.came) > patience
                }
                QueuePolicy::Fifo => false,
            };
            assert!(right, "{how:?}: {caller:?}");
            caller.standing = how;
        }
    }

    /// In an overload the newest are served first, and nobody who has waited for too long.
    fn check_overload(&mut self, served: &[Name]) {
        let (now, overloaded) = (self.world.now, self.world.is_overloaded());
        let QueuePolicy::AdaptiveLifo { patience, .. } = self.world.rules.queue_policy else {
            return assert!(!self.world.newest_first, "not asked for");
        };
        for name in served {
            let one = *self.world.caller(*name);
            assert_eq!(self.world.newest_first, overloaded);
            let patient = now.since(one.came) <= patience;
            assert!(patient || !overloaded, "too late: {one:?}");
        }
    }

    fn check_opens(&self, fx: &Todo) {
        let world = &self.world;
        let generations = fx.open.iter().map(|opens| opens.generation);
        assert!(generations.into_iter().all(|one| one == world.generation));
        if !fx.open.is_empty() {
            let at_once = if world.failing {
                1
            } else {
                world.rules.max_connecting
            };
            assert!(
                world.size() <= world.rules.max_size,
                "opened beyond the bound"
            );
            assert!(world.opening <= at_once, "too many attempts at once");
            assert!(!(world.closed || world.paused), "opened for nobody");
        }
    }

    /// Which connections are set aside does not matter while nobody waits.
    fn check_aside(&mut self, choice: &Choice) {
        if self.world.line().is_empty() {
            for one in &mut self.world.connections {
                one.aside = choice.aside.contains(&one.name);
            }
        } else {
            self.world.set_aside(choice);
        }
        let aside = self.world.connections.iter().filter(|one| one.aside);
        let aside: BTreeSet<Name> = aside.map(|one| one.name).collect();
        let chosen: BTreeSet<Name> = choice.aside.iter().copied().collect();
        assert_eq!(chosen, aside, "set aside");
    }

    /// Each that is settled has been woken once, those with a connection in the order of their turns.
    fn check_wakes(&mut self, rung: &[Name], served: &[Name]) {
        let asleep = |one: &&Name| {
            !self
                .world
                .callers
                .iter()
                .any(|caller| caller.name == **one && caller.woken)
        };
        let expected: Vec<Name> = served.iter().filter(asleep).copied().collect();
        let mut settled = BTreeSet::new();
        for one in &mut self.world.callers {
            if !matches!(one.standing, Standing::Waiting | Standing::Absent) && !one.woken {
                one.woken = true;
                settled.insert(one.name);
            }
        }
        let order: Vec<Name> = rung
            .iter()
            .filter(|one| served.contains(one))
            .copied()
            .collect();
        assert_eq!(order, expected, "in which order they were served");
        let woken: BTreeSet<Name> = rung.iter().copied().collect();
        assert_eq!(woken.len(), rung.len(), "woken twice");
        assert_eq!(woken, settled, "woken, settled");
    }

    fn check_order(&mut self) {
        let line = self.world.line();
        let ids: HashMap<Name, WaiterId> =
            self.waiting.iter().map(|one| (one.name, one.id)).collect();
        // A place in line is always told by age.
        let newest_first = std::mem::take(&mut self.world.newest_first);
        let right = line.is_empty() || !newest_first || self.world.is_overloaded();
        assert!(right, "the overload is over");
        for one in &line {
            let earlier = |other: &&Caller| self.world.turn(other) < self.world.turn(one);
            let ahead = self.state.line.ahead_of(ids[&one.name]);
            assert_eq!(
                ahead,
                line.iter().filter(earlier).count(),
                "ahead of {one:?}"
            );
        }
        self.world.newest_first = newest_first;
        let first = line.first().map(|one| ids[&one.name]);
        assert_eq!(self.state.line.first(), first);
        for kind in [Kind::Exclusive, Kind::Lease] {
            let first = line.iter().find(|one| one.kind == kind);
            assert_eq!(
                self.state.line.first_of(kind),
                first.map(|one| ids[&one.name])
            );
        }
    }

    fn check_nobody_waits_in_vain(&self) {
        let (world, line) = (&self.world, self.world.line());
        for one in line.iter().filter(|one| one.deadline >= world.now) {
            assert_eq!(world.free(one.kind), [], "beside {one:?}");
        }
        let status = world.status();
        let under_way = status.opening + status.checking;
        // Or who has been called sees to it.
        if !line.is_empty() && !line.iter().any(|one| one.woken) {
            let room = status.size < status.max_size;
            assert!(!room || under_way > 0, "no attempt");
            assert!(status.idle == 0 || status.checking > 0, "no check");
            assert!(under_way + world.closing + status.in_use > 0, "in vain");
        }
        let of_no_use = |usage| matches!(usage, Usage::Idle | Usage::LookedAt);
        for one in &world.connections {
            assert!(one.usage != Usage::Idle || !one.doomed, "kept: {one:?}");
            assert!(!one.aside || !of_no_use(one.usage), "aside: {one:?}");
        }
        let retiring = world.connections.iter().filter(|one| one.is_retiring());
        let beyond = world.connections.len() - retiring.count() > status.max_size;
        assert!(status.idle == 0 || !beyond, "idle beyond the bound");
    }

    /// The keeper comes as soon as it has to; nobody who is late is left then.
    fn check_keeper(&self, swept: bool) {
        let world = &self.world;
        if world.closed {
            return;
        }
        let due = world.due();
        let keeper = self.state.keeper().unwrap_or(Moment::NEVER);
        assert!(keeper <= due, "{keeper:?} is after {due:?}");
        for one in world.line().iter().filter(|_| swept) {
            let latest = one.came.plus_limit(world.rules.wait_timeout);
            assert!(latest > world.now, "not told: {one:?}");
        }
    }
}

impl Standing {
    fn connection(self) -> Option<Name> {
        match self {
            Self::Granted(connection) => Some(connection),
            _ => None,
        }
    }
}

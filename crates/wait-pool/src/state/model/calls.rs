//! The calls that the pool's shell makes for those who ask, wait and hold, one by one.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::driver::{Bell, Driver, Todo, Waiter, pick, standing};
use super::world::{Caller, Name, Standing};
use crate::event::CloseReason;
use crate::line::{Ask, Kind, Outcome};
use crate::moment::Moment;
use crate::policy::Priority;
use crate::slots::{Grant, Hold};
use crate::state::Returned;
use crate::transition::{Entered, Peeked};

impl Driver {
    pub(super) fn waker(&self, name: Name) -> Waker {
        Waker::from(Arc::new(Bell(name, self.ring.clone())))
    }

    /// As `Acquire::enter` does.
    pub(super) fn ask(&mut self, kind: Kind, priority: Priority, own: Option<u64>) {
        let now = self.world.now;
        self.named += 1;
        let name = self.named;
        let deadline = own.map(|own| now.plus(Duration::from_secs(own)));
        let ask = Ask {
            kind,
            priority,
            at: Location::caller(),
            deadline: deadline.unwrap_or(Moment::NEVER),
            came: Moment::NEVER,
            only_in_time: false,
        };
        self.act(|it, fx| it.enter(name, &ask, fx));
        let newest = self.waiting.len();
        let entered = self.waiting.last();
        if entered.is_some_and(|last| last.name == name && last.deadline <= now) {
            self.expire(newest - 1);
        }
    }

    /// As one does whose connection the hook was not content with.
    pub(super) fn ask_again(&mut self, kind: Kind, ago: u64) {
        self.named += 1;
        let name = self.named;
        // No two came at the same time.
        let ago = Duration::from_secs(ago) + Duration::from_micros(name);
        if self.world.now.since(Moment::BEGINNING) > ago {
            let ask = Ask {
                kind,
                priority: Priority::Normal,
                at: Location::caller(),
                deadline: Moment::NEVER,
                came: self.world.now.minus(ago),
                only_in_time: false,
            };
            self.act(|it, fx| it.enter(name, &ask, fx));
        }
    }

    fn enter(&mut self, name: Name, ask: &Ask, fx: &mut Todo) {
        let now = self.world.now;
        let is_new = ask.came == Moment::NEVER;
        let in_time = is_new || ask.came.plus_limit(self.world.rules.wait_timeout) > now;
        let at_once = in_time && self.world.ask_at_once(ask.kind);
        let lines_up = in_time && !at_once && self.world.may_wait(is_new);
        let expected = (at_once, lines_up);
        if is_new && !self.state.is_crowded() {
            let tried = self.state.try_enter(ask.kind, ask.at, now);
            if self.state.wants_upkeep(now) {
                self.state.make_room(now, fx);
            }
            if let Some(grant) = tried {
                assert_eq!(expected, (true, false), "served at once");
                return self.hold_new(ask.kind, grant);
            }
        }
        let came = match is_new {
            true => self.world.draw(),
            false => ask.came,
        };
        if lines_up {
            self.world.line_up(Caller {
                name,
                kind: ask.kind,
                class: ask.priority.class() as u32,
                came,
                deadline: ask.deadline,
                standing: Standing::Waiting,
                granted: Moment::NEVER,
                woken: false,
            });
        }
        let waker = self.waker(name);
        let mut given = Some(waker.clone());
        let entered = match self.state.line_up(ask, &mut given, now) {
            Some(waiting) => Entered::Queued(waiting),
            None => self.state.enter(ask, &mut given, now, fx),
        };
        let (served, waits) = match entered {
            Entered::Granted(grant) => {
                self.hold_new(ask.kind, grant);
                (true, false)
            }
            Entered::Queued(waiting) => {
                self.lined_up = true;
                self.waiting.push(Waiter {
                    name,
                    id: waiting.id,
                    waker,
                    deadline: waiting.deadline,
                });
                (false, true)
            }
            Entered::Full(_) | Entered::Refused(_) | Entered::TooLate(..) | Entered::Late(_) => {
                (false, false)
            }
        };
        assert_eq!((served, waits), expected, "(served at once, waits)");
    }

    /// As `Pool::try_enter` does.
    pub(super) fn try_enter(&mut self, kind: Kind, fx: &mut Todo) {
        let now = self.world.now;
        let served = self.world.ask_at_once(kind);
        let tried = self.state.try_enter(kind, Location::caller(), now);
        if self.state.wants_upkeep(now) {
            self.state.make_room(now, fx);
        }
        assert_eq!(tried.is_some(), served, "served at once");
        match tried {
            Some(grant) => self.hold_new(kind, grant),
            None if self.state.refusal().is_some() => {}
            None => self.state.look_at_idle(now, fx),
        }
    }

    fn hold_new(&mut self, kind: Kind, grant: Grant<Name>) {
        self.world.give(kind, Some(*grant.connection));
        self.held.push(grant);
    }

    /// As `Acquire::wait` does.
    pub(super) fn poll(&mut self, at: usize) {
        let Waiter { name, deadline, .. } = self.waiting[at];
        self.act(|it, fx| it.look(at, fx));
        let waits = self.waiting.get(at).is_some_and(|one| one.name == name);
        if waits && self.world.now >= deadline {
            self.expire(at);
        }
    }

    fn look(&mut self, at: usize, fx: &mut Todo) {
        let now = self.world.now;
        let Waiter {
            id,
            ref waker,
            name,
            ..
        } = self.waiting[at];
        let outcome = match self.state.peek(id, waker) {
            Peeked::Settled(outcome) => Some(outcome),
            Peeked::Waiting => None,
            Peeked::WantsWaker => {
                self.world.come_back(name);
                self.state.poll(id, &mut Some(waker.clone()), now, fx)
            }
        };
        if let Some(outcome) = outcome {
            self.tell(at, outcome);
        }
    }

    fn expire(&mut self, at: usize) {
        self.act(|it, fx| {
            let now = it.world.now;
            let Waiter { id, name, .. } = it.waiting[at];
            let (outcome, left) = it.state.expire(id, now, fx);
            match left {
                Some(_) => {
                    it.world.callers.retain(|one| one.name != name);
                    it.waiting.remove(at);
                }
                None => it.tell(at, outcome),
            }
        });
    }

    /// A caller learns what has become of it.
    fn tell(&mut self, at: usize, outcome: Outcome<Name, &'static str>) {
        let Waiter { name, .. } = self.waiting.remove(at);
        self.told.push((name, standing(&outcome)));
        if let Outcome::Granted(grant, _) = outcome {
            self.held.push(grant);
        }
    }

    pub(super) fn cancel(&mut self, at: usize, fx: &mut Todo) {
        let Waiter { id, name, .. } = self.waiting.remove(at);
        let caller = *self.world.caller(name);
        self.world.callers.retain(|one| one.name != name);
        if let Standing::Granted(connection) = caller.standing {
            self.world.release(connection, false, false);
        }
        self.state.leave(id, self.world.now, fx);
    }

    pub(super) fn give_back(&mut self, one: usize, broken: bool) {
        let Some(at) = pick(one, &self.held) else {
            return;
        };
        let (grant, now) = (self.held.remove(at), self.world.now);
        self.world.release(*grant.connection, true, broken);
        let reason = broken.then_some(CloseReason::Error);
        self.act(|it, fx| match grant.hold.hold() {
            Hold::Part(part) => {
                drop(grant.connection);
                let quiet = match reason {
                    Some(_) => None,
                    None => it.state.end_lease_quietly(part, now),
                };
                quiet.unwrap_or_else(|| it.state.end_lease(part, reason, now, fx));
            }
            Hold::Alone(slot) => {
                let returned = match reason {
                    Some(_) => Returned::Uncommon(grant.connection),
                    None => it.state.put_back(slot, grant.connection, now),
                };
                match returned {
                    Returned::Idle(_) => {}
                    Returned::HandedOver(_, waker) => waker.wake(),
                    Returned::Uncommon(connection) => {
                        it.state.give_back(slot, connection, reason, now, fx);
                    }
                }
            }
        });
    }

    pub(super) fn connect(&mut self, at: usize, fx: &mut Todo) {
        let opens = self.opens.remove(at);
        let (now, name) = (self.world.now, opens.number);
        let generation = opens.generation;
        self.state.connected(Arc::new(name), opens, now, fx);
        let mut seen = self.state.slots.seen();
        let found = seen.find(|(number, ..)| *number == name);
        let expires = found.map_or(Moment::NEVER, |(_, expires, _)| expires);
        drop(seen);
        self.world.connected(name, generation, expires);
    }
}

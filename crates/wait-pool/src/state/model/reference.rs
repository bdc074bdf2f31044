//! The rules of who is served when, as plainly as they can be told: no lanes, no shortcuts, all of it
//! searched and sorted anew each time. Where several connections would do, it is told which it was.

use super::world::{Caller, Connection, Name, Standing, Usage, World};
use crate::line::Kind;

/// Which connection each caller got, and which ones are set aside.
pub(super) struct Choice {
    pub(super) given: Vec<(Name, Name)>,
    pub(super) aside: Vec<Name>,
}

impl World {
    /// Who waits, in the order of their turns. A class comes so much later than the one above it.
    pub(super) fn line(&self) -> Vec<Caller> {
        let waits = |one: &&Caller| one.standing == Standing::Waiting;
        let mut line: Vec<Caller> = self.callers.iter().filter(waits).copied().collect();
        line.sort_by_key(|one| (self.turn(one), one.kind == Kind::Lease, one.class));
        line
    }

    /// The connections that would do: for a lease those with room on them, else what is idle.
    pub(super) fn free(&self, kind: Kind) -> Vec<Name> {
        let find = |suits: &dyn Fn(&&Connection) -> bool| -> Vec<Name> {
            let suitable = self.connections.iter().filter(suits);
            suitable.map(|one| one.name).collect()
        };
        let idle = find(&|one| one.usage == Usage::Idle && !self.is_stale(one));
        let has_room = |usage| matches!(usage, Usage::Shared(n) if n < self.rules.max_leases);
        let shared = find(&|one| has_room(one.usage) && !one.doomed && !one.aside);
        let share = kind == Kind::Lease && !shared.is_empty();
        if share { shared } else { idle }
    }

    /// Somebody asks: whether there is something at once. Who waits is gone by.
    pub(super) fn ask_at_once(&mut self, kind: Kind) -> bool {
        let served = !self.closed && !self.paused && !self.free(kind).is_empty();
        self.passed += usize::from(served && !self.line().is_empty());
        served
    }

    /// Whether a caller that got nothing at once may wait. Who had a place in line is let in again.
    pub(super) fn may_wait(&self, is_new: bool) -> bool {
        let room = !is_new || self.line().len() < self.rules.max_waiters;
        !self.closed && !self.paused && room
    }

    /// Serves all who can be served and have time left, one after the other.
    pub(super) fn serve(&mut self, choice: &Choice) -> Vec<Name> {
        let mut served = Vec::new();
        loop {
            self.set_aside(choice);
            let line = self.line();
            let mut in_time = line.iter().filter(|one| one.deadline >= self.now);
            let Some(next) = in_time.find(|one| !self.free(one.kind).is_empty()) else {
                return served;
            };
            let went_by = next.name != line[0].name;
            self.passed = if went_by { self.passed + 1 } else { 0 };
            let given = choice.given.iter().find(|(name, _)| *name == next.name);
            self.grant(next.name, given.map(|(_, connection)| *connection));
            served.push(next.name);
        }
    }

    /// While an exclusive caller is first, a shared connection is set aside, and one more for each
    /// `max_leases` leases that went by; one less while another connection may be opened.
    pub(super) fn set_aside(&mut self, choice: &Choice) {
        if self.line().first().map(|one| one.kind) != Some(Kind::Exclusive) {
            self.passed = 0;
            return self.set_none_aside();
        }
        let begins = !self.failing && self.opening < self.rules.max_connecting;
        let may_open = self.size() < self.rules.max_size && begins;
        let due = self.passed / self.rules.max_leases + usize::from(!may_open);
        while self.connections.iter().filter(|one| one.aside).count() < due {
            let all = self.connections.iter_mut();
            let open = all.filter(|one| one.holders() > 0 && !one.doomed && !one.aside);
            let fewest = open.min_by_key(|one| (one.holders(), !choice.aside.contains(&one.name)));
            let Some(one) = fewest else { return };
            one.aside = true;
        }
    }

    /// Who is told of a failed attempt: nobody while a connection is open, everybody if no other
    /// attempt is under way, else those whom it would have served.
    pub(super) fn concerned(&self) -> Vec<Caller> {
        let line = self.line();
        let (first, open) = (line.first().map(|one| one.kind), self.connections.len());
        let most = match (first, open, self.opening) {
            (_, 1.., _) => 0,
            (_, _, 0) => return line,
            (Some(Kind::Lease), ..) => self.rules.max_leases,
            _ => 1,
        };
        let alike = line.into_iter().filter(|one| Some(one.kind) == first);
        alike.take(most).collect()
    }
}

//! What there is, in plain lists: callers, connections, attempts. Decides nothing; the rules are in
//! the [reference](super::reference).

use crate::config::Config;
use crate::event::CloseReason;
use crate::line::Kind;
use crate::moment::Moment;
use crate::policy::QueuePolicy;
use crate::status::Status;

/// Of a caller or of a connection.
pub(super) type Name = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Waiting,
    /// A connection was taken back from it, and it has not come yet to ask for another.
    Absent,
    /// Of a connection, which it has not picked up yet.
    Granted(Name),
    Failed,
    Late,
    Shed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) name: Name,
    pub(super) kind: Kind,
    pub(super) class: u32,
    pub(super) came: Moment,
    pub(super) deadline: Moment,
    pub(super) standing: Standing,
    /// When it was granted a connection.
    pub(super) granted: Moment,
    /// Since it was polled last.
    pub(super) woken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Idle,
    LookedAt,
    Alone,
    /// By so many.
    Shared(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) name: Name,
    pub(super) usage: Usage,
    /// When it was used last.
    pub(super) since: Moment,
    pub(super) expires: Moment,
    /// To be checked before it is used, unless it is used now.
    pub(super) doubted: bool,
    /// To be closed as soon as nobody holds it.
    pub(super) doomed: bool,
    /// Kept for an exclusive caller.
    pub(super) aside: bool,
}

impl Connection {
    /// Those who share it.
    pub(super) fn holders(&self) -> usize {
        match self.usage {
            Usage::Shared(holders) => holders,
            _ => 0,
        }
    }

    /// Whether it is shared, and closed with its last return.
    pub(super) fn is_retiring(&self) -> bool {
        self.doomed && self.holders() > 0
    }
}

#[derive(Debug)]
pub(super) struct World {
    /// `max_size` changes.
    pub(super) rules: Config,
    pub(super) now: Moment,
    /// Until they have learnt what has become of them.
    pub(super) callers: Vec<Caller>,
    pub(super) connections: Vec<Connection>,
    pub(super) opening: usize,
    pub(super) closing: usize,
    /// How often all was cleared.
    pub(super) generation: u64,
    /// Whether the last attempt failed.
    pub(super) failing: bool,
    pub(super) paused: bool,
    pub(super) closed: bool,
    pub(super) last_came: Moment,
    /// How many leases went by the exclusive caller that is first.
    pub(super) passed: usize,
    /// Whether the newest are served first.
    pub(super) newest_first: bool,
    /// Since when somebody has waited without a break.
    pub(super) occupied: Option<Moment>,
}

impl World {
    pub(super) fn new(rules: &Config) -> Self {
        Self {
            rules: rules.clone(),
            now: Moment::BEGINNING,
            callers: Vec::new(),
            connections: Vec::new(),
            opening: 0,
            closing: 0,
            generation: 0,
            failing: false,
            paused: rules.start_paused,
            closed: false,
            last_came: Moment::BEGINNING,
            passed: 0,
            newest_first: false,
            occupied: None,
        }
    }

    pub(super) fn caller(&mut self, name: Name) -> &mut Caller {
        let mut callers = self.callers.iter_mut();
        callers.find(|one| one.name == name).expect("it is there")
    }

    pub(super) fn connection(&mut self, name: Name) -> &mut Connection {
        let mut connections = self.connections.iter_mut();
        let found = connections.find(|one| one.name == name);
        found.expect("it is open")
    }

    /// When it is a caller's turn.
    pub(super) fn turn(&self, caller: &Caller) -> Moment {
        let came = match self.newest_first {
            true => caller.came.mirrored(),
            false => caller.came,
        };
        came.plus(self.rules.priority_ageing * caller.class)
    }

    /// When somebody comes who is not served at once: later than all before.
    pub(super) fn draw(&mut self) -> Moment {
        self.last_came = self.now.max(self.last_came.next());
        self.last_came
    }

    /// A caller lines up.
    pub(super) fn line_up(&mut self, mut caller: Caller) {
        let latest = caller.came.plus_limit(self.rules.wait_timeout);
        caller.deadline = caller.deadline.min(latest);
        self.callers.push(caller);
    }

    pub(super) fn size(&self) -> usize {
        self.connections.len() + self.opening + self.closing
    }

    /// By how many there are more than there may be, those left out that are about to be closed.
    pub(super) fn excess(&self) -> usize {
        let kept = |one: &&Connection| !(one.doomed && one.usage == Usage::Idle);
        let open = self.connections.iter().filter(kept).count() + self.opening;
        open.saturating_sub(self.rules.max_size)
    }

    /// Whether it has to be checked before it is used.
    pub(super) fn is_stale(&self, one: &Connection) -> bool {
        one.doubted || self.now.since(one.since) > self.rules.check_idle_after
    }

    /// An attempt of a generation has succeeded.
    pub(super) fn connected(&mut self, name: Name, generation: u64, expires: Moment) {
        let outdated = generation != self.generation;
        self.opening -= 1;
        self.failing = false;
        let too_many = self.connections.len() >= self.rules.max_size;
        self.connections.push(Connection {
            name,
            usage: Usage::Idle,
            since: self.now,
            expires,
            doubted: false,
            doomed: outdated || self.closed || too_many,
            aside: false,
        });
    }

    /// Whether there are more than there may be even without those that close with their last return.
    fn is_too_many(&self) -> bool {
        let retiring = self.connections.iter().filter(|one| one.is_retiring());
        self.excess() > retiring.count()
    }

    /// A holder, or a check, gives a connection back, which was good just now if it was `used`.
    pub(super) fn release(&mut self, name: Name, used: bool, broken: bool) {
        let (now, unwanted) = (self.now, broken || self.closed || self.is_too_many());
        let one = self.connection(name);
        one.doomed |= unwanted || one.expires <= now;
        if used {
            (one.doubted, one.since) = (false, now);
        }
        one.usage = match one.usage {
            Usage::Shared(holders @ 2..) => Usage::Shared(holders - 1),
            _ => Usage::Idle,
        };
        one.aside &= !one.doomed && one.usage != Usage::Idle;
    }

    /// Shared connections that have lived for long enough take nobody else.
    pub(super) fn retire_expired(&mut self) {
        for one in &mut self.connections {
            let expired = one.holders() > 0 && one.expires <= self.now;
            one.doomed |= expired;
            one.aside &= !expired;
        }
    }

    /// A connection is being closed: it was idle, and there was a reason.
    pub(super) fn close_one(&mut self, name: Name, reason: CloseReason) {
        let (now, excess) = (self.now, self.excess());
        let idle_timeout = self.rules.idle_timeout;
        let one = *self.connection(name);
        let right = match reason {
            CloseReason::Idle => one.since.plus_limit(idle_timeout) <= now,
            CloseReason::Lifetime => one.expires <= now,
            CloseReason::Excess => one.doomed || excess > 0,
            _ => one.doomed,
        };
        assert!(right && one.usage == Usage::Idle, "{reason:?} of {one:?}");
        self.connections.retain(|other| other.name != name);
        self.closing += 1;
    }

    /// All connections are to be replaced.
    pub(super) fn clear(&mut self) {
        self.generation += 1;
        for one in &mut self.connections {
            (one.doomed, one.aside) = (true, false);
        }
    }

    /// An attempt has failed.
    pub(super) fn connect_failed(&mut self) {
        self.opening -= 1;
        self.failing = true;
        for one in self.concerned() {
            self.caller(one.name).standing = Standing::Failed;
        }
    }

    pub(super) fn set_none_aside(&mut self) {
        for one in &mut self.connections {
            one.aside = false;
        }
    }

    /// Nobody is served any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.turn_all_away();
        for one in &mut self.connections {
            one.doomed |= one.usage == Usage::Idle;
        }
    }

    /// All in line are told that nobody is served.
    pub(super) fn turn_all_away(&mut self) {
        for one in self.line() {
            self.caller(one.name).standing = Standing::Failed;
        }
    }

    /// A caller that was absent is back in its old place, if there is a line.
    pub(super) fn come_back(&mut self, name: Name) {
        let refused = self.closed || self.paused;
        let caller = self.caller(name);
        (caller.standing, caller.woken) = match refused {
            true => (Standing::Failed, true),
            false => (Standing::Waiting, false),
        };
    }

    /// What has not been picked up for long is taken back, one after the other, if somebody waits.
    pub(super) fn reclaim(&mut self, order: &[Name]) {
        let (now, claim_timeout) = (self.now, self.rules.claim_timeout);
        if self.line().is_empty() {
            return;
        }
        for name in order {
            let caller = *self.caller(*name);
            if let Standing::Granted(connection) = caller.standing
                && caller.granted.plus(claim_timeout) <= now
            {
                self.caller(caller.name).standing = Standing::Absent;
                self.release(connection, false, false);
            }
        }
    }

    /// Gives a caller a connection that would do.
    pub(super) fn give(&mut self, kind: Kind, chosen: Option<Name>) -> Name {
        let free = self.free(kind);
        let name = chosen.unwrap_or(free[0]);
        assert!(
            free.contains(&name),
            "{name} for {kind:?}, and not {free:?}"
        );
        let one = self.connection(name);
        one.usage = match kind {
            Kind::Exclusive => Usage::Alone,
            Kind::Lease => Usage::Shared(one.holders() + 1),
        };
        name
    }

    /// A caller that waits is given a connection.
    pub(super) fn grant(&mut self, name: Name, chosen: Option<Name>) {
        let kind = self.caller(name).kind;
        let (connection, granted) = (self.give(kind, chosen), self.now);
        let caller = self.caller(name);
        (caller.standing, caller.granted) = (Standing::Granted(connection), granted);
    }

    /// When the keeper has to come: for the oldest who waits, for a grant that somebody else would
    /// like, for a connection that has been idle or has lived for long enough.
    pub(super) fn due(&self) -> Moment {
        let (line, rules) = (self.line(), &self.rules);
        let late = line
            .iter()
            .map(|one| one.came.plus_limit(rules.wait_timeout));
        let granted = |one: &&Caller| matches!(one.standing, Standing::Granted(_));
        let granted = self.callers.iter().filter(granted);
        let claims = granted.map(|one| one.granted.plus(rules.claim_timeout));
        let claims = claims.filter(|_| !line.is_empty());
        let idle = |one: &&Connection| one.usage == Usage::Idle;
        let idle: Vec<&Connection> = self.connections.iter().filter(idle).collect();
        let spare = idle.len() > rules.min_idle.min(rules.max_size);
        let oldest = idle.iter().map(|one| one.since).min();
        let idle_out = oldest
            .filter(|_| spare)
            .map(|since| since.plus_limit(rules.idle_timeout));
        let spent = idle.iter().map(|one| one.expires);
        let all = late.chain(claims).chain(idle_out).chain(spent);
        all.min().unwrap_or(Moment::NEVER)
    }

    /// All are to be checked before they are used, unless they turn out to be good before.
    pub(super) fn doubt(&mut self) {
        for one in &mut self.connections {
            one.doubted = true;
        }
    }

    /// Whether the newest are to be served first.
    pub(super) fn is_overloaded(&self) -> bool {
        let QueuePolicy::AdaptiveLifo { interval, .. } = self.rules.queue_policy else {
            return false;
        };
        let waited = self.occupied.map(|since| self.now.since(since));
        waited.is_some_and(|waited| waited >= interval)
    }

    pub(super) fn status(&self) -> Status {
        let count = |usage: fn(Usage) -> usize| -> usize {
            let connections = self.connections.iter();
            connections.map(|one| usage(one.usage)).sum()
        };
        Status {
            max_size: self.rules.max_size,
            size: self.size(),
            idle: count(|usage| usize::from(usage == Usage::Idle)),
            in_use: count(|usage| usize::from(matches!(usage, Usage::Alone | Usage::Shared(_)))),
            opening: self.opening,
            held_up: 0,
            checking: count(|usage| usize::from(usage == Usage::LookedAt)),
            holders: count(|usage| match usage {
                Usage::Shared(holders) => holders,
                _ => usize::from(usage == Usage::Alone),
            }),
            waiting: self.line().len(),
        }
    }
}

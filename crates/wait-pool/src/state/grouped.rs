//! What a pool does for its group: attempts that wait for room, room that it makes for others.

use std::time::Duration;

use super::State;
use crate::event::CloseReason;
use crate::ledger::TURN;
use crate::moment::Moment;
use crate::transition::{Effects, Needs};

/// What ties a pool to its group. Nothing at all without one.
#[derive(Debug)]
pub(super) struct Ties {
    /// The group wants to hear, once, of a connection that has been idle for so long.
    called: Option<Duration>,
    /// How many connections it is to give up.
    owed: usize,
    /// How many of them now; the others once its turn is over.
    due: usize,
    turn_ends: Moment,
    /// When a connection was opened last.
    connected: Moment,
    /// What the group has been told, and how often it has been told something.
    told: Option<(usize, usize)>,
    version: u64,
}

impl Default for Ties {
    fn default() -> Self {
        Self {
            called: None,
            owed: 0,
            due: 0,
            turn_ends: Moment::BEGINNING,
            connected: Moment::BEGINNING,
            told: None,
            version: 0,
        }
    }
}

impl Ties {
    #[inline]
    pub(super) const fn is_called(&self) -> bool {
        self.called.is_some()
    }

    /// How many connections are to be given up now.
    #[inline]
    pub(super) const fn due(&self) -> usize {
        self.due
    }

    /// Whether the group wants anything of it.
    #[inline]
    pub(super) const fn are_pulled(&self) -> bool {
        self.owed > 0 || self.called.is_some()
    }

    /// A connection has been opened.
    pub(super) const fn connected(&mut self, now: Moment) {
        self.connected = now;
    }

    /// A place will be free, whatever for.
    pub(super) const fn paid(&mut self) {
        self.owed = self.owed.saturating_sub(1);
        self.due = self.due.saturating_sub(1);
    }
}

impl<C, E> State<C, E> {
    /// An attempt has to wait for room.
    pub(crate) const fn attempt_held_up(&mut self) {
        self.opening.hold_up();
    }

    /// An attempt that had to wait has got room. Says whether it is still wanted; if not, it is over.
    pub(crate) fn attempt_admitted(&mut self, now: Moment, fx: &mut Effects<C, E>) -> bool {
        self.opening.go_on();
        // Itself is among those begun.
        let wanted = self.missing() >= self.opening.begun();
        if !wanted {
            self.end_attempt(now, fx);
        }
        wanted
    }

    /// An attempt that had to wait is not wanted any more.
    pub(crate) fn attempt_spared(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        self.opening.go_on();
        self.end_attempt(now, fx);
    }

    fn end_attempt(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        self.opening.lost();
        fx.wake.extend(self.watching.drain(..));
        // Somebody may have come in the meantime.
        self.serve(now, fx);
    }

    /// For how long the connection has been idle that has been so for longest. Unless that is as long
    /// as `rest`, the group is told of one that has been.
    pub(crate) fn look(
        &mut self,
        rest: Duration,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> Option<Duration> {
        let idle = self.slots.idle_since().map(|since| now.since(since));
        if idle.is_none_or(|idle| idle < rest) && !self.closed {
            let called = self.ties.called;
            self.ties.called = Some(called.map_or(rest, |before| before.min(rest)));
            self.mind(now, fx);
        }
        idle
    }

    /// Closes what has been idle for longest, if that is at least so long. Else as [`look`](Self::look).
    pub(crate) fn close_idle(
        &mut self,
        rest: Duration,
        now: Moment,
        fx: &mut Effects<C, E>,
    ) -> bool {
        let rested = self.look(rest, now, fx).is_some_and(|idle| idle >= rest);
        if rested {
            let idle = self.slots.close_idle(1, CloseReason::MadeRoom);
            self.retire(idle, fx);
            self.serve(now, fx);
        }
        rested
    }

    /// Is to give up the next connection that comes free; at the end of its turn, if `patient`. Says no
    /// if it has none.
    pub(crate) fn owe(&mut self, patient: bool, now: Moment, fx: &mut Effects<C, E>) -> bool {
        if self.slots.len() + self.opening.begun() <= self.ties.owed {
            return false;
        }
        self.ties.owed += 1;
        self.ties.turn_ends = match patient {
            true => self.ties.connected.plus(TURN),
            false => now,
        };
        self.serve(now, fx);
        true
    }

    /// May keep one that it was to give up. Says no if none is left to keep.
    pub(crate) fn forgive(&mut self) -> bool {
        let kept = self.ties.owed > self.slots.retiring();
        if kept {
            self.ties.owed -= 1;
            self.ties.due = self.ties.due.min(self.ties.owed);
        }
        kept
    }

    /// Pays what it owes, and tells of what is idle.
    pub(super) fn mind_the_group(&mut self, now: Moment, fx: &mut Effects<C, E>) {
        if self.ties.owed > 0 && self.ties.turn_ends <= now {
            self.ties.due = self.ties.owed;
            self.pay(fx);
        }
        let idle = self.slots.idle_since().map(|since| now.since(since));
        if self
            .ties
            .called
            .zip(idle)
            .is_some_and(|(rest, idle)| idle >= rest)
        {
            self.ties.called = None;
            fx.offer = true;
        }
    }

    /// Closes what is idle, and has what is shared closed with its last return. What has one holder is
    /// closed when it comes back, and what is being opened pays when it is there.
    fn pay(&mut self, fx: &mut Effects<C, E>) {
        while self.ties.due > self.slots.retiring() {
            if self.slots.idle() > 0 {
                let idle = self.slots.close_idle(1, CloseReason::MadeRoom);
                self.retire(idle, fx);
            } else if !self.slots.retire_one(CloseReason::MadeRoom) {
                return;
            }
        }
    }

    /// When something is to be done for the group.
    pub(super) fn group_due(&self) -> Moment {
        let pays = match self.ties.owed > self.ties.due {
            true => self.ties.turn_ends,
            false => Moment::NEVER,
        };
        let idle = self.slots.idle_since().zip(self.ties.called);
        let rested = idle.map_or(Moment::NEVER, |(since, rest)| since.plus(rest));
        pays.min(rested)
    }

    /// What the group is to know, if that has changed.
    pub(crate) fn needs(&mut self) -> Option<Needs> {
        if self.opening.held_up() == 0 {
            self.ties.told = None;
            return None;
        }
        let wants = self.missing().saturating_sub(self.opening.begun());
        let wants = wants.min(self.opening.held_up());
        let waited_for = self.waited_for().saturating_sub(self.checking);
        let callers = waited_for.saturating_sub(self.opening.begun()).min(wants);
        if self.ties.told.replace((wants, callers)) == Some((wants, callers)) {
            return None;
        }
        self.ties.version += 1;
        Some(Needs {
            version: self.ties.version,
            wants,
            callers,
        })
    }
}

//! The pool's state machine: who holds what, who waits, what is being opened.
//!
//! Every method is one transition: it takes the time, changes the state, and leaves in
//! [`Effects`] what is to be done once the lock is released. There is no lock here, no clock and
//! no IO, so tests drive it by assigning time.
//!
//! # Invariants, after every transition
//!
//! 1. **Bound.** Open, opening and closing connections together are at most `max_size`. A place is
//!    taken before an attempt to connect begins, and is free again only after a connection has
//!    been dropped.
//! 2. **Nobody waits in vain.** If somebody waits, no connection that would serve the first in
//!    line is available; and where the bound leaves room, a connection is being opened, or the
//!    first in line has been woken to have it opened.
//! 3. **Order.** A connection that comes free is put into the hands of the first waiter under the
//!    same lock. So whatever a newcomer finds free, nobody waits for, and there is no wake-up to
//!    race for.
//!
//! # Fairness between the two kinds
//!
//! Whoever has the older ticket is served first. Exclusive callers need an idle connection, while
//! leases only need room on a shared one, so steady leases could keep every connection from ever
//! becoming idle. Therefore, while an exclusive caller is first, a shared connection is set aside:
//! it stops taking leases, becomes idle with its last return, and then goes to the older ticket.
//! Leases go on around it on the others, but only as many as share a connection: for each such
//! number that went by while exclusive callers were first one more connection is set aside. Where another
//! connection may still be opened for it, the first is set aside only after that number. Nothing is
//! set aside while a lease is first.
//!
//! # Priority
//!
//! A class of priority is a head start: see [`Priority`](crate::Priority). Since the head start is
//! constant, whoever waits comes before all those who come late enough, whatever their class.
//!
//! # Grants that nobody takes
//!
//! A future may be woken and never be polled again. What it was handed is taken back after a while
//! if somebody else waits for it. Its owner is out of the line then, and back in its old place as
//! soon as it is polled.
//!
//! # In a group
//!
//! Pools may share a bound: see [`ledger`](crate::ledger). What a pool does for its group is in `grouped`; without
//! one nothing of that ever happens. An attempt that waits for room is under way, and is told apart
//! where figures are shown.
//!
//! # Failed connects
//!
//! While at least one connection is open, waiters wait for its return, and a failure is kept to
//! be told as the cause of a later timeout. With none open, a failure is told to those the
//! connection would have served (one exclusive caller, or as many leases as share a connection),
//! and to everybody once no other attempt is under way.

mod callers;
mod common;
mod figures;
mod grouped;
mod model;
mod returns;
mod serve;
mod upkeep;

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::config::Config;
use crate::event::CloseReason;
use crate::line::Line;
use crate::moment::Moment;
use crate::opening::Opening;
use crate::pace::Pace;
use crate::policy::QueuePolicy;
use crate::slots::{HoldId, Retired, Slots};
use crate::transition::Effects;

pub(crate) use common::Returned;
use grouped::Ties;

#[derive(Debug)]
pub(crate) struct State<C, E> {
    pool: Arc<str>,
    slots: Slots<C>,
    line: Line<C, E>,
    pace: Pace,
    opening: Opening<E>,
    /// How many attempts there have been.
    attempts: u64,
    checking: usize,
    /// Connections on their way to be dropped. They count until they are gone.
    closing: usize,
    max_size: usize,
    max_leases: usize,
    max_waiters: usize,
    queue_policy: QueuePolicy,
    wait_timeout: Option<Duration>,
    claim_timeout: Duration,
    leak_warning_after: Option<Duration>,
    /// As the builder has it; a smaller bound asks for less.
    wanted_idle: usize,
    min_idle: usize,
    /// When the keeper wakes next, if there is one.
    keeper: Option<Moment>,
    /// Who waits for the pool to be warm, or to be drained, and looks again at each event.
    watching: Vec<Waker>,
    /// How many leases went by the exclusive caller that is first.
    passed: usize,
    ties: Ties,
    /// An attempt, or the keeper, was lost: whoever is polled next has another one begun.
    orphaned: bool,
    paused: bool,
    closed: bool,
}

impl<C, E> State<C, E> {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        let (first, longest) = config.connect_backoff;
        let backoff = Backoff::new(first, longest, seed);
        Self {
            pool: Arc::clone(&config.name),
            slots: Slots::new(config.max_leases, config.lifetimes(), seed),
            line: Line::new(config.priority_ageing),
            pace: Pace::default(),
            opening: Opening::new(config.max_connecting, backoff),
            attempts: 0,
            checking: 0,
            closing: 0,
            max_size: config.max_size,
            max_leases: config.max_leases,
            max_waiters: config.max_waiters,
            queue_policy: config.queue_policy,
            wait_timeout: config.wait_timeout,
            claim_timeout: config.claim_timeout,
            leak_warning_after: config.leak_warning_after,
            wanted_idle: config.min_idle,
            min_idle: config.min_idle,
            keeper: None,
            watching: Vec::new(),
            passed: 0,
            ties: Ties::default(),
            orphaned: false,
            paused: config.start_paused,
            closed: false,
        }
    }

    /// Whether somebody waits.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.line.total() > 0
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The number of the connection that a holder has.
    pub(crate) fn number(&self, hold: HoldId) -> u64 {
        self.slots.number(hold)
    }

    /// Since when a holder has had it.
    pub(crate) fn held_since(&self, hold: HoldId) -> Moment {
        self.slots.held_since(hold)
    }

    /// Why a connection that comes back is to be closed, whatever it is like.
    fn unwanted(&self) -> Option<CloseReason> {
        if self.closed {
            return Some(CloseReason::PoolClosed);
        }
        // Those that will be closed anyway make room for this one.
        let beyond = self.excess() + self.ties.due();
        let reason = match self.excess() {
            0 => CloseReason::MadeRoom,
            _ => CloseReason::Excess,
        };
        (beyond > self.slots.retiring()).then_some(reason)
    }

    fn size(&self) -> usize {
        self.slots.len() + self.opening.under_way() + self.closing
    }

    /// How many more connections there are than there may be, those left out that are being closed.
    fn excess(&self) -> usize {
        let open = self.slots.len() + self.opening.under_way();
        open.saturating_sub(self.max_size)
    }

    fn retire(&mut self, retired: impl IntoIterator<Item = Retired<C>>, fx: &mut Effects<C, E>) {
        for one in retired {
            self.closing += 1;
            self.ties.paid();
            fx.close.push(one);
        }
    }

    /// Has the first in line come and see to what was lost.
    fn orphan(&mut self, fx: &mut Effects<C, E>) {
        if let Some(first) = self.line.wake_first() {
            self.orphaned = true;
            fx.wake.push(first);
        }
    }
}

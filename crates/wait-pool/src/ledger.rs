//! The books of a [group](crate::group): who has how many places, who waits for one, whom to ask for
//! one. Pure: no lock, no clock, no task.
//!
//! # Who gets a place
//!
//! A pool that wants to open a connection asks for a place and stands in line for it. A place that is
//! free goes to the first in line, by rank and then by when he came:
//!
//! 1. *needy*: callers wait at a pool that has no place at all. It has come when it gave up its last, if that
//!    was later;
//! 2. *short*: callers wait at a pool that has some;
//! 3. *spare*: nobody waits, the pool would keep `min_idle`.
//!
//! # Where a place comes from if none is free
//!
//! - For a needy pool: the connection of any pool that has been idle for longest, be it for a moment
//!   only. If none is idle, the pool with the most places, of two or more, is asked to give one up: one
//!   of its connections takes no more callers and is closed when the last has returned it. If no pool has
//!   two, the pool whose turn has lasted longest is asked, and lets go after a [`TURN`].
//! - For a pool that is short: a connection that has been idle for [`REST`], the longest first. It
//!   would not do to close one that is idle for a moment between two callers.
//! - For `min_idle`: from nobody. And `min_idle` is kept against nobody who has callers.
//!
//! # Why nobody starves
//!
//! A needy pool is passed by needy pools only that came before it. For each of them and for itself a
//! place is idle or has been asked for, as long as there are so many to ask. Whoever is asked can tell
//! by one count that it owes one and pays with the next connection to come free, before its own callers. So
//! its wait ends once as many connections have been returned as there are needy pools before it; with fewer
//! places than needy pools that takes as many turns more. And each turn serves somebody: a connection is
//! given up only after it has been open and handed to those who waited for it. A pool that is short has a
//! connection, so its callers are served whether it gets another or not.
//!
//! A pool is asked for no more than is wanted: what it owes is forgiven if those who wanted it have
//! got theirs elsewhere or have gone.

mod entry;
mod model;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use crate::transition::Needs;
use entry::{Account, Asked, Entry, Rank, Standing};

pub(crate) use entry::{Answer, Move, Ticket};

/// For how long a connection has to be idle before it goes to another pool that has some already.
pub(crate) const REST: Duration =
    Duration::from_millis(if MODELLED { 60 * 60 * 1_000 } else { 100 });

/// For how long a pool keeps its only connection at least, while its callers use it and another pool has
/// none at all. A connection costs time to open; in a turn it is to serve more than one caller.
pub(crate) const TURN: Duration =
    Duration::from_millis(if MODELLED { 60 * 60 * 1_000 } else { 20 });

/// No time passes in models, however long they take.
const MODELLED: bool = cfg!(all(test, wait_pool_loom));

pub(crate) type MemberId = usize;

#[derive(Debug)]
pub(crate) struct Ledger {
    total: usize,
    /// How many places are taken.
    taken: usize,
    accounts: Slab<Account>,
    /// Who wants a place, by when he came.
    line: BTreeMap<Ticket, Entry>,
    last_ticket: Ticket,
    /// How often a pool has got its first place.
    turns: u64,
}

/// For how long the connection of a pool has been idle that has been so for longest.
pub(crate) type Look = (MemberId, Option<Duration>);

impl Ledger {
    pub(crate) const fn new(total: usize) -> Self {
        Self {
            total,
            taken: 0,
            accounts: Slab::new(),
            line: BTreeMap::new(),
            last_ticket: Ticket(0),
            turns: 0,
        }
    }

    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |entry: &&Entry| matches!(entry.state, Asked::Waiting(_));
        self.line.values().filter(waiting).count()
    }

    /// How many pools there are.
    pub(crate) fn pools(&self) -> usize {
        let accounts = self.accounts.iter();
        accounts.filter(|(_, account)| !account.left).count()
    }

    /// The pools that have something to give.
    pub(crate) fn holders(&self) -> impl Iterator<Item = MemberId> {
        let accounts = self.accounts.iter();
        let holders = accounts.filter(|(_, account)| account.held > 0 && !account.left);
        holders.map(|(member, _)| member)
    }

    pub(crate) fn join(&mut self) -> MemberId {
        self.accounts.insert(Account::default())
    }

    /// A pool is gone. Its places come back one by one. Who asked for it is to be woken.
    pub(crate) fn leave(&mut self, member: MemberId) -> Vec<Waker> {
        let account = &mut self.accounts[member];
        (account.left, account.owed) = (true, 0);
        (account.callers, account.wants) = (0, 0);
        let refused = self.refuse_beyond(member);
        self.forget(member);
        refused
    }

    /// A pool asks for a place.
    pub(crate) fn ask(&mut self, member: MemberId, waker: Waker) -> Ticket {
        if !self.line.values().any(|entry| entry.member == member) {
            // What it said when it stood here last says nothing of now.
            let account = &mut self.accounts[member];
            (account.callers, account.wants) = (0, usize::MAX);
        }
        let ticket = self.draw();
        let state = Asked::Waiting(waker);
        self.line.insert(ticket, Entry { member, state });
        ticket
    }

    /// What became of it, which ends it. `None` while it waits; then `waker` is left with it, and comes
    /// back as the one from before.
    pub(crate) fn answer(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> Option<Answer> {
        let entry = self.line.get_mut(&ticket)?;
        let answer = match &mut entry.state {
            Asked::Waiting(before) => {
                if let Some(waker) = waker {
                    std::mem::swap(before, waker);
                }
                return None;
            }
            Asked::Granted => Answer::Granted,
            Asked::Refused => Answer::Refused,
        };
        self.line.remove(&ticket);
        Some(answer)
    }

    /// Whoever asked is gone, whatever he was given. His waker comes back.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) -> Option<Waker> {
        let Entry { member, state } = self.line.remove(&ticket)?;
        match state {
            Asked::Waiting(waker) => {
                self.forget(member);
                Some(waker)
            }
            Asked::Granted => {
                self.give_back(member);
                None
            }
            Asked::Refused => None,
        }
    }

    /// A pool tells what it waits for. Whoever asked for more than that is to be woken.
    pub(crate) fn hear(&mut self, member: MemberId, needs: Needs) -> Vec<Waker> {
        let account = &mut self.accounts[member];
        if needs.version <= account.version {
            return Vec::new();
        }
        account.version = needs.version;
        (account.callers, account.wants) = (needs.callers, needs.wants);
        self.refuse_beyond(member)
    }

    /// A place is free.
    pub(crate) fn give_back(&mut self, member: MemberId) {
        self.taken -= 1;
        let account = &mut self.accounts[member];
        account.held -= 1;
        // Whatever it was closed for, that pays.
        account.owed = account.owed.saturating_sub(1).min(account.held);
        if account.held == 0 {
            // Who had one until now comes after those who had none before.
            let emptied = self.draw();
            self.accounts[member].emptied = emptied;
        }
        self.forget(member);
    }

    /// Gives what is free to who comes first. Whom to wake.
    pub(crate) fn settle(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.taken < self.total {
            let standing = self.standing();
            let first = standing
                .iter()
                .min_by_key(|one| (one.rank, one.since, one.ticket));
            let Some(&Standing { ticket, member, .. }) = first else {
                break;
            };
            self.taken += 1;
            let account = &mut self.accounts[member];
            account.held += 1;
            if account.held == 1 {
                self.turns += 1;
                account.turn = self.turns;
            }
            let entry = self.line.get_mut(&ticket);
            let before = entry.map(|entry| std::mem::replace(&mut entry.state, Asked::Granted));
            if let Some(Asked::Waiting(waker)) = before {
                woken.push(waker);
            }
        }
        woken
    }

    /// For how long a connection has to be idle to be wanted. `None` if none is.
    pub(crate) fn wanted_rest(&self) -> Option<Duration> {
        match self.standing().iter().map(|one| one.rank).min()? {
            Rank::Needy => Some(Duration::ZERO),
            Rank::Short => Some(REST),
            Rank::Spare => None,
        }
    }

    /// Whether some pool is to be asked for something.
    pub(crate) fn has_moves(&self) -> bool {
        self.wanted_rest().is_some() || self.owed() > self.needy()
    }

    /// What is to be done next for those in line, by what has been seen of the pools. Those that have
    /// been asked in vain are left out.
    pub(crate) fn next_move(&mut self, looks: &[Look], in_vain: &[MemberId]) -> Option<Move> {
        let can = |member: &MemberId| !in_vain.contains(member);
        if let Some(rest) = self.wanted_rest() {
            let idle = looks.iter().filter(|(member, _)| can(member));
            let idle = idle.filter_map(|(member, idle)| Some((*member, (*idle)?)));
            let longest = idle.max_by_key(|(_, idle)| *idle);
            if let Some((member, _)) = longest.filter(|(_, idle)| *idle >= rest) {
                return Some(Move::CloseIdle(member, rest));
            }
        }
        if self.needy() > self.owed() {
            return self.ask_of(can);
        }
        if self.owed() > self.needy() {
            let accounts = self.accounts.iter_mut();
            let mut owing = accounts.filter(|(member, account)| account.owed > 0 && can(member));
            let (member, account) = owing.next()?;
            account.owed -= 1;
            return Some(Move::Forgive(member));
        }
        None
    }

    /// A pool has nothing to give up.
    ///
    /// Wherever it is open which of two things came first, less is counted as owed here than the pool itself
    /// counts, never more: it pays all the same, and what it has not paid is asked for elsewhere.
    pub(crate) fn declined(&mut self, declined: Move) {
        if let Move::Owe { member, .. } = declined
            && let Some(account) = self.accounts.get_mut(member)
        {
            account.owed = account.owed.saturating_sub(1);
        }
    }

    /// Refuses those who ask for more places than their pool wants, the newest.
    fn refuse_beyond(&mut self, member: MemberId) -> Vec<Waker> {
        let wants = self.accounts[member].wants;
        let of_it = self
            .line
            .values_mut()
            .filter(|entry| entry.member == member);
        // Those that have got one may not have told their pool yet.
        let asks = of_it.filter(|entry| !matches!(entry.state, Asked::Refused));
        let beyond = asks.skip(wants);
        let waiting = beyond.filter(|entry| matches!(entry.state, Asked::Waiting(_)));
        let refused =
            waiting.filter_map(
                |entry| match std::mem::replace(&mut entry.state, Asked::Refused) {
                    Asked::Waiting(waker) => Some(waker),
                    Asked::Granted | Asked::Refused => None,
                },
            );
        refused.collect()
    }

    fn ask_of(&mut self, can: impl Fn(&MemberId) -> bool) -> Option<Move> {
        let accounts = self.accounts.iter_mut();
        let has_some = accounts.filter(|(member, account)| {
            account.held > account.owed && !account.left && can(member)
        });
        let (member, account) = has_some.max_by_key(|(_, account)| {
            let left = account.held - account.owed;
            (left, std::cmp::Reverse(account.turn))
        })?;
        let patient = account.held - account.owed == 1;
        account.owed += 1;
        Some(Move::Owe { member, patient })
    }

    fn draw(&mut self) -> Ticket {
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        self.last_ticket
    }

    /// Everybody who waits.
    fn standing(&self) -> Vec<Standing> {
        let mut before: HashMap<MemberId, usize> = HashMap::new();
        let asks = self.line.iter();
        let asks = asks.filter(|(_, entry)| !matches!(entry.state, Asked::Refused));
        let standing = asks.filter_map(|(&ticket, &Entry { member, ref state })| {
            let account = &self.accounts[member];
            let before = before.entry(member).or_default();
            let for_callers = *before < account.callers;
            *before += 1;
            let (rank, since) = match (for_callers, account.held) {
                (false, _) => (Rank::Spare, ticket),
                (true, 0) => (Rank::Needy, ticket.max(account.emptied)),
                (true, _) => (Rank::Short, ticket),
            };
            matches!(state, Asked::Waiting(_)).then_some(Standing {
                rank,
                since,
                ticket,
                member,
            })
        });
        standing.collect()
    }

    /// How many pools are needy.
    fn needy(&self) -> usize {
        let standing = self.standing().into_iter();
        let needy = standing.filter(|one| one.rank == Rank::Needy);
        needy.map(|one| one.member).collect::<HashSet<_>>().len()
    }

    /// How many places are to come.
    fn owed(&self) -> usize {
        self.accounts.iter().map(|(_, account)| account.owed).sum()
    }

    /// Closes the account of a pool that is gone with the last that it had.
    fn forget(&mut self, member: MemberId) {
        let account = &self.accounts[member];
        let asks = || self.line.values().any(|entry| entry.member == member);
        if account.left && account.held == 0 && !asks() {
            self.accounts.remove(member);
        }
    }
}

//! Random scripts against the books, with a naive reference beside them that is compared after every step.

#![cfg(test)]

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use proptest::prelude::*;

use super::{Answer, Ledger, Look, MemberId, Move, REST, Ticket};
use crate::transition::Needs;

const POOLS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Ask(MemberId),
    /// How many it wants, and how many of them for callers.
    Hear(MemberId, usize, usize),
    /// One of those in line, by a number that any count fits, looks what has become of it.
    Answer(usize),
    Withdraw(usize),
    /// One of the places that have been picked up comes back.
    GiveBack(usize),
    /// Each pool's longest idle time in units of half of [`REST`], if anything is idle there.
    Move(Vec<Option<u32>>),
    /// A pool that was asked has nothing to give up.
    Decline(usize),
    Leave(MemberId),
}

fn step() -> impl Strategy<Value = Step> {
    let pool = || 0..POOLS;
    let idle = prop::option::weighted(0.3, 0..5_u32);
    prop_oneof![
        6 => pool().prop_map(Step::Ask),
        6 => (pool(), 0..4_usize, 0..4_usize)
            .prop_map(|(pool, wants, callers)| Step::Hear(pool, wants, callers.min(wants))),
        5 => any::<usize>().prop_map(Step::Answer),
        2 => any::<usize>().prop_map(Step::Withdraw),
        5 => any::<usize>().prop_map(Step::GiveBack),
        6 => prop::collection::vec(idle, POOLS).prop_map(Step::Move),
        1 => any::<usize>().prop_map(Step::Decline),
        1 => prop_oneof![9 => Just(Step::Answer(0)), 1 => pool().prop_map(Step::Leave)],
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Granted,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Asker {
    /// When it came.
    came: u32,
    pool: MemberId,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    held: usize,
    owed: usize,
    wants: usize,
    callers: usize,
    emptied: u32,
    /// When it got the first of those that it has.
    turn: u32,
    left: bool,
}

/// The rules in plain lists.
struct Reference {
    total: usize,
    time: u32,
    pools: [Pool; POOLS],
    askers: Vec<(Ticket, Asker)>,
    /// Whose places have been picked up.
    places: Vec<MemberId>,
    asked: Vec<Move>,
}

impl Reference {
    /// 0 for callers without any connection, 1 for others, 2 for nobody; and since when.
    fn rank(&self, asker: Asker) -> (u32, u32) {
        let pool = self.pools[asker.pool];
        let all = self.askers.iter().map(|(_, other)| other);
        let before = all.filter(|other| {
            other.pool == asker.pool && other.came < asker.came && other.state != State::Refused
        });
        match before.count() < pool.callers {
            false => (2, asker.came),
            true if pool.held == 0 => (0, asker.came.max(pool.emptied)),
            true => (1, asker.came),
        }
    }

    fn waiting(&self) -> Vec<Asker> {
        let all = self.askers.iter().map(|(_, asker)| *asker);
        all.filter(|asker| asker.state == State::Waiting).collect()
    }

    fn settle(&mut self) {
        while self.pools.iter().map(|pool| pool.held).sum::<usize>() < self.total {
            let mut waiting = self.waiting();
            waiting.sort_by_key(|asker| (self.rank(*asker), asker.came));
            let Some(first) = waiting.first() else { return };
            let pool = &mut self.pools[first.pool];
            pool.held += 1;
            if pool.held == 1 {
                self.time += 1;
                pool.turn = self.time;
            }
            let mut all = self.askers.iter_mut();
            let asker = all.find(|(_, asker)| asker.came == first.came).unwrap();
            asker.1.state = State::Granted;
        }
    }

    fn refuse(&mut self, pool: MemberId) {
        let of_it = self.askers.iter_mut().map(|(_, asker)| asker);
        let of_it = of_it.filter(|asker| asker.pool == pool && asker.state != State::Refused);
        for asker in of_it.skip(self.pools[pool].wants) {
            if asker.state == State::Waiting {
                asker.state = State::Refused;
            }
        }
    }

    fn give_back(&mut self, pool: MemberId) {
        self.time += 1;
        let pool = &mut self.pools[pool];
        pool.held -= 1;
        pool.owed = pool.owed.saturating_sub(1).min(pool.held);
        if pool.held == 0 {
            pool.emptied = self.time;
        }
    }

    fn needy(&self) -> usize {
        let has_needy = |pool: &MemberId| {
            let waiting = self.waiting();
            let mut of_it = waiting.iter().filter(|asker| asker.pool == *pool);
            of_it.any(|asker| self.rank(*asker).0 == 0)
        };
        (0..POOLS).filter(has_needy).count()
    }

    fn owed(&self) -> usize {
        self.pools.iter().map(|pool| pool.owed).sum()
    }

    /// What would be right to do.
    fn check_move(&mut self, next: Option<Move>, looks: &[Look]) {
        let best = self.waiting().iter().map(|asker| self.rank(*asker).0).min();
        let rest = match best {
            Some(0) => Some(Duration::ZERO),
            Some(1) => Some(REST),
            _ => None,
        };
        let longest = looks.iter().filter_map(|(_, idle)| *idle).max();
        let idle = longest.zip(rest).filter(|(longest, rest)| longest >= rest);
        let (needy, owed) = (self.needy(), self.owed());
        let left = |pool: &Pool| pool.held - pool.owed;
        let here = self.pools.iter().filter(|pool| !pool.left);
        let most = here.clone().map(left).max().unwrap_or(0);
        match next {
            Some(Move::CloseIdle(pool, at_least)) => {
                let (longest, rest) = idle.expect("somebody wants it");
                assert_eq!(at_least, rest);
                assert!(looks.contains(&(pool, Some(longest))));
            }
            Some(Move::Owe { member, patient }) => {
                assert!(idle.is_none() && needy > owed);
                let (asked, pools) = (self.pools[member], self.pools);
                assert!(left(&asked) == most && !asked.left);
                let as_many = pools.iter().filter(|pool| left(pool) == most && !pool.left);
                assert_eq!(as_many.map(|pool| pool.turn).min(), Some(asked.turn));
                assert_eq!(patient, most == 1);
                self.pools[member].owed += 1;
            }
            Some(Move::Forgive(member)) => {
                assert!(idle.is_none() && owed > needy);
                self.pools[member].owed -= 1;
            }
            None => assert!(idle.is_none() && owed >= needy.min(owed + most) && owed <= needy),
        }
    }
}

fn run(total: usize, script: Vec<Step>) {
    let mut ledger = Ledger::new(total);
    let ids: Vec<MemberId> = (0..POOLS).map(|_| ledger.join()).collect();
    assert_eq!(ids, (0..POOLS).collect::<Vec<_>>());
    let mut right = Reference {
        total,
        time: 0,
        pools: [Pool::default(); POOLS],
        askers: Vec::new(),
        places: Vec::new(),
        asked: Vec::new(),
    };
    let mut version = 0;
    for step in script {
        right.time += 1;
        match step {
            Step::Ask(pool) if !right.pools[pool].left => {
                if !right.askers.iter().any(|(_, asker)| asker.pool == pool) {
                    (right.pools[pool].wants, right.pools[pool].callers) = (usize::MAX, 0);
                }
                let ticket = ledger.ask(pool, Waker::noop().clone());
                let (came, state) = (right.time, State::Waiting);
                right.askers.push((ticket, Asker { came, pool, state }));
            }
            Step::Hear(pool, wants, callers) if !right.pools[pool].left => {
                version += 1;
                let needs = Needs {
                    version,
                    wants,
                    callers,
                };
                ledger.hear(pool, needs);
                // What comes late changes nothing.
                let version = version - 1;
                let late = Needs {
                    version,
                    wants: 0,
                    callers: 0,
                };
                assert!(ledger.hear(pool, late).is_empty());
                (right.pools[pool].wants, right.pools[pool].callers) = (wants, callers);
                right.refuse(pool);
            }
            Step::Answer(one) => {
                if let Some(at) = one.checked_rem(right.askers.len()) {
                    let (ticket, asker) = right.askers[at];
                    let answer = ledger.answer(ticket, &mut None);
                    let (expected, gone) = match asker.state {
                        State::Waiting => (None, false),
                        State::Granted => (Some(Answer::Granted), true),
                        State::Refused => (Some(Answer::Refused), true),
                    };
                    assert_eq!(answer, expected);
                    if gone {
                        right.askers.remove(at);
                    }
                    if answer == Some(Answer::Granted) {
                        right.places.push(asker.pool);
                    }
                }
            }
            Step::Withdraw(one) => {
                if let Some(at) = one.checked_rem(right.askers.len()) {
                    let (ticket, asker) = right.askers.remove(at);
                    let waker = ledger.withdraw(ticket);
                    assert_eq!(waker.is_some(), asker.state == State::Waiting);
                    if asker.state == State::Granted {
                        right.give_back(asker.pool);
                    }
                }
            }
            Step::GiveBack(one) => {
                if let Some(at) = one.checked_rem(right.places.len()) {
                    let pool = right.places.remove(at);
                    ledger.give_back(pool);
                    right.give_back(pool);
                }
            }
            Step::Move(idle) => {
                let looks = idle.iter().enumerate();
                let looks = looks
                    .filter(|(pool, _)| right.pools[*pool].held > 0 && !right.pools[*pool].left);
                let looks = looks.map(|(pool, idle)| (pool, idle.map(|halves| REST / 2 * halves)));
                let looks: Vec<Look> = looks.collect();
                let holders: Vec<MemberId> = ledger.holders().collect();
                assert_eq!(
                    holders,
                    looks.iter().map(|(pool, _)| *pool).collect::<Vec<_>>()
                );
                let moves = ledger.has_moves();
                let next = ledger.next_move(&looks, &[]);
                assert!(moves || next.is_none());
                right.check_move(next, &looks);
                right.asked.extend(next);
            }
            Step::Decline(one) => {
                if let Some(at) = one.checked_rem(right.asked.len()) {
                    let asked = right.asked.remove(at);
                    ledger.declined(asked);
                    if let Move::Owe { member, .. } = asked
                        && !right.pools[member].left
                    {
                        let owed = &mut right.pools[member].owed;
                        *owed = owed.saturating_sub(1);
                    }
                }
            }
            Step::Leave(pool) if !right.pools[pool].left => {
                ledger.leave(pool);
                let gone = &mut right.pools[pool];
                (gone.left, gone.owed, gone.wants, gone.callers) = (true, 0, 0, 0);
                right.refuse(pool);
            }
            Step::Ask(_) | Step::Hear(..) | Step::Leave(_) => {}
        }
        ledger.settle();
        right.settle();
        let held: usize = right.pools.iter().map(|pool| pool.held).sum();
        assert_eq!(ledger.taken(), held);
        assert!(held <= total);
        assert_eq!(ledger.waiting(), right.waiting().len());
        let pools = right.pools.iter().filter(|pool| !pool.left);
        assert_eq!(ledger.pools(), pools.count());
        let states: BTreeMap<Ticket, State> = right
            .askers
            .iter()
            .map(|(ticket, asker)| (*ticket, asker.state))
            .collect();
        for (ticket, entry) in &ledger.line {
            let state = match entry.state {
                super::Asked::Waiting(_) => State::Waiting,
                super::Asked::Granted => State::Granted,
                super::Asked::Refused => State::Refused,
            };
            assert_eq!(states.get(ticket), Some(&state));
        }
        assert_eq!(ledger.line.len(), states.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_reference_is_followed(
        total in 1..6_usize,
        script in prop::collection::vec(step(), 0..120),
    ) {
        run(total, script);
    }
}

//! What a script may do, and with which settings.

use std::time::Duration;

use proptest::prelude::*;

use crate::config::Config;
use crate::line::Kind;
use crate::policy::{Priority, QueuePolicy};

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// With a deadline of its own, if any, in so many seconds.
    Ask(Kind, Priority, Option<u64>),
    Try(Kind),
    /// One that came so many seconds ago asks for another than it got.
    Again(Kind, u64),
    /// Callers, held connections and tasks are named by a number that any count fits. The task polled
    /// may be another than before.
    Poll(usize, bool),
    /// One whose deadline has passed is polled.
    Expire(usize),
    Cancel(usize),
    Return(usize),
    Break(usize),
    Detach(usize),
    Connect(usize),
    Fail(usize),
    Lose(usize),
    /// An attempt never comes to an end.
    Hang(usize),
    Drop,
    Check(usize, bool),
    Tick(u64),
    Sweep,
    Doubt,
    Clear,
    Pause,
    Ready,
    Resize(usize),
    Close,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let kind = || prop_oneof![Just(Kind::Exclusive), Just(Kind::Lease)];
    let classes = [Priority::High, Priority::Normal, Priority::Low];
    let class = prop_oneof![
        Just(Priority::Normal),
        prop::sample::select(classes.to_vec())
    ];
    let deadline = prop_oneof![3 => Just(None), 1 => (0..8_u64).prop_map(Some)];
    let one = || any::<usize>();
    prop_oneof![
        10 => (kind(), class, deadline).prop_map(|(kind, class, own)| Step::Ask(kind, class, own)),
        1 => kind().prop_map(Step::Try),
        1 => (kind(), 0..12_u64).prop_map(|(kind, ago)| Step::Again(kind, ago)),
        6 => (one(), any::<bool>()).prop_map(|(one, other)| Step::Poll(one, other)),
        1 => one().prop_map(Step::Expire),
        2 => one().prop_map(Step::Cancel),
        8 => one().prop_map(Step::Return),
        1 => one().prop_map(Step::Break),
        1 => one().prop_map(Step::Detach),
        6 => one().prop_map(Step::Connect),
        2 => one().prop_map(Step::Fail),
        1 => one().prop_map(Step::Lose),
        1 => prop_oneof![4 => Just(Step::Drop), 1 => one().prop_map(Step::Hang)],
        4 => Just(Step::Drop),
        3 => (one(), any::<bool>()).prop_map(|(one, good)| Step::Check(one, good)),
        5 => prop_oneof![4 => 0..6_u64, 1 => 0..30_u64].prop_map(Step::Tick),
        2 => Just(Step::Sweep),
        1 => Just(Step::Doubt),
        1 => prop_oneof![Just(Step::Clear), Just(Step::Pause)],
        1 => prop_oneof![3 => Just(Step::Ready), 1 => Just(Step::Pause)],
        1 => (1..5_usize).prop_map(Step::Resize),
        1 => prop_oneof![19 => Just(Step::Doubt), 1 => Just(Step::Close)],
    ]
}

pub(super) fn config(queue_policy: QueuePolicy) -> impl Strategy<Value = Config> {
    let sizes = (1..5_usize, 1..4_usize, 1..4_usize, 1..9_usize, 0..3_usize);
    let secs = Duration::from_secs;
    let times = (
        prop_oneof![Just(None), Just(Some(secs(10)))],
        prop_oneof![Just(secs(0)), Just(secs(2)), Just(secs(5))],
        prop_oneof![1 => Just(true), 9 => Just(false)],
        prop_oneof![Just(secs(15)), Just(secs(60))],
        prop_oneof![Just(secs(20)), Just(secs(300))],
    );
    (sizes, times).prop_map(
        move |(sizes, (wait_timeout, priority_ageing, start_paused, idle, lifetime))| {
            let (max_size, max_leases, max_connecting, max_waiters, min_idle) = sizes;
            Config {
                max_size,
                max_leases,
                max_connecting,
                max_waiters,
                min_idle: min_idle.min(max_size),
                idle_timeout: Some(idle),
                max_lifetime: Some(lifetime),
                claim_timeout: secs(3),
                wait_timeout,
                priority_ageing,
                start_paused,
                queue_policy,
                ..Config::default()
            }
        },
    )
}

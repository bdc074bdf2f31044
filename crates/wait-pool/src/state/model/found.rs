//! Scripts that the state machine once got wrong, or that chance seldom finds.

use std::time::Duration;

use super::script::Step::{
    self, Ask, Cancel, Close, Connect, Doubt, Lose, Poll, Resize, Return, Tick,
};
use super::{lifo, run};
use crate::config::Config;
use crate::line::Kind::{Exclusive, Lease};
use crate::policy::Priority::{Low, Normal};
use crate::policy::QueuePolicy;

fn check(max_size: usize, queue_policy: QueuePolicy, script: &[Step]) {
    let config = Config {
        max_size,
        queue_policy,
        max_leases: 2,
        wait_timeout: None,
        check_idle_after: Duration::from_secs(4),
        claim_timeout: Duration::from_secs(3),
        ..Config::default()
    };
    run(&config, true, script.to_vec());
}

#[test]
fn a_lease_that_comes_first_has_what_was_set_aside() {
    let script = [
        Ask(Lease, Normal, None),
        Connect(0),
        Ask(Exclusive, Low, None),
        Ask(Lease, Normal, None),
    ];
    check(1, QueuePolicy::Fifo, &script);
}

#[test]
fn who_was_absent_when_the_pool_was_closed_is_told() {
    let script = [
        Ask(Exclusive, Normal, None),
        Connect(0),
        Ask(Exclusive, Normal, None),
        Tick(3),
        Close,
        Poll(0, false),
    ];
    check(1, QueuePolicy::Fifo, &script);
}

#[test]
fn a_connection_that_came_back_unused_hides_no_fresh_one() {
    let script = [
        Ask(Exclusive, Normal, None),
        Ask(Exclusive, Normal, None),
        Connect(0),
        Connect(0),
        Poll(1, false),
        Tick(5),
        Return(0),
        Cancel(0),
        Ask(Exclusive, Normal, None),
    ];
    check(2, QueuePolicy::Fifo, &script);
}

#[test]
fn a_late_one_behind_one_in_time_is_passed_over() {
    let script = [
        Ask(Lease, Normal, None),
        Ask(Lease, Normal, Some(1)),
        Tick(2),
        Connect(0),
    ];
    check(1, QueuePolicy::Fifo, &script);
}

#[test]
fn a_late_one_is_passed_over_in_an_overload() {
    let script = [
        Ask(Exclusive, Normal, None),
        Connect(0),
        Poll(0, false),
        Ask(Exclusive, Normal, None),
        Ask(Exclusive, Normal, Some(1)),
        Tick(3),
        Return(0),
    ];
    check(1, lifo(), &script);
}

#[test]
fn an_overload_ends_with_its_line() {
    let script = [
        Ask(Exclusive, Normal, None),
        Connect(0),
        Poll(0, false),
        Ask(Lease, Normal, None),
        Tick(3),
        Return(0),
        Ask(Exclusive, Normal, None),
        Ask(Exclusive, Normal, None),
    ];
    check(1, lifo(), &script);
}

#[test]
fn the_short_way_back_passes_over_who_is_late_too() {
    let script = [
        Ask(Exclusive, Normal, None),
        Ask(Exclusive, Normal, None),
        Connect(0),
        Connect(0),
        Poll(0, false),
        Ask(Exclusive, Normal, Some(1)),
        Tick(2),
        Return(0),
    ];
    check(2, QueuePolicy::Fifo, &script);
}

#[test]
fn a_lease_that_was_not_picked_up_clears_no_doubt() {
    let script = [
        Ask(Lease, Normal, None),
        Connect(0),
        Doubt,
        Cancel(0),
        Ask(Lease, Normal, None),
    ];
    check(1, QueuePolicy::Fifo, &script);
}

#[test]
fn a_lease_that_was_not_picked_up_makes_no_connection_older() {
    let script = [
        Ask(Lease, Normal, None),
        Ask(Lease, Normal, None),
        Connect(0),
        Poll(0, false),
        Tick(4),
        Return(0),
        Tick(1),
        Cancel(0),
        Ask(Exclusive, Normal, None),
    ];
    check(1, QueuePolicy::Fifo, &script);
}

#[test]
fn of_two_used_at_once_the_doubted_one_hides_no_other() {
    let script = [
        Ask(Exclusive, Normal, None),
        Ask(Exclusive, Normal, None),
        Connect(0),
        Doubt,
        Connect(0),
        Poll(1, false),
        Return(0),
        Cancel(0),
        Ask(Exclusive, Normal, None),
    ];
    check(2, QueuePolicy::Fifo, &script);
}

#[test]
fn a_lease_that_ends_has_the_keeper_see_to_the_oldest() {
    let config = Config {
        max_size: 2,
        max_leases: 1,
        min_idle: 1,
        idle_timeout: Some(Duration::from_secs(60)),
        ..Config::default()
    };
    let script = [
        Ask(Lease, Normal, None),
        Connect(0),
        Poll(0, false),
        Connect(0),
        Tick(59),
        Resize(2),
        Tick(2),
        Return(0),
    ];
    run(&config, true, script.to_vec());
}

#[test]
fn who_is_called_for_a_lost_attempt_and_served_leaves_it_to_the_next() {
    let script = [
        Ask(Exclusive, Normal, None),
        Ask(Exclusive, Normal, None),
        Connect(0),
        Poll(0, false),
        Ask(Exclusive, Normal, None),
        Lose(0),
        Return(0),
    ];
    check(2, QueuePolicy::Fifo, &script);
}

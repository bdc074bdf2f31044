//! Callers who give up while they are being served.

use super::*;

#[test]
fn a_waiter_that_leaves_passes_on_what_it_was_given() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        let leaver = in_line(get(&pool));
        let next = user("next", in_line(get(&pool)));
        let leaver = thread::spawn(move || drop(leaver));
        drop(held);
        join([leaver, next]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn several_waiters_leave_and_the_last_is_served() {
    explore(FEWER, || {
        let (pool, held) = pool_in_use(config());
        let leavers = [in_line(get(&pool)), in_line(get(&pool))];
        let last = user("last", in_line(get(&pool)));
        let leavers = leavers.map(|leaver| thread::spawn(move || drop(leaver)));
        drop(held);
        join(leavers);
        join([last]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn a_caller_who_comes_and_goes_takes_nothing_along() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        let next = user("next", in_line(get(&pool)));
        let mut fickle = get(&pool);
        let fickle = thread::spawn(move || drop(poll(&mut fickle)));
        drop(held);
        join([fickle, next]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn nobody_is_left_and_the_connection_stays() {
    explore(NO_BOUND, || {
        let (pool, held) = pool_in_use(config());
        let leaver = in_line(get(&pool));
        let leaver = thread::spawn(move || drop(leaver));
        drop(held);
        join([leaver]);
        assert_at_rest(&pool, 1);
    });
}

/// The keeper takes a grant back from one who leaves.
#[test]
fn a_waiter_leaves_while_its_grant_is_taken_back() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(Config {
            claim_timeout: Duration::ZERO,
            ..config()
        });
        let leaver = in_line(get(&pool));
        let next = user("next", in_line(get(&pool)));
        drop(held);
        let leaver = thread::spawn(move || drop(leaver));
        pool.sweep();
        join([leaver, next]);
        assert_at_rest(&pool, 1);
    });
}

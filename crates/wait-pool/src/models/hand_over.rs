//! A connection that comes free meets those who wait and those who just come.

use super::*;

#[test]
fn two_callers_take_turns() {
    explore(NO_BOUND, || {
        let (pool, held) = pool_in_use(config());
        drop(held);
        let other = user("other", get(&pool));
        block_on(get(&pool)).unwrap().use_alone("main");
        join([other]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn three_callers_take_turns() {
    explore(FEWER, || {
        let (pool, held) = pool_in_use(config());
        drop(held);
        let others = ["one", "two"].map(|name| user(name, get(&pool)));
        block_on(get(&pool)).unwrap().use_alone("main");
        join(others);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn a_caller_who_comes_during_a_return_is_served() {
    explore(NO_BOUND, || {
        let (pool, held) = pool_in_use(config());
        let newcomer = user("newcomer", get(&pool));
        drop(held);
        join([newcomer]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn a_newcomer_does_not_get_by_a_waiter() {
    explore(FEW, || nobody_gets_by(config()));
}

/// Where the keeper has to be told to come sooner, which the short way leaves to the long one.
#[test]
fn a_newcomer_does_not_get_by_a_waiter_on_the_long_way() {
    let claim_timeout = HOUR / 2;
    explore(FEW, move || {
        nobody_gets_by(Config {
            claim_timeout,
            ..config()
        });
    });
}

fn nobody_gets_by(config: Config) {
    let (pool, held) = pool_in_use(config);
    let waiter = user("waiter", in_line(get(&pool)));
    let newcomer = user("newcomer", get(&pool));
    drop(held);
    join([waiter, newcomer]);
    assert_at_rest(&pool, 1);
    let connection = block_on(get(&pool)).unwrap();
    assert_eq!(connection.users, ["waiter", "newcomer"]);
}

#[test]
fn who_does_not_wait_does_not_get_by_a_waiter() {
    explore(NO_BOUND, || {
        let (pool, held) = pool_in_use(config());
        let waiter = user("waiter", in_line(get(&pool)));
        drop(held);
        if let Some(mut found) = try_get(&pool) {
            found.use_alone("main");
            assert_eq!(found.users, ["waiter", "main"]);
        }
        join([waiter]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn a_grant_that_nobody_picks_up_moves_on() {
    explore(NO_BOUND, || {
        let (pool, held) = pool_in_use(Config {
            claim_timeout: Duration::ZERO,
            ..config()
        });
        let forgotten = in_line(get(&pool));
        let next = user("next", in_line(get(&pool)));
        drop(held);
        pool.sweep();
        join([next]);
        drop(forgotten);
        assert_at_rest(&pool, 1);
    });
}

/// The keeper takes back what nobody has picked up, while its owner may be about to.
#[test]
fn a_grant_that_is_taken_back_is_given_to_each_in_turn() {
    explore(FEWER, || {
        let (pool, held) = pool_in_use(Config {
            claim_timeout: Duration::ZERO,
            ..config()
        });
        let waiters = ["first", "second"].map(|name| user(name, in_line(get(&pool))));
        drop(held);
        pool.sweep();
        join(waiters);
        assert_at_rest(&pool, 1);
    });
}

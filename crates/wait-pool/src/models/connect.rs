//! A connection arrives, or its attempt is lost, among those who wait.

use super::*;

#[test]
fn who_waits_gets_what_arrives_and_a_newcomer_the_same_after_it() {
    explore(FEWER, || {
        let pool = pool(config());
        let waiter = user("waiter", in_line(get(&pool)));
        let newcomer = user("newcomer", get(&pool));
        open(&pool, 0);
        join([waiter, newcomer]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn who_has_it_opened_leaves_as_it_arrives() {
    explore(FEW, || {
        let pool = pool(config());
        let leaver = in_line(get(&pool));
        let next = user("next", in_line(get(&pool)));
        let leaver = thread::spawn(move || drop(leaver));
        open(&pool, 0);
        join([leaver, next]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn a_lost_attempt_is_begun_again() {
    explore(NO_BOUND, || {
        let pool = pool(config());
        let waiter = user("waiter", in_line(get(&pool)));
        pool.attempt_lost(false);
        while pool.status().opening == 0 {
            thread::yield_now();
        }
        open(&pool, 0);
        join([waiter]);
        assert_at_rest(&pool, 1);
    });
}

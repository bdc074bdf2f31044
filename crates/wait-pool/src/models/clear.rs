//! All connections are replaced while some are taken, come back or arrive.

use super::*;

/// Runs the attempt that was begun after a clear, if one was. Says how many.
fn open_another(pool: &Pool) -> usize {
    let opening = pool.status().opening;
    for _ in 0..opening {
        open(pool, 1);
    }
    opening
}

#[test]
fn a_connection_that_is_taken_meanwhile_is_not_kept() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        drop(held);
        let other = Arc::clone(&pool);
        let other = thread::spawn(move || {
            if let Some(mut found) = try_get(&other) {
                found.use_alone("other");
            }
        });
        let clearer = Arc::clone(&pool);
        let clearer = thread::spawn(move || clearer.clear());
        if let Some(mut found) = try_get(&pool) {
            found.use_alone("main");
        }
        join([other, clearer]);
        assert_at_rest(&pool, 0);
    });
}

#[test]
fn a_waiter_gets_what_comes_back_or_another() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        let waiter = user("waiter", in_line(get(&pool)));
        let clearer = Arc::clone(&pool);
        let clearer = thread::spawn(move || clearer.clear());
        drop(held);
        join([clearer]);
        let another = open_another(&pool);
        join([waiter]);
        assert_at_rest(&pool, another);
    });
}

#[test]
fn what_comes_back_afterwards_reaches_nobody() {
    explore(NO_BOUND, || {
        let (pool, mut held) = pool_in_use(config());
        held.use_alone("before");
        let waiter = user("waiter", in_line(get(&pool)));
        pool.clear();
        drop(held);
        open(&pool, 1);
        join([waiter]);
        assert_at_rest(&pool, 1);
        let connection = block_on(get(&pool)).unwrap();
        assert_eq!(connection.users, ["waiter"]);
    });
}

#[test]
fn a_connection_that_arrives_is_of_its_time() {
    explore(FEW, || {
        let pool = pool(config());
        let waiter = user("waiter", in_line(get(&pool)));
        let opener = Arc::clone(&pool);
        let opener = thread::spawn(move || open(&opener, 0));
        pool.clear();
        join([opener]);
        let another = open_another(&pool);
        join([waiter]);
        assert_at_rest(&pool, another);
    });
}

//! The end of a pool meets those who wait, what comes back and what arrives.

use std::future::poll_fn;

use super::*;

/// Waits in a thread of its own, and gets the connection or is told that the pool is closed.
fn turned_away_or_served(waiting: Waiting<Pooled<Maker>>) -> JoinHandle<()> {
    thread::spawn(move || match block_on(waiting) {
        Ok(mut connection) => connection.use_alone("a waiter"),
        Err(error) => assert!(matches!(error, AcquireError::Closed), "{error}"),
    })
}

fn closer(pool: &Pool) -> JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || pool.close())
}

#[test]
fn a_waiter_is_told_or_served() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        let waiter = turned_away_or_served(in_line(get(&pool)));
        let closer = closer(&pool);
        drop(held);
        join([waiter, closer]);
        assert_at_rest(&pool, 0);
    });
}

#[test]
fn a_newcomer_is_told_or_served() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        let newcomer = turned_away_or_served(get(&pool));
        let closer = closer(&pool);
        drop(held);
        join([newcomer, closer]);
        assert_at_rest(&pool, 0);
    });
}

#[test]
fn waiters_are_told_without_a_return() {
    explore(FEW, || {
        let (pool, held) = pool_in_use(config());
        let waiters = [in_line(get(&pool)), get(&pool)].map(turned_away_or_served);
        pool.close();
        join(waiters);
        drop(held);
        assert_at_rest(&pool, 0);
    });
}

#[test]
fn a_connection_that_arrives_is_closed() {
    explore(FEW, || {
        let pool = pool(config());
        let waiter = turned_away_or_served(in_line(get(&pool)));
        let closer = closer(&pool);
        open(&pool, 0);
        join([waiter, closer]);
        assert_at_rest(&pool, 0);
    });
}

#[test]
fn who_waits_for_the_end_hears_of_the_last_return() {
    explore(NO_BOUND, || {
        let (pool, held) = pool_in_use(config());
        let ended = Arc::clone(&pool);
        let ended = thread::spawn(move || {
            ended.close();
            block_on(poll_fn(|cx| match ended.drained(cx.waker().clone()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }));
        });
        drop(held);
        join([ended]);
        assert_at_rest(&pool, 0);
    });
}

//! Shared connections, which become free with the last of their leases.

use super::*;

/// A pool, and two leases on its connection.
fn pool_on_lease() -> (Pool, [Lease<Maker>; 2]) {
    let (pool, held) = pool_in_use(config());
    drop(held);
    let leases = [(); 2].map(|()| block_on(lease(&pool)).unwrap());
    (pool, leases)
}

#[test]
fn the_last_lease_to_end_serves_who_wants_the_connection_alone() {
    explore(FEW, || {
        let (pool, [one, two]) = pool_on_lease();
        let waiter = user("waiter", in_line(get(&pool)));
        let one = thread::spawn(move || one.use_shared());
        two.use_shared();
        drop(two);
        join([one, waiter]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn leases_and_who_wants_the_connection_alone_are_all_served() {
    explore(FEW, || {
        let (pool, [one, two]) = pool_on_lease();
        drop(one);
        let waiter = user("waiter", in_line(get(&pool)));
        let newcomer = lease(&pool);
        let newcomer = thread::spawn(move || block_on(newcomer).unwrap().use_shared());
        two.use_shared();
        drop(two);
        join([newcomer, waiter]);
        assert_at_rest(&pool, 1);
    });
}

#[test]
fn who_wanted_the_connection_alone_leaves_and_leases_go_on() {
    explore(FEW, || {
        let (pool, [one, two]) = pool_on_lease();
        let leaver = in_line(get(&pool));
        let next = in_line(lease(&pool));
        let next = thread::spawn(move || block_on(next).unwrap().use_shared());
        let leaver = thread::spawn(move || drop(leaver));
        drop(one);
        join([leaver, next]);
        drop(two);
        assert_at_rest(&pool, 1);
    });
}

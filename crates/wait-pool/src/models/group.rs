//! Two or three pools that share one place.

use super::*;
use crate::group::Group;

/// Pools of a group with one place, which is in use by the first.
fn pools<const N: usize>() -> (Group, [Pool; N], Pooled<Maker>) {
    let group = Group::new(1).unwrap();
    let pools = [(); N].map(|()| {
        let made_by = Maker(Arc::default());
        Shared::in_group(made_by, config(), Observers::default(), Some(&group))
    });
    let mut first = in_line(get(&pools[0]));
    open(&pools[0], 0);
    let Poll::Ready(Ok(held)) = poll(&mut first) else {
        panic!("there is a connection for it");
    };
    (group, pools, held)
}

/// An attempt that has to wait for room.
fn held_up(pool: &Pool) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let opens = Opens {
        after: Duration::ZERO,
        generation: 0,
        number: 0,
    };
    let mut attempt = Box::pin(attempt(pool, opens));
    assert!(poll(&mut attempt).is_pending());
    attempt
}

#[track_caller]
fn assert_taken(group: &Group, pools: &[Pool]) {
    let open = pools
        .iter()
        .map(|pool| Arc::strong_count(&pool.manager.0) - 1);
    assert!(group.status().connections == 1 && open.sum::<usize>() == 1);
    assert_eq!(group.status().held_up, 0);
}

#[test]
fn what_comes_back_in_one_pool_makes_room_in_the_other() {
    explore(FEW, || {
        let (group, pools, held) = pools::<2>();
        let waiter = in_line(get(&pools[1]));
        let other = Arc::clone(&pools[1]);
        let opening = thread::spawn(move || open(&other, 0));
        drop(held);
        join([opening]);
        block_on(waiter).unwrap().use_alone("waiter");
        assert_taken(&group, &pools);
        assert_at_rest(&pools[1], 1);
    });
}

#[test]
fn who_waits_for_room_leaves_as_it_comes_and_the_next_gets_it() {
    explore(FEWER, || {
        let (group, pools, held) = pools::<3>();
        let leaver = in_line(get(&pools[1]));
        let waiter = in_line(get(&pools[2]));
        let lost = held_up(&pools[1]);
        let leaving = thread::spawn(move || drop((lost, leaver)));
        let giving = thread::spawn(move || drop(held));
        open(&pools[2], 0);
        join([leaving, giving]);
        block_on(waiter).unwrap().use_alone("waiter");
        assert_taken(&group, &pools);
    });
}

#[test]
fn a_pool_that_takes_its_connection_again_pays_when_it_comes_back() {
    explore(FEWER, || {
        let (group, pools, held) = pools::<2>();
        let waiter = in_line(get(&pools[1]));
        let other = Arc::clone(&pools[1]);
        let opening = thread::spawn(move || open(&other, 0));
        drop(held);
        if let Some(again) = try_get(&pools[0]) {
            drop(again);
        }
        join([opening]);
        block_on(waiter).unwrap().use_alone("waiter");
        assert_taken(&group, &pools);
    });
}

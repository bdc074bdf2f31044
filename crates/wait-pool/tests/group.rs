//! Pools that share a bound. The connections of all are counted by one backend.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Backend, Connector, Gate, runtime, settle, until};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::advance;
use wait_pool::{AcquireError, Builder, Group, Lease, Manager, Phase, Pool, Pooled};

/// What becomes of a connection.
type End = fn(&Pool<Connector>, Pooled<Connector>);
type Setup = fn(Builder<Connector>) -> Builder<Connector>;

const MS: Duration = Duration::from_millis(1);

fn plain(builder: Builder<Connector>) -> Builder<Connector> {
    builder.wait_timeout(None)
}

/// Pools of one backend and one bound.
fn pools<const N: usize>(
    backend: &Arc<Backend>,
    total: usize,
    setup: Setup,
) -> (Group, [Pool<Connector>; N]) {
    let group = Group::new(total).unwrap();
    let pools = [(); N].map(|()| setup(backend.pool().group(&group)).build().unwrap());
    (group, pools)
}

fn get(pool: &Pool<Connector>) -> JoinHandle<Pooled<Connector>> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.get().await.unwrap() })
}

fn lease(pool: &Pool<Connector>) -> JoinHandle<Lease<Connector>> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.lease().await.unwrap() })
}

/// Whether a caller has been served, once everything that can happen has.
async fn is_served<T>(caller: &JoinHandle<T>) -> bool {
    settle().await;
    caller.is_finished()
}

/// Nothing of it is left.
#[track_caller]
fn assert_free(group: &Group, backend: &Backend) {
    let status = group.status();
    assert_eq!((status.connections, status.held_up), (0, 0));
    assert_eq!(backend.live(), 0);
}

/// Callers of all pools, alone and together with others, for many rounds.
async fn crowd(pools: &[Pool<Connector>], callers: usize, rounds: usize) {
    let mut crowd = JoinSet::new();
    for caller in 0..callers {
        let pools = pools.to_vec();
        crowd.spawn(async move {
            for round in 0..rounds {
                let pool = &pools[(caller + round * 7) % pools.len()];
                if (caller + round) % 3 == 0 {
                    let held = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                    drop(held);
                } else {
                    let held = pool.lease().await.unwrap();
                    tokio::task::yield_now().await;
                    drop(held);
                }
            }
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
}

fn crowded(builder: Builder<Connector>) -> Builder<Connector> {
    plain(builder).max_size(3).max_leases(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_over_all_pools_never_has_more_than_the_bound() {
    let backend = Backend::new(Gate::Slow);
    let (group, pools) = pools::<3>(&backend, 4, crowded);
    crowd(&pools, 60, 60).await;
    assert_eq!(backend.peak(), 4);
    assert!(group.status().connections <= 4);
    drop(pools);
    until("all are gone", || backend.live() == 0).await;
    assert_free(&group, &backend);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fewer_places_than_pools_everybody_is_served_all_the_same() {
    for total in [1, 2] {
        let backend = Backend::new(Gate::Slow);
        let (group, pools) = pools::<3>(&backend, total, crowded);
        crowd(&pools, 30, 30).await;
        assert_eq!(backend.peak(), total);
        drop(pools);
        until("all are gone", || backend.live() == 0).await;
        assert_free(&group, &backend);
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_been_idle_for_longest_makes_room() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [one, other, third]) = pools::<3>(&backend, 2, plain);
    drop(one.get().await.unwrap());
    advance(5 * MS).await;
    drop(other.get().await.unwrap());
    advance(5 * MS).await;
    // The pool has none, so how long is no matter.
    let held = third.get().await.unwrap();
    assert_eq!((one.status().idle, other.status().idle), (0, 1));
    let used = other.get().await.unwrap();
    drop(held);
    advance(5 * MS).await;
    drop(used);
    drop(one.get().await.unwrap());
    assert_eq!((other.status().idle, third.status().idle), (1, 0));
    assert_eq!(backend.peak(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_some_gets_only_what_has_rested() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [busy, other]) = pools::<2>(&backend, 2, plain);
    let first = busy.get().await.unwrap();
    drop(other.get().await.unwrap());
    advance(50 * MS).await;
    let second = get(&busy);
    assert!(!is_served(&second).await);
    assert_eq!(busy.status().held_up, 1);
    drop(other.get().await.unwrap());
    advance(99 * MS).await;
    assert!(!is_served(&second).await);
    assert_eq!(other.status().idle, 1);
    advance(2 * MS).await;
    assert!(is_served(&second).await);
    assert_eq!((other.status().idle, busy.status().in_use), (0, 2));
    assert_eq!(busy.status().held_up, 0);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_a_moment_makes_room_for_a_pool_that_has_none() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [one, other]) = pools::<2>(&backend, 1, plain);
    let held = one.get().await.unwrap();
    let waiting = get(&other);
    assert!(!is_served(&waiting).await);
    let (held_up, opening) = (other.status().held_up, other.status().opening);
    assert_eq!((held_up, opening, other.status().size), (1, 0, 0));
    drop(held);
    assert!(is_served(&waiting).await);
    assert_eq!(backend.peak(), 1);
}

/// Keeps a pool's connections in use without a break: somebody has always a part in each while the
/// next comes. Nobody has one while he waits for another.
struct Busy {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Busy {
    fn new(pool: &Pool<Connector>, callers: u32) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let tasks = (0..callers).map(|caller| {
            let (pool, stop, served) = (pool.clone(), Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                tokio::time::sleep(caller * MS).await;
                while !stop.load(SeqCst) {
                    let _lease = pool.lease().await.unwrap();
                    served.fetch_add(1, SeqCst);
                    tokio::time::sleep(3 * MS).await;
                }
            })
        });
        let tasks = tasks.collect();
        Self {
            stop,
            served,
            tasks,
        }
    }

    fn served(&self) -> usize {
        self.served.load(SeqCst)
    }

    async fn stop(self) {
        self.stop.store(true, SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Lets time go by step by step.
async fn pass(steps: usize) {
    for _ in 0..steps {
        tokio::time::sleep(MS).await;
    }
}

fn shared(builder: Builder<Connector>) -> Builder<Connector> {
    plain(builder).max_leases(4).max_size(3)
}

#[tokio::test(start_paused = true)]
async fn the_pool_with_the_most_lets_one_go_though_its_callers_never_pause() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [rich, poor, none]) = pools::<3>(&backend, 4, shared);
    let rich_callers = Busy::new(&rich, 12);
    pass(20).await;
    assert_eq!(rich.status().in_use, 3);
    let poor_callers = Busy::new(&poor, 4);
    pass(20).await;
    assert_eq!((rich.status().in_use, poor.status().in_use), (3, 1));
    let waiting = lease(&none);
    pass(20).await;
    assert!(waiting.is_finished());
    assert_eq!((rich.status().in_use, poor.status().in_use), (2, 1));
    assert_eq!(backend.peak(), 4);
    rich_callers.stop().await;
    poor_callers.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pools_without_enough_places_take_turns_of_some_length() {
    let backend = Backend::new(Gate::Takes(MS));
    let (_group, pools) = pools::<3>(&backend, 2, shared);
    let busy = pools.each_ref().map(|pool| Busy::new(pool, 4));
    pass(1_000).await;
    for (pool, busy) in pools.iter().zip(&busy) {
        let served = busy.served();
        assert!(served > 500, "{served} were served by {pool:?}");
    }
    assert_eq!(backend.peak(), 2);
    // Each turn costs a connection: fifty a second and place at most.
    let attempts = backend.attempts();
    assert!(attempts <= 100, "{attempts}");
    for one in busy {
        one.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn exclusive_callers_are_not_passed_for_ever_either() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [one, other]) = pools::<2>(&backend, 1, plain);
    let callers = |pool: &Pool<Connector>| {
        let callers = (0..40).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let _held = pool.get().await.unwrap();
                tokio::time::sleep(5 * MS).await;
            })
        });
        callers.collect::<Vec<_>>()
    };
    let many = callers(&one);
    settle().await;
    let waiting = get(&other);
    pass(40).await;
    assert!(waiting.is_finished());
    drop(waiting.await.unwrap());
    for one in many {
        one.await.unwrap();
    }
    assert_eq!(backend.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn among_those_that_have_none_it_is_first_come_first_served() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [holder, first, second, third]) = pools::<4>(&backend, 1, plain);
    let held = holder.get().await.unwrap();
    let waiting = [&second, &first, &third].map(get);
    // They line up in the order of the tasks.
    settle().await;
    drop(held);
    for one in waiting {
        assert!(is_served(&one).await);
        drop(one.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn min_idle_gives_way_to_callers_and_takes_nothing_from_anybody() {
    let backend = Backend::new(Gate::Ok);
    let group = Group::new(2).unwrap();
    let builder = plain(backend.pool().group(&group)).min_idle(2);
    let ready = builder.build().unwrap();
    let other = plain(backend.pool().group(&group)).build().unwrap();
    drop(ready.get().await.unwrap());
    settle().await;
    assert_eq!(ready.status().idle, 2);
    advance(200 * MS).await;
    let held = [other.get().await.unwrap(), other.get().await.unwrap()];
    assert_eq!((other.status().in_use, ready.status().size), (2, 0));
    let [one, two] = held;
    drop((one, two));
    advance(200 * MS).await;
    settle().await;
    assert_eq!((other.status().idle, ready.status().idle), (2, 0));
    // With its own callers it is another matter.
    drop(ready.get().await.unwrap());
    advance(200 * MS).await;
    settle().await;
    assert_eq!((other.status().idle, ready.status().idle), (1, 1));
    other.close();
    settle().await;
    assert_eq!(ready.status().idle, 2);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_at_the_bound_leaves_nothing_behind() {
    let backend = Backend::new(Gate::Ok);
    let (group, [one, other, third]) = pools::<3>(&backend, 1, plain);
    let held = one.get().await.unwrap();
    let waiting = get(&other);
    assert!(!is_served(&waiting).await);
    assert_eq!(group.status().held_up, 1);
    waiting.abort();
    settle().await;
    assert_eq!((group.status().held_up, other.status().held_up), (0, 0));
    let next = get(&third);
    drop(held);
    assert!(is_served(&next).await);
    assert_eq!((backend.attempts(), backend.peak()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_any_more_is_not_given_up() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [one, other]) = pools::<2>(&backend, 1, plain);
    let held = one.get().await.unwrap();
    let waiting = get(&other);
    pass(30).await;
    assert!(!waiting.is_finished());
    waiting.abort();
    settle().await;
    let number = held.number;
    let next = get(&one);
    settle().await;
    drop(held);
    assert_eq!(next.await.unwrap().number, number);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_whatever_becomes_of_its_connection() {
    let backend = Backend::new(Gate::Ok);
    let (group, [pool, next]) = pools::<2>(&backend, 1, plain);
    let ways: [(&str, End); 5] = [
        ("discarded", |_, held| held.discard()),
        ("detached", |_, held| drop(held.detach())),
        ("broken", |_, held| held.broken.store(true, SeqCst)),
        ("cleared", |pool, held| {
            pool.clear();
            drop(held);
        }),
        ("closed for another", |_, held| drop(held)),
    ];
    for (way, end) in ways {
        let held = pool.get().await.unwrap();
        assert_eq!(group.status().connections, 1);
        let waiting = get(&next);
        settle().await;
        end(&pool, held);
        assert!(is_served(&waiting).await, "{way}");
        drop(waiting.await.unwrap());
    }
    pool.close();
    next.close();
    assert_free(&group, &backend);
    assert_eq!(backend.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_whatever_becomes_of_the_attempt() {
    let backend = Backend::new(Gate::Ok);
    let short = |builder: Builder<Connector>| plain(builder).connect_timeout(10 * MS);
    for gate in [Gate::Error, Gate::Panic, Gate::Never] {
        let (group, [pool, next]) = pools::<2>(&backend, 1, short);
        *backend.connect.lock() = gate;
        let error = pool.get().await.unwrap_err();
        assert!(
            matches!(error, AcquireError::Connect(_)),
            "{gate:?}: {error}"
        );
        settle().await;
        *backend.connect.lock() = Gate::Ok;
        drop(next.get().await.unwrap());
        next.close();
        assert_free(&group, &backend);
    }
    assert_eq!(backend.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_connect_has_no_place_while_it_pauses() {
    let backend = Backend::new(Gate::Ok);
    let (group, [pool, other]) = pools::<2>(&backend, 1, plain);
    *backend.connect.lock() = Gate::Error;
    let failed = pool.get().await;
    assert!(failed.is_err());
    let waiting = get(&pool);
    settle().await;
    assert_eq!((group.status().connections, pool.status().opening), (0, 1));
    *backend.connect.lock() = Gate::Ok;
    let held = other.get().await.unwrap();
    advance(Duration::from_secs(2)).await;
    assert!(!is_served(&waiting).await);
    drop(held);
    assert!(is_served(&waiting).await);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_made_smaller_or_dropped_makes_room() {
    let backend = Backend::new(Gate::Ok);
    let (group, [large, other]) = pools::<2>(&backend, 3, plain);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(large.get().await.unwrap());
    }
    drop(held);
    large.resize(1).unwrap();
    assert_eq!(group.status().connections, 1);
    let two = [other.get().await.unwrap(), other.get().await.unwrap()];
    let third = get(&other);
    assert!(!is_served(&third).await);
    drop(large);
    assert!(is_served(&third).await);
    assert_eq!(group.status().pools, 1);
    drop((two, third.await.unwrap(), other));
    assert_free(&group, &backend);
    assert_eq!(backend.peak(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_a_pool_that_closes_or_pauses_wants_no_place() {
    let backend = Backend::new(Gate::Ok);
    for stop in [Pool::close, Pool::pause] {
        let (group, [one, other]) = pools::<2>(&backend, 1, plain);
        let held = one.get().await.unwrap();
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.get().await.map(drop) }
        });
        settle().await;
        assert_eq!(group.status().held_up, 1);
        stop(&other);
        assert!(waiting.await.unwrap().is_err());
        settle().await;
        assert_eq!((group.status().held_up, other.status().held_up), (0, 0));
        drop(held);
        settle().await;
        assert_eq!((one.status().idle, group.status().connections), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_that_the_group_had_no_room() {
    let backend = Backend::new(Gate::Ok);
    let (_group, [one, other]) = pools::<2>(&backend, 1, |it| it.wait_timeout(10 * MS));
    let _held = one.get().await.unwrap();
    let error = other.get().await.unwrap_err();
    let text = error.to_string();
    let AcquireError::Timeout(timeout) = error else {
        panic!("{text}")
    };
    assert_eq!(timeout.phase, Phase::HeldUp);
    assert!(text.contains("its group had no room"), "{text}");
}

#[test]
fn a_runtime_that_ends_takes_no_place_with_it() {
    let backend = Backend::new(Gate::Never);
    let (group, [one, other]) = pools::<2>(&backend, 1, plain);
    let first = runtime();
    first.block_on(async {
        // One has the place, the other stands in line for it.
        let waiting = [get(&one), get(&other)];
        settle().await;
        assert_eq!((group.status().connections, group.status().held_up), (1, 1));
        drop(waiting);
    });
    drop(first);
    let status = group.status();
    assert_eq!((status.connections, status.held_up), (0, 0));
    *backend.connect.lock() = Gate::Ok;
    runtime().block_on(async {
        drop(other.get().await.unwrap());
    });
    assert_eq!(backend.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn alone_in_a_group_a_pool_has_what_the_group_has() {
    let backend = Backend::new(Gate::Ok);
    let (group, [pool]) = pools::<1>(&backend, 2, plain);
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    let third = get(&pool);
    assert!(!is_served(&third).await);
    assert_eq!((pool.status().size, pool.status().held_up), (2, 1));
    drop(held);
    assert!(is_served(&third).await);
    assert_eq!((backend.attempts(), group.status().held_up), (2, 0));
}

#[test]
fn a_group_of_nothing_is_refused() {
    let refused = Group::new(0).unwrap_err();
    assert_eq!(refused.setting(), "max_connections");
}

/// Callers that give up, connections that break, attempts that fail, pools that are cleared and
/// resized: whatever happens, places are neither lost nor made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_neither_loses_nor_makes_places() {
    let backend = Backend::new(Gate::Slow);
    let stormy: Setup = |builder| {
        let builder = plain(builder).max_size(3).max_leases(2).min_idle(1);
        builder.connect_backoff(MS, 2 * MS)
    };
    let (group, pools) = pools::<4>(&backend, 3, stormy);
    let mut crowd = JoinSet::new();
    for caller in 0..24_u64 {
        let (pools, backend) = (pools.clone(), Arc::clone(&backend));
        crowd.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(caller);
            for _ in 0..150 {
                let pool = &pools[rng.usize(..pools.len())];
                let patience = Duration::from_micros(rng.u64(0..3_000));
                match rng.u8(..20) {
                    0 => pool.clear(),
                    1 => pool.resize(rng.usize(1..4)).unwrap(),
                    2 => *backend.connect.lock() = Gate::Error,
                    3..7 => *backend.connect.lock() = Gate::Slow,
                    7..12 => {
                        let held = tokio::time::timeout(patience, pool.get()).await;
                        if let Ok(Ok(held)) = held {
                            held.broken.store(rng.u8(..4) == 0, SeqCst);
                            tokio::task::yield_now().await;
                        }
                    }
                    _ => {
                        let held = tokio::time::timeout(patience, pool.lease()).await;
                        if let Ok(Ok(held)) = held {
                            tokio::task::yield_now().await;
                            drop(held);
                        }
                    }
                }
            }
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    assert!(backend.peak() <= 3, "{}", backend.peak());
    *backend.connect.lock() = Gate::Ok;
    // Everybody is served still.
    for pool in &pools {
        let served = async { while pool.get().await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(20), served)
            .await
            .unwrap();
    }
    drop(pools);
    until("all are gone", || backend.live() == 0).await;
    until("all places are free", || group.status().connections == 0).await;
    assert_free(&group, &backend);
}

/// Knows whether its place is counted while it goes.
#[derive(Debug)]
struct Leaving(Group, Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.1.fetch_add(self.0.status().connections, SeqCst);
    }
}

#[derive(Debug)]
struct Leaver(Group, Arc<AtomicUsize>);

impl Manager for Leaver {
    type Connection = Leaving;
    type Error = std::io::Error;

    async fn connect(&self) -> std::io::Result<Leaving> {
        Ok(Leaving(self.0.clone(), Arc::clone(&self.1)))
    }

    async fn check(&self, _: &mut Leaving) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_place_is_free_only_when_its_connection_is_gone() {
    let group = Group::new(1).unwrap();
    let counted = Arc::<AtomicUsize>::default();
    let leaver = || Leaver(group.clone(), Arc::clone(&counted));
    let [one, other] = [(); 2].map(|()| Pool::builder(leaver()).group(&group).build().unwrap());
    drop(one.get().await.unwrap());
    drop(other.get().await.unwrap());
    other.get().await.unwrap().discard();
    other.lease().await.unwrap().discard();
    drop(one.get().await.unwrap());
    drop(one);
    assert_eq!(
        counted.load(SeqCst),
        4,
        "each of four found its place taken"
    );
    assert_eq!(group.status().connections, 0);
}

//! Nobody waits for ever: many pipelines over many nodes with one place each, while slots move.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use common::{key_where, run};
use redis::AsyncCommands;
use testbed::{Cluster, Node};
use tokio::task::JoinSet;
use wait_pool_redis::Slot;
use wait_pool_redis::cluster::Pool;

const MASTERS: u16 = 9;
const PIPELINES: usize = 48;
/// What everybody does at least, and how many slots move meanwhile at least.
const ROUNDS: u32 = 10;
const MOVES: u32 = 12;

/// How many connections that carry requests a server has.
fn carriers(node: &Node) -> usize {
    let list: String = run(node, "CLIENT LIST TYPE NORMAL");
    list.matches(" name=nine ").count()
}

/// Moves one slot after the other to the next master, until it is told to end.
fn move_slots(cluster: &Cluster, slots: &[u16], moves: &AtomicU32, ended: &AtomicBool) {
    for (round, slot) in slots.iter().cycle().enumerate() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let masters = cluster.masters();
        let to = &masters[(round * 4 + 1) % masters.len()];
        if cluster.slot_owner(*slot).unwrap().port() == to.port() {
            continue;
        }
        let migration = cluster.begin_migration(*slot, to).unwrap();
        migration.migrate_all().unwrap();
        migration.finish().unwrap();
        moves.fetch_add(1, Ordering::Relaxed);
    }
}

/// G10, with nothing that could end a wait: no timeout of any kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_eight_pipelines_over_nine_masters_with_one_place_each_all_finish() {
    let cluster = Arc::new(Cluster::start(MASTERS.into(), 0).unwrap());
    let pool = Pool::builder(cluster.urls())
        .name("nine")
        .max_connections_per_node(1)
        .max_leases(1)
        .wait_timeout(None)
        .request_timeout(None)
        .build()
        .unwrap();
    // Four keys for each master, in slots of their own.
    let keys: Vec<String> = (0..4 * MASTERS)
        .map(|n| {
            let ninth = n % MASTERS;
            let of_it = |slot: Slot| {
                u32::from(slot.number()) * u32::from(MASTERS) / 16_384 == u32::from(ninth)
            };
            key_where(&format!("k{n}-"), of_it)
        })
        .collect();
    let slots: Vec<u16> = keys
        .iter()
        .take(2 * usize::from(MASTERS))
        .map(|key| Slot::of(key.as_bytes()).number())
        .collect();

    let (moves, ended) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mover = tokio::task::spawn_blocking({
        let (cluster, moves, ended) = (cluster.clone(), moves.clone(), ended.clone());
        move || move_slots(&cluster, &slots, &moves, &ended)
    });
    let mut crowd = JoinSet::new();
    for _ in 0..PIPELINES {
        let (mut pool, mut keys, moves) = (pool.clone(), keys.clone(), moves.clone());
        crowd.spawn(async move {
            let mut rounds = 0;
            while rounds < ROUNDS || moves.load(Ordering::Relaxed) < MOVES {
                fastrand::shuffle(&mut keys);
                let mut pipeline = redis::pipe();
                for key in &keys {
                    pipeline.incr(key, 1);
                }
                let counts: Vec<u64> = pipeline.query_async(&mut pool).await.unwrap();
                assert_eq!(counts.len(), keys.len());
                rounds += 1;
            }
            rounds
        });
    }
    let limit = Duration::from_secs(240);
    let (mut rounds, mut most) = (0, 0);
    let all = tokio::time::timeout(limit, async {
        while !crowd.is_empty() {
            tokio::select! {
                _ = tokio::time::sleep(Duration::from_millis(50)) => {
                    let open = cluster.masters().iter().map(carriers);
                    most = open.max().max(Some(most)).unwrap();
                }
                done = crowd.join_next() => rounds += done.unwrap().unwrap(),
            }
        }
    });
    let all = all.await;
    ended.store(true, Ordering::Relaxed);
    all.expect("somebody waits for ever");
    mover.await.unwrap();

    assert_eq!(most, 1, "connections for requests at a node");
    for key in &keys {
        let count: u32 = AsyncCommands::get(&mut pool.clone(), key).await.unwrap();
        assert_eq!(count, rounds, "{key}: each ran once");
    }
    let sum = |seen: fn(&Node) -> u64| cluster.masters().iter().map(seen).sum::<u64>();
    let redirects = sum(|node| node.errors("MOVED").unwrap() + node.errors("ASK").unwrap());
    assert!(redirects > 0);
    let refreshes =
        || sum(|node| node.calls("cluster|shards").unwrap() + node.calls("cluster|slots").unwrap());
    // The last one may be under way.
    common::until("the topology was looked up again", || refreshes() > 1).await;
    for (addr, status) in pool.status_by_node() {
        assert_eq!(
            (status.size, status.holders, status.waiting),
            (1, 0, 0),
            "{addr}"
        );
    }
}

//! Slots and masters that change while requests are on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::AsyncCommands;
use testbed::Cluster;
use tokio::task::JoinSet;
use wait_pool_redis::Slot;

use crate::common::{key_where, until};
use crate::{all_carriers, lookups, pool, start, warm};

/// redis-rs sends ASKING as a message of its own on a connection that others use too: somebody else's command
/// may come in between and have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_between_asking_and_its_command() {
    const CALLERS: u64 = 40;
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder.max_connections_per_node(1));
    let keys = warm(&cluster, &pool).await;
    let [from, to, ..] = cluster.masters() else {
        panic!("three masters")
    };
    // A slot of its own, which is half-way, and this key has gone ahead.
    let key = key_where("asked", |slot| {
        cluster.slot_owner(slot.number()).unwrap().port() == from.port()
    });
    let _: () = pool.clone().set(&key, 0).await.unwrap();
    let slot = Slot::of(key.as_bytes()).number();
    let migration = cluster.begin_migration(slot, to).unwrap();
    migration.migrate_all().unwrap();

    let mut crowd = JoinSet::new();
    for number in 0..CALLERS {
        let (mut pool, key, other) = (pool.clone(), key.clone(), keys[1].clone());
        crowd.spawn(async move {
            for _ in 0..20 {
                let _: i64 = match number % 2 {
                    0 => pool.incr(&key, 1).await.unwrap(),
                    _ => pool.incr(&other, 1).await.unwrap(),
                };
            }
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    let asked = CALLERS / 2 * 20;
    assert_eq!(to.calls("asking").unwrap(), asked);
    assert_eq!(
        to.errors("MOVED").unwrap(),
        0,
        "none was without its ASKING"
    );
    assert_eq!(from.errors("ASK").unwrap(), asked);
    migration.finish().unwrap();
    let sum: u64 = pool.handle().get(&key).await.unwrap();
    assert_eq!(sum, asked);
}

/// ioredis#2075, valkey-swift#326: one MOVED failed the whole batch; and commands on one key that were sent
/// again came behind those that followed them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_one_key_stay_in_order_while_its_slot_moves() {
    const LENGTH: u64 = 40;
    let cluster = Arc::new(start(3, 0));
    let pool = pool(&cluster, |builder| builder);
    let keys = warm(&cluster, &pool).await;
    let ended = Arc::new(AtomicBool::new(false));
    let mover = tokio::task::spawn_blocking({
        let (cluster, ended) = (Arc::clone(&cluster), Arc::clone(&ended));
        move || back_and_forth(&cluster, Slot::of(b"list"), &ended)
    });
    let mut sent = 0;
    let mut mover = Some(mover);
    while sent < 100 * LENGTH || !mover.as_ref().unwrap().is_finished() {
        let mut pipeline = redis::pipe();
        for n in sent..sent + LENGTH {
            pipeline
                .rpush("{list}a", n)
                .incr(&keys[(n % 3) as usize], 1);
        }
        let answers: Vec<u64> = pipeline.query_async(&mut pool.clone()).await.unwrap();
        let lengths: Vec<u64> = answers.into_iter().step_by(2).collect();
        assert_eq!(lengths, (sent + 1..=sent + LENGTH).collect::<Vec<_>>());
        sent += LENGTH;
        ended.store(sent >= 100 * LENGTH, Ordering::Relaxed);
    }
    assert!(mover.take().unwrap().await.unwrap() > 3, "it has moved");
    let all: Vec<u64> = pool.handle().lrange("{list}a", 0, -1).await.unwrap();
    assert_eq!(all, (0..sent).collect::<Vec<_>>());
    let redirects = |code| -> u64 {
        let nodes = cluster.masters().iter();
        nodes.map(|node| node.errors(code).unwrap()).sum()
    };
    assert!(redirects("MOVED") + redirects("ASK") > 0);
}

/// Moves a slot to and fro until it is told to end. Says how often it has been moved.
fn back_and_forth(cluster: &Cluster, slot: Slot, ended: &AtomicBool) -> u32 {
    let mut moves = 0;
    for to in cluster.masters().iter().cycle() {
        if ended.load(Ordering::Relaxed) && moves > 3 {
            break;
        }
        if cluster.slot_owner(slot.number()).unwrap().port() != to.port() {
            cluster.move_slot(slot.number(), to).unwrap();
            moves += 1;
        }
    }
    moves
}

/// vertx-redis-client#541: a lookup of the topology waited for a connection of the pool that waited for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_needs_no_place_in_any_pool() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| {
        builder
            .max_connections_per_node(1)
            .wait_timeout(None)
            .request_timeout(None)
    });
    let keys = warm(&cluster, &pool).await;
    let [from, to, ..] = cluster.masters() else {
        panic!("three masters")
    };
    let slot = Slot::of(keys[0].as_bytes()).number();
    cluster.move_slot(slot, to).unwrap();
    // The only place at the new owner, and at the third.
    let held = [
        pool.pin(&keys[1]).await.unwrap(),
        pool.pin(&keys[2]).await.unwrap(),
    ];
    let before = lookups(&cluster);
    let (mut other, key) = (pool.clone(), keys[0].clone());
    let request = tokio::spawn(async move { other.incr::<_, _, i64>(key, 1).await });
    until("it has been told that the slot is elsewhere", || {
        from.errors("MOVED").unwrap() == 1
    })
    .await;
    until("the topology has been looked up", || {
        lookups(&cluster) > before
    })
    .await;
    assert!(!request.is_finished(), "it waits for the place");
    drop(held);
    assert_eq!(request.await.unwrap().unwrap(), 1);
}

/// redis-py#3917, #3693: a refresh closed the pools of all nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_closes_nothing() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder.max_connections_per_node(2));
    let keys = warm(&cluster, &pool).await;
    let before = all_carriers(&cluster);
    let slot = Slot::of(keys[0].as_bytes()).number();
    for round in 1..=4 {
        let asked = lookups(&cluster);
        cluster
            .move_slot(slot, &cluster.masters()[round % 3])
            .unwrap();
        let _: i64 = pool.clone().incr(&keys[0], 1).await.unwrap();
        until("the topology has been looked up", || {
            lookups(&cluster) > asked
        })
        .await;
    }
    for (before, after) in before.iter().zip(all_carriers(&cluster)) {
        assert!(
            before.iter().all(|id| after.contains(id)),
            "{before:?} {after:?}"
        );
    }
}

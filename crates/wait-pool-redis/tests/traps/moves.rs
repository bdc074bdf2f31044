//! Slots and masters that change while requests are on their way.

use redis::{AsyncCommands, RedisResult};
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

/// ioredis#2075, valkey-swift#326: commands on one key that were sent again came behind those that followed
/// them. Here the first has to wait, and the second would not have to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_does_not_overtake_one_that_waits() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder);
    let keys = warm(&cluster, &pool).await;
    let [from, to, ..] = cluster.masters() else {
        panic!("three masters")
    };
    let (gone, here) = (
        format!("{{{}}}gone", keys[0]),
        format!("{{{}}}here", keys[0]),
    );
    let _: () = pool.clone().mset(&[(&gone, 0), (&here, 0)]).await.unwrap();
    let slot = Slot::of(keys[0].as_bytes()).number();
    let migration = cluster.begin_migration(slot, to).unwrap();
    migration.migrate_key(&gone).unwrap();
    let mut pipeline = redis::pipe();
    // TRYAGAIN, as long as one is here and the other there; and ASK, which could go at once.
    pipeline
        .mset(&[(&gone, 1), (&here, 1)])
        .set(&gone, 2)
        .incr(&keys[1], 1);
    let mut other = pool.clone();
    let request = tokio::spawn(async move {
        let answers: RedisResult<(String, String, i64)> = pipeline.query_async(&mut other).await;
        answers
    });
    until("it waits", || from.errors("TRYAGAIN").unwrap() > 0).await;
    migration.migrate_all().unwrap();
    migration.finish().unwrap();
    assert_eq!(
        request.await.unwrap().unwrap(),
        ("OK".into(), "OK".into(), 1)
    );
    let values: (i32, i32) = pool.clone().mget(&[&gone, &here]).await.unwrap();
    assert_eq!(values, (2, 1), "in the order of the commands");
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
    let mut held = Vec::new();
    for key in &keys {
        held.push(pool.pin(key).await.unwrap());
    }
    let before = lookups(&cluster);
    let moved: RedisResult<i64> = held[0].incr(&keys[0], 1).await;
    assert_eq!(moved.unwrap_err().code(), Some("MOVED"));
    until("the topology has been looked up", || {
        lookups(&cluster) > before
    })
    .await;
    drop(held);
    let _: i64 = pool.clone().incr(&keys[0], 1).await.unwrap();
    assert_eq!(from.errors("MOVED").unwrap(), 1, "it was not in vain");
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

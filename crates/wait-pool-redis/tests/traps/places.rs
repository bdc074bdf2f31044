//! Bounds, places and what they are counted by.

use std::time::{Duration, Instant};

use redis::{AsyncCommands, RedisResult};
use testbed::Direction;
use tokio::task::JoinSet;

use crate::common::until;
use crate::{all_carriers, carriers, lookups, pool, start, warm};

/// redis-py#2220, #3135, #3359, #2517: the default was a limit of 2^31 connections; with a lower one
/// the client did not wait, it raised "max connections".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_a_crowd_waits_at_a_bound() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder.request_timeout(None));
    let keys = warm(&cluster, &pool).await;
    let proxy = cluster.proxy(&cluster.masters()[0]);
    // Long enough for all to come while the first still hold theirs.
    proxy.delay(Direction::ToClient, Duration::from_millis(20));
    let mut crowd = JoinSet::new();
    for _ in 0..200 {
        let (pool, key) = (pool.clone(), keys[0].clone());
        crowd.spawn(async move {
            let mut own = pool.pin(&key).await?;
            own.incr::<_, _, i64>(&key, 1).await
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap().unwrap();
    }
    let most = proxy.most_open();
    assert!((16..=17).contains(&most), "{most} with one for lookups");
    let sum: i32 = pool.handle().get(&keys[0]).await.unwrap();
    assert_eq!(sum, 200);
}

/// redis-py, cluster pipelines: "max connections" was taken for a broken connection, so all connections
/// were closed, the client slept, and asked for the topology.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_closes_nothing_and_asks_for_nothing() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| {
        let patience = Duration::from_millis(50);
        builder
            .max_connections_per_node(1)
            .max_leases(8)
            .wait_timeout(patience)
    });
    let keys = warm(&cluster, &pool).await;
    let (before, asked) = (all_carriers(&cluster), lookups(&cluster));
    let full = pool.pin(&keys[0]).await.unwrap();
    // Longer than from one lookup to the next.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let mut crowd = JoinSet::new();
        for _ in 0..30 {
            let (mut pool, keys) = (pool.clone(), keys.clone());
            crowd.spawn(async move {
                let mut pipeline = redis::pipe();
                keys.iter().for_each(|key| {
                    pipeline.incr(key, 1);
                });
                let pipeline = pipeline.ignore_errors();
                pipeline
                    .query_async::<Vec<RedisResult<i64>>>(&mut pool)
                    .await
            });
        }
        while let Some(done) = crowd.join_next().await {
            let answers = done.unwrap().unwrap();
            let waited = answers[0].as_ref().unwrap_err();
            assert_eq!(waited.code(), Some("TIMEOUT"), "{waited}");
            assert!(answers[1..].iter().all(Result::is_ok), "{answers:?}");
        }
    }
    drop(full);
    let _: i64 = pool.clone().incr(&keys[0], 1).await.unwrap();
    assert_eq!((all_carriers(&cluster), lookups(&cluster)), (before, asked));
}

/// redis-py#4110, #3929, #4219: a write that failed cost a place for good, and connections that were
/// being cleaned up counted still. valkey-glide#5717, #5487: a limit on requests in flight that did not
/// drain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_requests_their_places_come_back() {
    const BOUND: usize = 3;
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| {
        builder
            .max_connections_per_node(BOUND)
            .max_leases(2)
            .connect_backoff(Duration::from_millis(1), Duration::from_millis(10))
    });
    let keys = warm(&cluster, &pool).await;
    let node = &cluster.masters()[0];
    let proxy = cluster.proxy(node);
    let (mut done, mut maybe) = (0, 0);
    for round in 0..40_usize {
        proxy.delay(
            Direction::ToClient,
            Duration::from_millis(round as u64 % 3 * 3),
        );
        let mut crowd = JoinSet::new();
        for _ in 0..20 {
            let (mut pool, key) = (pool.clone(), keys[0].clone());
            crowd.spawn(async move { pool.incr::<_, _, i64>(key, 1).await });
        }
        match round % 4 {
            0 => proxy.cut_after(round),
            1 => drop(proxy.reset()),
            2 => drop(proxy.cut()),
            // Dropped wherever they are by now.
            _ => crowd.abort_all(),
        }
        while let Some(ended) = crowd.join_next().await {
            match ended {
                Ok(Ok(_)) => done += 1,
                _ => maybe += 1,
            }
        }
    }
    proxy.cut();
    proxy.delay(Direction::ToClient, Duration::ZERO);
    assert!(done > 0 && maybe > 0, "{done} done, {maybe} perhaps");

    let figures = || {
        let all = pool.status_by_node();
        let addr = proxy.addr().to_string();
        all.into_iter()
            .find(|(node, _)| node.to_string() == addr)
            .unwrap()
            .1
    };
    until("all places are free", || {
        let figures = figures();
        (figures.holders, figures.waiting, figures.opening) == (0, 0, 0)
    })
    .await;
    // The first to find a connection dead has the others looked at.
    let sum: i32 = pool.handle().get(&keys[0]).await.unwrap();
    assert!(
        (done..=done + maybe).contains(&sum),
        "{done} <= {sum} <= {done} + {maybe}"
    );
    let mut held = Vec::new();
    while held.len() < BOUND {
        // One that was cut while it was idle may be among them still: it shows when it is used.
        let mut own = pool.pin(&keys[0]).await.unwrap();
        if own.get::<_, i32>(&keys[0]).await.is_ok() {
            held.push(own);
        }
    }
    assert_eq!(carriers(node).len(), BOUND);
    drop(held);
    let most = proxy.most_open();
    assert!(most <= BOUND + 1, "{most} with one for lookups");
}

/// deadpool-redis's cluster pool sends a PING to every primary at each checkout, and one that is sick
/// fails them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_asks_nobody_whether_he_is_well() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder);
    let keys = warm(&cluster, &pool).await;
    let [sick, well @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    cluster.proxy(sick).silence();
    for _ in 0..100 {
        for key in &keys[1..] {
            let mut own = pool.pin(key).await.unwrap();
            let _: i64 = own.incr(key, 1).await.unwrap();
            drop(own);
            let _: i64 = pool.clone().incr(key, 1).await.unwrap();
        }
    }
    for node in well {
        assert_eq!(
            (node.calls("ping").unwrap(), node.calls("incrby").unwrap()),
            (0, 200)
        );
    }
}

//! Requests that are given up: by their callers, by their deadlines.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use testbed::Direction;
use tokio::task::JoinSet;

use crate::common::until;
use crate::{all_carriers, carriers, pool, start, warm};

/// redis-py#2624, #2665 (CVE-2023-28858, CVE-2023-28859): a command was cancelled between its write and its
/// answer, and the answer went to the next user of the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_waits_for_any_more_is_nobody_elses() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| {
        builder.max_connections_per_node(2).max_leases(8)
    });
    let mut set = redis::pipe();
    (0..60).for_each(|n| {
        set.set(n, n).ignore();
    });
    let _: () = set.query_async(&mut pool.clone()).await.unwrap();
    for node in cluster.masters() {
        cluster
            .proxy(node)
            .delay(Direction::ToClient, Duration::from_millis(10));
    }
    let (mut answered, mut dropped) = (0, 0);
    for round in 0..30_u64 {
        let mut crowd = JoinSet::new();
        for number in 0..60_u64 {
            let mut pool = pool.clone();
            crowd.spawn(async move {
                let patience = Duration::from_millis((number * 7 + round) % 30);
                let other = (number + round) % 60;
                let request = async {
                    if number % 3 == 0 {
                        let mut own = pool.pin(number).await.unwrap();
                        let value: u64 = own.get(number).await.unwrap();
                        assert_eq!(value, number);
                        return;
                    }
                    let mut pipeline = redis::pipe();
                    pipeline.get(number).get(other).get(number);
                    let values: [u64; 3] = pipeline.query_async(&mut pool).await.unwrap();
                    assert_eq!(values, [number, other, number]);
                };
                tokio::time::timeout(patience, request).await.is_ok()
            });
        }
        while let Some(done) = crowd.join_next().await {
            match done.unwrap() {
                true => answered += 1,
                false => dropped += 1,
            }
        }
    }
    assert!(
        answered > 50 && dropped > 50,
        "{answered} answered, {dropped} dropped"
    );
    until("all places are free", || {
        pool.status_by_node()
            .iter()
            .all(|(_, status)| status.holders == 0)
    })
    .await;
}

/// go-redis#1912, #2046, #3497: a deadline that passed closed the connection, so that short ones kept a
/// slow server busy with new connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_the_wait_and_not_the_connection() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| {
        builder
            .max_connections_per_node(2)
            .request_timeout(Duration::from_millis(300))
    });
    let keys = warm(&cluster, &pool).await;
    let node = &cluster.masters()[0];
    let before = all_carriers(&cluster);
    for _ in 0..3 {
        cluster.proxy(node).hold(Direction::ToClient);
        let mut crowd = JoinSet::new();
        for _ in 0..50 {
            let (pool, key) = (pool.clone(), keys[0].clone());
            crowd.spawn(async move { pool.handle().get::<_, u64>(key).await });
        }
        while let Some(done) = crowd.join_next().await {
            let late = done.unwrap().unwrap_err();
            assert!(late.is_timeout(), "{late}");
        }
        cluster.proxy(node).release();
        let begun = Instant::now();
        while pool.handle().get::<_, u64>(&keys[0]).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it answers again"
            );
        }
    }
    assert_eq!(all_carriers(&cluster), before);
}

/// redis-rs#1541: requests waited in the send queue for any time, and when the server came back it got
/// all of them, long after their callers had gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_gets_no_herd() {
    const BOUND: usize = 2;
    const LEASES: usize = 4;
    const CALLERS: usize = 100;
    let cluster = start(3, 0);
    let limit = Duration::from_millis(500);
    let pool = pool(&cluster, |builder| {
        builder
            .max_connections_per_node(BOUND)
            .max_leases(LEASES)
            .request_timeout(limit)
    });
    let keys = warm(&cluster, &pool).await;
    let node = &cluster.masters()[0];
    node.stop();
    for _ in 0..3 {
        let mut crowd = JoinSet::new();
        let begun = Instant::now();
        for _ in 0..CALLERS {
            let (mut pool, key) = (pool.clone(), keys[0].clone());
            crowd.spawn(async move { pool.incr::<_, _, i64>(key, 1).await });
        }
        while let Some(done) = crowd.join_next().await {
            assert!(done.unwrap().unwrap_err().is_timeout());
        }
        // One deadline over waiting, sending and the answer; the rest is the machine's.
        assert!(begun.elapsed() < 10 * limit);
    }
    node.cont();
    until("it has answered all", || !carriers(node).is_empty()).await;
    let ran = node.calls("incrby").unwrap();
    let most = 3 * BOUND * LEASES;
    assert!(ran <= most as u64, "{ran} of {} ran", 3 * CALLERS);
}

//! Connections that many share: who waits for whom, and what is known when one ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{calls, client_list, key_on};
use redis::{AsyncCommands, Value};
use testbed::{Cluster, Node, Server};
use tokio::task::JoinSet;
use wait_pool_redis::{ConnectionDriver, Pool, cluster};

/// A server that was restarted costs nobody a write: that the connection is gone is known by then.
#[tokio::test]
async fn the_first_write_after_a_restart_succeeds() {
    let server = Server::start().unwrap();
    let pool = Pool::builder(server.url()).build().unwrap();
    let mut redis = pool.handle();
    let _: () = redis.set("k", 1).await.unwrap();
    let node: &Node = &server;
    node.kill().unwrap();
    node.restart().unwrap();
    // The runtime looks at its sockets once, as it does all the time where it is not kept from it.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let _: () = redis.set("k", 2).await.unwrap();
    assert_eq!(calls(node, "set"), 1);
}

/// G8: a request that waits for a node that hangs keeps no place at the others.
#[tokio::test]
async fn a_part_that_waits_keeps_nobody_from_other_nodes() {
    let cluster = Cluster::start(3, 0).unwrap();
    let mut pool = cluster::Pool::builder(cluster.urls())
        .max_connections_per_node(1)
        .max_leases(1)
        .request_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let masters = cluster.masters().iter();
    let keys: Vec<String> = masters.map(|node| key_on(&cluster, node, "k")).collect();
    for key in &keys {
        let _: () = pool.set(key, 1).await.unwrap();
    }
    let hung = &cluster.masters()[0];
    hung.stop();
    let everywhere = {
        let (mut pool, keys) = (pool.clone(), keys.clone());
        tokio::spawn(async move {
            let mut pipe = redis::pipe();
            keys.iter().for_each(|key| {
                pipe.get(key);
            });
            pipe.query_async::<Vec<u32>>(&mut pool).await
        })
    };
    // It has been answered by the other two, and is under way.
    let reads = |at: usize| calls(&cluster.masters()[at], "get");
    while reads(1) + reads(2) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut redis = pool.handle();
    for key in &keys[1..] {
        let read = tokio::time::timeout(Duration::from_secs(10), redis.get::<_, u32>(key));
        let read = read.await.unwrap();
        assert_eq!(read.unwrap(), 1);
    }
    assert!(!everywhere.is_finished());
    hung.cont();
    assert_eq!(everywhere.await.unwrap().unwrap(), [1, 1, 1]);
}

/// However long a pipeline is, others have their turns in between.
#[tokio::test]
async fn a_long_pipeline_lets_others_in() {
    const LONG: usize = 40_000;

    let server = Server::start().unwrap();
    let pool = Pool::builder(server.url())
        .max_size(1)
        .max_leases(2)
        .build()
        .unwrap();
    let redis = pool.handle();
    let _: () = redis.clone().set("k", "v").await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let long = tokio::spawn({
        let (mut redis, done) = (redis.clone(), Arc::clone(&done));
        async move {
            let mut pipe = redis::pipe();
            for _ in 0..LONG {
                pipe.get("k");
            }
            let values: Vec<Value> = pipe.query_async(&mut redis).await.unwrap();
            done.store(true, Ordering::Relaxed);
            values.len()
        }
    });
    let (mut redis, mut in_between) = (redis, 0);
    while !done.load(Ordering::Relaxed) {
        let _: String = redis.get("k").await.unwrap();
        in_between += 1;
    }
    assert_eq!(long.await.unwrap(), LONG);
    // One in each turn but for the last ones, if all goes well; in one piece it would be one or two.
    assert!(in_between >= 8, "{in_between}");
    assert_eq!(client_list(&server).len(), 1);
}

/// G1, G2 at ten thousand at once, with either driver: all are answered rightly, over few connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_at_once_are_answered_over_few_connections() {
    const AT_ONCE: usize = 10_000;

    let cluster = Cluster::start(3, 0).unwrap();
    for (name, driver) in [
        ("own", ConnectionDriver::Own),
        ("redis-rs", ConnectionDriver::RedisRs),
    ] {
        let mut pool = cluster::Pool::builder(cluster.urls())
            .name(name)
            .max_connections_per_node(4)
            .request_timeout(Duration::from_secs(60))
            .connection_driver(driver)
            .build()
            .unwrap();
        let mut sets = redis::pipe();
        for number in 0..500 {
            sets.set(format!("k{number}"), number).ignore();
        }
        let _: () = sets.query_async(&mut pool).await.unwrap();
        let wrong = Arc::new(AtomicUsize::new(0));
        let mut all = JoinSet::new();
        for caller in 0..AT_ONCE {
            let (mut pool, wrong) = (pool.clone(), Arc::clone(&wrong));
            all.spawn(async move {
                let numbers: Vec<usize> = (0..10).map(|n| (caller * 7 + n * 13) % 500).collect();
                let mut pipe = redis::pipe();
                for number in &numbers {
                    pipe.get(format!("k{number}"));
                }
                let values: Vec<usize> = pipe.query_async(&mut pool).await.unwrap();
                if values != numbers {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
        assert_eq!(wrong.load(Ordering::Relaxed), 0);
        for node in cluster.masters() {
            let clients = client_list(node).into_iter();
            let own = clients.filter(|client| client["name"] == name).count();
            assert!((1..=4).contains(&own), "{own} by {name}");
        }
    }
}

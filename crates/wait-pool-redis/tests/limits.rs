//! Servers at their limits: one that takes no more clients, and one that is busy for a while.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{clients, key_on, run};
use redis::AsyncCommands;
use testbed::{Cluster, Server};
use tokio::task::JoinSet;

/// Whom nothing else can serve is told that the server is full; here the connections that are open serve all.
#[tokio::test]
async fn a_server_that_takes_no_more_clients_serves_with_those_it_has() {
    let server = Server::start().unwrap();
    let pool = wait_pool_redis::Pool::builder(server.url())
        .max_size(8)
        .max_leases(1)
        .request_timeout(Duration::from_secs(20));
    let pool = pool.build().unwrap();
    let _: () = pool.handle().set("a", 0).await.unwrap();
    assert_eq!(clients(&server).len(), 1);
    run::<()>(&server, "CONFIG SET maxclients 2");

    let mut crowd = JoinSet::new();
    for _ in 0..40 {
        let mut redis = pool.handle();
        crowd.spawn(async move {
            for _ in 0..20 {
                let _: i32 = redis.incr("a", 1).await.unwrap();
            }
        });
    }
    crowd.join_all().await;
    let mut own = pool.get().await.unwrap();
    let stats: redis::InfoDict = redis::cmd("INFO")
        .arg("stats")
        .query_async(&mut own)
        .await
        .unwrap();
    assert!(stats.get::<u64>("rejected_connections").unwrap() > 0);
    assert_eq!(own.get::<_, i32>("a").await.unwrap(), 800);
    let list = redis::cmd("CLIENT").arg("LIST").take();
    let list: String = list.query_async(&mut own).await.unwrap();
    assert!(list.lines().count() <= 2, "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_busy_for_a_while_loses_no_connection_and_no_request() {
    let cluster = Arc::new(Cluster::start(3, 0).unwrap());
    let pool = wait_pool_redis::cluster::Pool::builder(cluster.urls());
    let pool = pool
        .request_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let key = |at: usize| key_on(&cluster, &cluster.masters()[at], "k");
    let keys: Vec<String> = (0..3).map(key).collect();
    let mut redis = pool.handle();
    for key in &keys {
        let _: () = redis.set(key, 0).await.unwrap();
    }
    let open = || -> Vec<_> { cluster.masters().iter().map(clients).collect() };
    let before = open();

    let asleep = tokio::task::spawn_blocking({
        let cluster = Arc::clone(&cluster);
        move || run::<()>(&cluster.masters()[0], "DEBUG SLEEP 1.5")
    });
    let mut elsewhere = 0;
    let mut waits = Box::pin({
        let (mut redis, key) = (pool.handle(), keys[0].clone());
        async move {
            // Until it is asleep it answers.
            tokio::time::sleep(Duration::from_millis(200)).await;
            redis.incr::<_, _, i32>(key, 1).await
        }
    });
    let answered = loop {
        tokio::select! {
            answered = &mut waits => break answered.unwrap(),
            count = redis.incr::<_, _, i32>(&keys[1], 1) => elsewhere = count.unwrap(),
        }
    };
    asleep.await.unwrap();
    assert_eq!(answered, 1);
    assert!(elsewhere > 100, "only {elsewhere} answers of another node");
    for (before, now) in before.iter().zip(open()) {
        assert!(before.iter().all(|id| now.contains(id)), "none was closed");
    }
}

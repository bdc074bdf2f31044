//! A pool for a cluster in the words of deadpool-redis, on a real one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{calls, clients, key_on, replicas_are_online, run, until};
use redis::AsyncCommands;
use testbed::{Cluster, Node};
use wait_pool_redis::cluster::{Config, Pool, PoolConfig, Runtime};

fn start(cluster: &Cluster, max_size: usize, read_from_replicas: bool) -> Pool {
    let mut config = Config::from_urls(cluster.urls());
    config.pool = Some(PoolConfig::new(max_size));
    config.read_from_replicas = read_from_replicas;
    config.create_pool(Some(Runtime::Tokio1)).unwrap()
}

fn total(nodes: &[Node], command: &str) -> u64 {
    nodes.iter().map(|node| calls(node, command)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_to_replicas_if_the_config_says_so() {
    let cluster = Cluster::start(2, 1).unwrap();
    replicas_are_online(&cluster).await;
    let keys: Vec<_> = cluster
        .masters()
        .iter()
        .map(|node| key_on(&cluster, node, "k"))
        .collect();
    for (reads_replicas, readers) in [(true, cluster.replicas()), (false, cluster.masters())] {
        let pool = start(&cluster, 2, reads_replicas);
        let mut connection = pool.get().await.unwrap();
        for (master, key) in cluster.masters().iter().zip(&keys) {
            let before = calls(master, "set");
            let () = connection.set(key, 1).await.unwrap();
            assert_eq!(calls(master, "set"), before + 1, "writes go to the primary");
            let waited: u32 = run(master, "WAIT 1 20000");
            assert_eq!(waited, 1);
        }
        let before = total(readers, "get");
        let all = total(cluster.nodes(), "get");
        for key in keys.iter().cycle().take(20) {
            assert_eq!(connection.get::<_, u32>(key).await.unwrap(), 1);
        }
        assert_eq!(total(readers, "get"), before + 20);
        assert_eq!(total(cluster.nodes(), "get"), all + 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resize_changes_the_bound_at_each_node() {
    let cluster = Cluster::start(2, 0).unwrap();
    let pool = start(&cluster, 1, false);
    let masters = cluster.masters();
    let keys: Vec<_> = masters
        .iter()
        .map(|node| key_on(&cluster, node, "k"))
        .collect();
    let bounds = || {
        let each = pool.status_by_node().into_iter();
        each.map(|(_, status)| status.max_size).collect::<Vec<_>>()
    };
    // The first node is known when the bound changes, the others are yet to be.
    pool.resize(3);
    let mut held = Vec::new();
    for key in keys.iter().cycle().take(6) {
        held.push(pool.pin(key).await.unwrap());
    }
    assert_eq!(bounds(), [3, 3]);
    for node in masters {
        assert!(clients(node).len() >= 3, "{:?}", clients(node));
    }
    let one_more = tokio::spawn({
        let (pool, key) = (pool.clone(), keys[0].clone());
        async move { pool.pin(key).await.map(drop) }
    });
    let waiting = || {
        pool.status_by_node()
            .iter()
            .map(|(_, status)| status.waiting)
            .sum::<usize>()
    };
    until("one waits", || waiting() == 1).await;
    // More room, and he who waits has it.
    pool.resize(4);
    one_more.await.unwrap().unwrap();
    assert_eq!(bounds(), [4, 4]);

    // Less, and what comes back is closed.
    pool.resize(0);
    assert_eq!(bounds(), [1, 1], "nobody would be served with none");
    drop(held);
    let sizes = || {
        pool.status_by_node()
            .iter()
            .map(|(_, status)| status.size)
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(), [1, 1]);
    let quiet = tokio::time::Instant::now() + Duration::from_secs(20);
    while masters.iter().any(|node| named(node) != 1) {
        assert!(tokio::time::Instant::now() < quiet, "more than one is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Connections that are the pool's own, without those that look up the topology.
fn named(node: &Node) -> usize {
    let list = common::client_list(node);
    list.iter()
        .filter(|client| client["name"] == "redis")
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_looks_at_the_idle_connections_to_all_nodes() {
    let cluster = Cluster::start(2, 0).unwrap();
    let pool = start(&cluster, 2, false);
    let mut connection = pool.get().await.unwrap();
    let keys: Vec<_> = cluster
        .masters()
        .iter()
        .map(|node| key_on(&cluster, node, "k"))
        .collect();
    for key in &keys {
        let () = connection.set(key, 1).await.unwrap();
    }
    assert_eq!(pool.status().available, 2, "one at each node");
    let looked = pool.retain(|_, _| true);
    assert_eq!((looked.retained, looked.removed.len()), (2, 0));
    let own = pool.pin(&keys[0]).await.unwrap();
    let idle = pool.status().available;
    assert_eq!(pool.status().size - idle, 1);
    let looked = pool.retain(|_, _| false);
    assert_eq!((looked.retained, looked.removed.len()), (0, idle));
    drop(looked);
    assert_eq!(pool.status().size, 1, "the one that is in use");
    drop(own);
    // What `get` gave goes on.
    for key in &keys {
        assert_eq!(connection.get::<_, u32>(key).await.unwrap(), 1);
    }
}

//! What users of other Redis clients have suffered, told in public threads, and that it does not happen here.
//!
//! `docs/field.md` lists them all, with those that other test files have a test for.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod deadlines;
mod moves;
mod nodes;
mod places;

use std::time::Duration;

use common::{key_on, run};
use redis::AsyncCommands;
use testbed::{Cluster, ClusterOptions, Node};
use wait_pool_redis::Builder;
use wait_pool_redis::cluster::Pool;

/// So many masters behind proxies. A node that is down costs its own slots only, and is not called
/// failed before a test is over.
fn start(masters: usize, replicas: usize) -> Cluster {
    let options = ClusterOptions::new(masters, replicas)
        .setting("cluster-require-full-coverage", "no")
        .node_timeout(Duration::from_secs(60))
        .proxied();
    Cluster::start_with(options).unwrap()
}

/// A pool called `trap`.
fn pool(cluster: &Cluster, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    let builder = Pool::builder(cluster.urls()).name("trap");
    set(builder).build().unwrap()
}

/// A key on each master, once a connection to each is open.
async fn warm(cluster: &Cluster, pool: &Pool) -> Vec<String> {
    let keys: Vec<String> = cluster
        .masters()
        .iter()
        .map(|node| key_on(cluster, node, "k"))
        .collect();
    for key in &keys {
        let _: () = pool.clone().set(key, 0).await.unwrap();
    }
    keys
}

/// The ids of the connections that carry requests of the pool; topologies are looked up on others.
fn carriers(node: &Node) -> Vec<u64> {
    let list: String = run(node, "CLIENT LIST TYPE NORMAL");
    let own = list.lines().filter(|line| line.contains(" name=trap "));
    let ids = own.filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
    ids.map(|id| id.parse().unwrap()).collect()
}

fn all_carriers(cluster: &Cluster) -> Vec<Vec<u64>> {
    cluster.masters().iter().map(carriers).collect()
}

/// How often the topology has been looked up.
fn lookups(cluster: &Cluster) -> u64 {
    let nodes = cluster.nodes().iter().filter(|node| node.is_running());
    let each = nodes
        .map(|node| node.calls("cluster|shards").unwrap() + node.calls("cluster|slots").unwrap());
    each.sum()
}

//! What the live tests have in common: servers, counts taken at them, and keys on a chosen node.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module that several test crates include")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

pub mod moving;

use std::collections::HashMap;
use std::time::Duration;

use testbed::{Cluster, Node};
use wait_pool_redis::Slot;

/// The ids of the connections that a server has from clients, without replicas and without the
/// one that asks.
pub fn clients(node: &Node) -> Vec<u64> {
    let mut connection = node.connection().unwrap();
    let own: u64 = redis::cmd("CLIENT")
        .arg("ID")
        .query(&mut connection)
        .unwrap();
    let mut list = redis::cmd("CLIENT");
    list.arg("LIST").arg("TYPE").arg("NORMAL");
    let list: String = list.query(&mut connection).unwrap();
    let mut ids: Vec<u64> = list
        .lines()
        .filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix("id=")))
        .map(|id| id.parse().unwrap())
        .filter(|id| *id != own)
        .collect();
    ids.sort_unstable();
    ids
}

/// What `CLIENT LIST` tells of the connections that a server has from clients, without the one that asks.
pub fn client_list(node: &Node) -> Vec<HashMap<String, String>> {
    let mut connection = node.connection().unwrap();
    let own: String = redis::cmd("CLIENT")
        .arg("ID")
        .query(&mut connection)
        .unwrap();
    let mut list = redis::cmd("CLIENT");
    list.arg("LIST").arg("TYPE").arg("NORMAL");
    let list: String = list.query(&mut connection).unwrap();
    let field = |field: &str| {
        let (name, value) = field.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    list.lines()
        .map(|line| line.split(' ').filter_map(field).collect())
        .filter(|client: &HashMap<_, _>| client["id"] != own)
        .collect()
}

/// How often a server has run a command since it started.
pub fn calls(node: &Node, command: &str) -> u64 {
    let mut connection = node.connection().unwrap();
    let info: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(&mut connection)
        .unwrap();
    let prefix = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

/// Runs a command on one server by itself.
pub fn run<T: redis::FromRedisValue>(node: &Node, words: &str) -> T {
    let mut cmd = redis::Cmd::new();
    for word in words.split(' ') {
        cmd.arg(word);
    }
    cmd.query(&mut node.connection().unwrap()).unwrap()
}

/// The first key `{prefix}{n}` in a slot that `wanted` accepts.
pub fn key_where(prefix: &str, wanted: impl Fn(Slot) -> bool) -> String {
    let key = |n: u32| format!("{prefix}{n}");
    (0..)
        .map(key)
        .find(|key| wanted(Slot::of(key.as_bytes())))
        .unwrap()
}

/// A key that this node serves.
pub fn key_on(cluster: &Cluster, node: &Node, prefix: &str) -> String {
    key_where(prefix, |slot| {
        cluster.slot_owner(slot.number()).unwrap().port() == node.port()
    })
}

/// Waits until every node lists every replica as fit to be read from. Until data has come over from its
/// primary it is listed as loading.
pub async fn replicas_are_online(cluster: &Cluster) {
    for node in cluster.masters() {
        let key = key_on(cluster, node, "online");
        run::<()>(node, &format!("SET {key} 1"));
        run::<()>(node, &format!("DEL {key}"));
    }
    let online = |node: &Node| {
        let shards = format!("{:?}", run::<redis::Value>(node, "CLUSTER SHARDS"));
        shards.matches("online").count() == cluster.nodes().len()
    };
    until("replicas online", || cluster.nodes().iter().all(online)).await;
}

/// Waits for something that takes its time at the servers.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

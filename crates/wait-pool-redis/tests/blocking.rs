//! Commands that keep their connection waiting, on handles that share theirs.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::{Duration, Instant};

use common::moving::move_slot;
use common::{calls, clients, key_on, run, until};
use redis::{AsyncCommands, Cmd, RedisResult, Value};
use testbed::{Cluster, Node, Server};
use tokio::task::JoinSet;
use wait_pool_redis::{Pool, Slot, cluster};

fn words(words: &str) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg(words.split(' ').collect::<Vec<_>>());
    cmd
}

fn blocked(node: &Node) -> usize {
    let list: String = run(node, "CLIENT LIST");
    let waits = |line: &&str| line.contains(" flags=b");
    list.lines().filter(waits).count()
}

async fn waits_at(node: &Node) {
    until("it waits at the server", || blocked(node) == 1).await;
}

fn start(replicas: usize) -> (Cluster, cluster::Pool) {
    let cluster = Cluster::start(3, replicas).unwrap();
    let pool = cluster::Pool::builder(cluster.urls()).build().unwrap();
    (cluster, pool)
}

#[tokio::test]
async fn a_command_that_waits_has_a_connection_of_its_own() {
    let server = Server::start().unwrap();
    let mut pool = Pool::builder(server.url()).max_size(2).build().unwrap();
    let mut other = pool.clone();
    let popped = tokio::spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    waits_at(&server).await;
    for n in 0..20 {
        let _: () = pool.set(n, n).await.unwrap();
    }
    assert_eq!(pool.status().holders, 1, "all others go on beside it");
    let _: () = pool.rpush("list", 7).await.unwrap();
    assert_eq!(popped.await.unwrap().unwrap(), ("list".into(), 7));
    assert_eq!((pool.status().in_use, clients(&server).len()), (0, 2));
}

#[tokio::test]
async fn every_command_that_waits_gets_its_answer() {
    let server = Server::start().unwrap();
    let pool = Pool::builder(server.url()).build().unwrap();
    for (wait, send, answer) in [
        ("BRPOP l 0", "RPUSH l a", "a"),
        ("BLMOVE l m LEFT RIGHT 0", "RPUSH l b", "b"),
        ("BRPOPLPUSH l m 0", "RPUSH l c", "c"),
        ("BLMPOP 0 1 l LEFT", "RPUSH l d", "d"),
        ("BZPOPMIN z 0", "ZADD z 1 e", "e"),
        ("BZMPOP 0 1 z MAX", "ZADD z 1 f", "f"),
        ("XREAD BLOCK 0 STREAMS s $", "XADD s * k g", "g"),
    ] {
        let mut other = pool.clone();
        let waiting = tokio::spawn(async move {
            let answer: RedisResult<Value> = words(wait).query_async(&mut other).await;
            answer
        });
        waits_at(&server).await;
        run::<Value>(&server, send);
        let answered = format!("{:?}", waiting.await.unwrap().unwrap());
        assert!(
            answered.contains(&format!("{answer:?}")),
            "{wait}: {answered}"
        );
    }
    // Streams that are read without waiting share a connection as ever.
    let read: Value = words("XREAD STREAMS s 0")
        .query_async(&mut pool.clone())
        .await
        .unwrap();
    assert!(matches!(read, Value::Array(_)), "{read:?}");
    assert_eq!(clients(&server).len(), 1);
}

#[tokio::test]
async fn the_request_timeout_is_extended_by_what_the_command_says() {
    let server = Server::start().unwrap();
    let limit = Duration::from_millis(200);
    let pool = Pool::builder(server.url())
        .request_timeout(limit)
        .build()
        .unwrap();
    let begun = Instant::now();
    let mut other = pool.clone();
    let nothing: Option<(String, i32)> = other.blpop("list", 0.6).await.unwrap();
    assert!(nothing.is_none() && begun.elapsed() >= limit * 2);
    // For ever.
    let popped = tokio::spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    waits_at(&server).await;
    tokio::time::sleep(limit * 3).await;
    let _: () = pool.clone().rpush("list", 7).await.unwrap();
    assert_eq!(popped.await.unwrap().unwrap().1, 7);
    // A server that says nothing at all.
    let mut other = pool.clone();
    let _: () = other.set("a", 1).await.unwrap();
    server.stop();
    let late = other
        .blpop::<_, (String, i32)>("list", 0.1)
        .await
        .unwrap_err();
    server.cont();
    assert!(late.is_timeout(), "{late}");
    assert!(late.to_string().contains("request_timeout"), "{late}");
    assert_eq!(pool.status().in_use, 0);
}

/// deadpool#130, glide#4673: nobody is left at the server who would take what comes later.
#[tokio::test]
async fn a_command_that_waits_and_is_dropped_takes_nothing() {
    let server = Server::start().unwrap();
    let mut pool = Pool::builder(server.url()).build().unwrap();
    let mut other = pool.clone();
    let waiting = tokio::spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    waits_at(&server).await;
    let there = clients(&server);
    waiting.abort();
    until("the connection is closed", || clients(&server).is_empty()).await;
    let _: () = pool.rpush("list", 7).await.unwrap();
    assert_eq!(pool.llen::<_, i32>("list").await.unwrap(), 1);
    assert!(!clients(&server).iter().any(|id| there.contains(id)));
    assert_eq!(pool.status().in_use, 0);
}

/// On a connection of one's own too, though its user goes on: what he asks for next would stand behind the
/// command that was dropped, and that would take the element first.
#[tokio::test]
async fn on_ones_own_connection_it_takes_nothing_either() {
    let server = Server::start().unwrap();
    let mut pool = Pool::builder(server.url()).build().unwrap();
    for late in [false, true] {
        let limit = Duration::from_millis(100);
        let mut own = match late {
            true => {
                let pool = Pool::builder(server.url()).request_timeout(limit).build();
                pool.unwrap().get().await.unwrap()
            }
            false => pool.get().await.unwrap(),
        };
        let id: u64 = words("CLIENT ID").query_async(&mut own).await.unwrap();
        // It says nothing while it stands still, and takes the command up when it goes on.
        let patience = if late { 0.1 } else { 0.0 };
        let waiting = tokio::spawn({
            let mut own = own.clone();
            async move { own.blpop::<_, (String, i32)>("list", patience).await }
        });
        match late {
            true => {
                server.stop();
                assert!(waiting.await.unwrap().unwrap_err().is_timeout());
                server.cont();
            }
            false => {
                waits_at(&server).await;
                waiting.abort();
            }
        }
        until("the connection is closed", || {
            !clients(&server).contains(&id)
        })
        .await;
        let refused = own
            .blpop::<_, (String, i32)>("list", 0.0)
            .await
            .unwrap_err();
        assert!(refused.is_connection_dropped(), "{refused}");
        assert!(refused.to_string().contains("take another"), "{refused}");
        // Reached as it is, it is one to nothing.
        let ping = words("PING").query_async::<()>(&mut *own).await;
        assert!(ping.unwrap_err().is_connection_dropped());
        assert_eq!(pool.status().in_use, 0);
        let _: () = pool.rpush("list", 7).await.unwrap();
        let popped: (String, i32) = pool.get().await.unwrap().blpop("list", 0.0).await.unwrap();
        assert_eq!(popped.1, 7);
    }
}

#[tokio::test]
async fn the_same_on_a_cluster() {
    let (cluster, mut pool) = start(0);
    let mut waiting = JoinSet::new();
    for node in cluster.masters() {
        let key = key_on(&cluster, node, "list");
        let mut other = pool.clone();
        waiting.spawn(async move { other.blpop::<_, (String, i32)>(key, 0.0).await });
        waits_at(node).await;
    }
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    for node in cluster.masters() {
        until("the connection is closed", || blocked(node) == 0).await;
        let key = key_on(&cluster, node, "list");
        let _: () = pool.rpush(&key, 7).await.unwrap();
        let popped: (String, i32) = pool.blpop(&key, 0.0).await.unwrap();
        assert_eq!(popped, (key, 7));
    }
}

/// What waits while its slot goes elsewhere waits on there.
#[tokio::test]
async fn a_slot_that_moves_takes_those_who_wait_along() {
    let (cluster, mut pool) = start(0);
    let old = cluster.slot_owner(Slot::of(b"list").number()).unwrap();
    let mut other = pool.clone();
    let waiting = tokio::spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    waits_at(old).await;
    let new = &cluster.masters()[move_slot(&cluster, "list")];
    until("it waits at the new owner", || blocked(new) == 1).await;
    assert_eq!(blocked(old), 0);
    let _: () = pool.rpush("list", 7).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), ("list".into(), 7));
}

/// A primary that becomes a replica sends those away who wait.
#[tokio::test]
async fn a_failover_takes_those_who_wait_along() {
    let (cluster, mut pool) = start(1);
    let slot = Slot::of(b"list").number();
    let old = cluster.slot_owner(slot).unwrap();
    let master = cluster
        .masters()
        .iter()
        .position(|node| node.port() == old.port())
        .unwrap();
    let new = &cluster.replicas()[master];
    let mut other = pool.clone();
    let waiting = tokio::spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    waits_at(old).await;
    run::<()>(new, "CLUSTER FAILOVER");
    until("it waits at the new primary", || blocked(new) == 1).await;
    let _: () = pool.rpush("list", 7).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), ("list".into(), 7));
    let refused: String = run(old, "INFO errorstats");
    assert!(refused.contains("errorstat_UNBLOCKED"), "{refused}");
}

/// Whom somebody sends away on purpose is told so.
#[tokio::test]
async fn a_client_that_is_unblocked_is_told() {
    let (cluster, pool) = start(0);
    let node = cluster.slot_owner(Slot::of(b"list").number()).unwrap();
    let mut other = pool.clone();
    let waiting = tokio::spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    waits_at(node).await;
    for id in clients(node) {
        let _: i32 = run(node, &format!("CLIENT UNBLOCK {id} ERROR"));
    }
    let told = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let told = told.unwrap().unwrap().unwrap_err();
    assert_eq!(told.code(), Some("UNBLOCKED"), "{told}");
}

/// G1: each holds a place, and what is one too many waits in line.
#[tokio::test]
async fn those_that_wait_keep_to_the_bound() {
    let server = Server::start().unwrap();
    let mut pool = Pool::builder(server.url()).max_size(3).build().unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..10 {
        let mut other = pool.clone();
        waiting.spawn(async move { other.blpop::<_, (String, i32)>("list", 0.0).await });
    }
    until("three wait there and seven here", || {
        blocked(&server) == 3 && pool.status().waiting == 7
    })
    .await;
    assert_eq!(clients(&server).len(), 3);
    for n in 0..10 {
        run::<()>(&server, &format!("RPUSH list {n}"));
    }
    let mut popped = Vec::new();
    while let Some(done) = waiting.join_next().await {
        popped.push(done.unwrap().unwrap().1);
    }
    popped.sort_unstable();
    assert_eq!(popped, (0..10).collect::<Vec<_>>());
    assert_eq!(clients(&server).len(), 3);
    assert_eq!(pool.llen::<_, i32>("list").await.unwrap(), 0);
}

#[tokio::test]
async fn in_a_pipeline_it_is_refused_and_told_where_to_go() {
    let server = Server::start().unwrap();
    let mut pipeline = redis::pipe();
    pipeline.set("a", 1).cmd("BLPOP").arg("list").arg(0);
    let mut alone = Pool::builder(server.url()).build().unwrap();
    let refused = pipeline.query_async::<()>(&mut alone).await.unwrap_err();
    for part in ["BLPOP", "alone", "Pool::get()"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert_eq!(calls(&server, "set"), 0);
    let (_cluster, mut pool) = start(0);
    let refused = pipeline.query_async::<()>(&mut pool).await.unwrap_err();
    assert!(
        refused.to_string().contains("cluster::Pool::pin(key)"),
        "{refused}"
    );
}

/// `WAIT` counts the replicas that have what was written on its own connection. On another it would say that all have it.
#[tokio::test]
async fn wait_is_refused_on_a_shared_handle_and_right_on_a_connection_of_ones_own() {
    let (cluster, mut pool) = start(1);
    let refused = words("WAIT 1 0")
        .query_async::<i32>(&mut pool)
        .await
        .unwrap_err();
    for part in ["WAIT", "cluster::Pool::pin(key)"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    let primary = cluster.slot_owner(Slot::of(b"a").number()).unwrap();
    let master = cluster
        .masters()
        .iter()
        .position(|node| node.port() == primary.port())
        .unwrap();
    let mut own = pool.pin("a").await.unwrap();
    let _: () = own.set("a", 1).await.unwrap();
    let have: i32 = words("WAIT 1 10000").query_async(&mut own).await.unwrap();
    assert_eq!(have, 1);
    cluster.replicas()[master].stop();
    let _: () = own.set("a", 2).await.unwrap();
    let have: i32 = words("WAIT 1 200").query_async(&mut own).await.unwrap();
    cluster.replicas()[master].cont();
    assert_eq!(have, 0);
}

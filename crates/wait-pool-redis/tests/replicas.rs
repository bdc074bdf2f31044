//! Reads from replicas, with the servers' own counts as the witness of who has answered.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{calls, key_on, replicas_are_online, run, until};
use redis::{AsyncCommands, RedisResult};
use testbed::{Cluster, ClusterOptions, Node};
use wait_pool_redis::ReadFrom;
use wait_pool_redis::cluster::Pool;

/// Two shards with a replica each, which are online, and a key on each shard that the replicas have.
async fn start() -> (Cluster, [String; 2]) {
    // Nobody takes over while a test kills a node.
    let options = ClusterOptions::new(2, 1)
        .node_timeout(Duration::from_secs(60))
        .setting("cluster-require-full-coverage", "no");
    let cluster = Cluster::start_with(options).unwrap();
    replicas_are_online(&cluster).await;
    let key = |at: usize| key_on(&cluster, &cluster.masters()[at], "k");
    let keys = [key(0), key(1)];
    for (master, key) in cluster.masters().iter().zip(&keys) {
        run::<()>(master, &format!("SET {key} {key}"));
        let offset = |node: &Node, field: &str| {
            let info: redis::InfoDict = run(node, "INFO replication");
            info.get::<u64>(field)
        };
        let replica = replica_of(&cluster, master);
        let all = offset(master, "master_repl_offset");
        until("replicated", || offset(replica, "slave_repl_offset") >= all).await;
    }
    for node in cluster.nodes() {
        run::<()>(node, "CONFIG RESETSTAT");
    }
    (cluster, keys)
}

fn replica_of<'c>(cluster: &'c Cluster, master: &Node) -> &'c Node {
    let follows = |node: &&Node| {
        let info: redis::InfoDict = run(node, "INFO replication");
        info.get::<u16>("master_port") == Some(master.port())
    };
    cluster.replicas().iter().find(follows).unwrap()
}

fn pool(cluster: &Cluster, from: ReadFrom) -> Pool {
    Pool::builder(cluster.urls())
        .read_from(from)
        .build()
        .unwrap()
}

async fn read(pool: &mut Pool, keys: &[String; 2], times: usize) {
    for _ in 0..times {
        for key in keys {
            let value: String = AsyncCommands::get(pool, key).await.unwrap();
            assert_eq!(value, *key);
        }
    }
}

fn gets(nodes: &[Node]) -> u64 {
    nodes.iter().map(|node| calls(node, "get")).sum()
}

#[tokio::test]
async fn primaries_answer_unless_told_otherwise() {
    let (cluster, keys) = start().await;
    let mut pool = Pool::builder(cluster.urls()).build().unwrap();
    read(&mut pool, &keys, 5).await;
    assert_eq!((gets(cluster.masters()), gets(cluster.replicas())), (10, 0));
    for replica in cluster.replicas() {
        assert_eq!(calls(replica, "readonly"), 0);
    }
}

#[tokio::test]
async fn replicas_answer_what_only_reads() {
    let (cluster, keys) = start().await;
    let mut pool = pool(&cluster, ReadFrom::PreferReplica);
    read(&mut pool, &keys, 5).await;
    let both: Vec<String> = pool.mget(&keys).await.unwrap();
    assert_eq!(both, keys);
    let mut reads = redis::pipe();
    for key in &keys {
        reads.get(key).exists(key);
    }
    let _: Vec<redis::Value> = reads.query_async(&mut pool).await.unwrap();
    assert_eq!((gets(cluster.masters()), gets(cluster.replicas())), (0, 12));
    for replica in cluster.replicas() {
        assert!(calls(replica, "mget") == 1 && calls(replica, "exists") == 1);
        // Once on each connection.
        assert!(calls(replica, "readonly") <= 2);
    }

    // Not with a write among them, nor in a transaction.
    let mut mixed = redis::pipe();
    mixed
        .set(&keys[0], "new")
        .ignore()
        .get(&keys[0])
        .get(&keys[1]);
    let (new, old): (String, String) = mixed.query_async(&mut pool).await.unwrap();
    assert_eq!((&*new, &*old), ("new", &*keys[1]));
    let mut atomic = redis::pipe();
    let _: (String,) = atomic
        .atomic()
        .get(&keys[0])
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!((gets(cluster.masters()), gets(cluster.replicas())), (3, 12));
}

#[tokio::test]
async fn all_nodes_of_a_shard_take_turns() {
    let (cluster, keys) = start().await;
    let mut pool = pool(&cluster, ReadFrom::RoundRobin);
    for _ in 0..10 {
        let mut pipe = redis::pipe();
        pipe.get(&keys[0]).get(&keys[1]);
        let _: (String, String) = pipe.query_async(&mut pool).await.unwrap();
    }
    for node in cluster.nodes() {
        assert_eq!(calls(node, "get"), 5, "{}", node.addr());
    }
}

#[tokio::test]
async fn a_dead_replica_is_left_out_and_a_dead_primary_too() {
    let (cluster, keys) = start().await;
    let mut pool = pool(&cluster, ReadFrom::PreferReplica);
    read(&mut pool, &keys, 2).await;
    replica_of(&cluster, &cluster.masters()[0]).kill().unwrap();
    read(&mut pool, &keys, 20).await;
    assert!(calls(&cluster.masters()[0], "get") >= 20);

    cluster.masters()[1].kill().unwrap();
    read(&mut pool, &keys, 20).await;
    let write: RedisResult<()> = pool.set(&keys[1], 1).await;
    assert!(write.is_err(), "writes need the primary");
}

#[tokio::test]
async fn a_replica_without_its_primary_is_left_out() {
    let (cluster, keys) = start().await;
    let master = &cluster.masters()[0];
    let replica = replica_of(&cluster, master);
    let mut pool = pool(&cluster, ReadFrom::PreferReplica);
    read(&mut pool, &keys, 1).await;

    // It cannot log in to its primary any more.
    run::<()>(replica, "CONFIG SET replica-serve-stale-data no");
    run::<()>(replica, "CONFIG SET masterauth wrong");
    run::<()>(replica, "CONFIG SET masteruser nobody");
    run::<u64>(replica, "CLIENT KILL TYPE master");
    let link_is_down = || {
        let info: redis::InfoDict = run(replica, "INFO replication");
        info.get::<String>("master_link_status").as_deref() == Some("down")
    };
    until("the link is down", link_is_down).await;
    let before = calls(master, "get");
    read(&mut pool, &keys, 10).await;
    assert_eq!(calls(master, "get"), before + 10, "it said MASTERDOWN");

    // It would answer again, with what it had. A new connection finds that out.
    run::<()>(replica, "CONFIG SET replica-serve-stale-data yes");
    let mut fresh = self::pool(&cluster, ReadFrom::PreferReplica);
    let answered = calls(replica, "get");
    read(&mut fresh, &keys, 10).await;
    assert_eq!(calls(replica, "get"), answered);
}

#[tokio::test]
async fn the_fastest_answers_most() {
    let (cluster, keys) = start().await;
    let mut pool = pool(&cluster, ReadFrom::LowestLatency);
    let replica = replica_of(&cluster, &cluster.masters()[0]);
    read(&mut pool, &keys, 10).await;
    // Its next answer is late, and remembered.
    while calls(replica, "get") == 0 {
        read(&mut pool, &keys, 1).await;
    }
    run::<()>(replica, "CLIENT PAUSE 400 ALL");
    let before = calls(&cluster.masters()[0], "get");
    read(&mut pool, &keys, 130).await;
    let by_master = calls(&cluster.masters()[0], "get") - before;
    assert!(by_master >= 64, "{by_master} of 130");
}

/// The primary is asked first where nothing is known, so that it takes a measured answer to leave it.
#[tokio::test]
async fn a_slow_primary_is_left_for_its_replica() {
    let (cluster, keys) = start().await;
    let mut pool = pool(&cluster, ReadFrom::LowestLatency);
    let master = &cluster.masters()[0];
    let replica = replica_of(&cluster, master);
    while calls(replica, "get") == 0 || calls(master, "get") == 0 {
        read(&mut pool, &keys, 1).await;
    }
    run::<()>(master, "CLIENT PAUSE 400 ALL");
    let before = calls(replica, "get");
    read(&mut pool, &keys, 130).await;
    let by_replica = calls(replica, "get") - before;
    assert!(by_replica >= 64, "{by_replica} of 130");
}

#[tokio::test]
async fn the_nearest_answer() {
    let (cluster, keys) = start().await;
    let near: Vec<u16> = [
        &cluster.masters()[0],
        &cluster.replicas()[0],
        &cluster.replicas()[1],
    ]
    .map(Node::port)
    .to_vec();
    let pool = Pool::builder(cluster.urls())
        .read_from(ReadFrom::AvailabilityZone("here".into()))
        .zones(move |node| {
            let is_near = near.contains(&node.port());
            Some(if is_near { "here" } else { "there" }.to_owned())
        });
    read(&mut pool.build().unwrap(), &keys, 6).await;
    assert_eq!((gets(cluster.masters()), gets(cluster.replicas())), (0, 12));

    let here = cluster.masters()[1].port();
    let pool = Pool::builder(cluster.urls())
        .read_from(ReadFrom::AvailabilityZone("here".into()))
        .zones(move |node| (node.port() == here).then(|| "here".to_owned()));
    read(&mut pool.build().unwrap(), &keys, 6).await;
    assert_eq!(gets(cluster.masters()), 6, "the primary that is near");
}

//! What comes after each answer of the servers, and after the lack of one: what has not run is sent again, what may
//! have run is not, and the order on each key stays. `INFO errorstats` is the witness that a server has
//! said what the test is about.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{calls, key_on, run, until};
use redis::{AsyncCommands, RedisResult, Value};
use testbed::{Cluster, ClusterOptions, Node, Server};
use tokio::task::JoinSet;
use wait_pool_redis::Slot;
use wait_pool_redis::cluster::Pool;

/// Two masters, a pool for them, and a slot of the first one's.
fn start() -> (Cluster, Pool, String, u16) {
    let cluster = Cluster::start(2, 0).unwrap();
    let pool = Pool::builder(cluster.urls())
        .request_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let tag = key_on(&cluster, &cluster.masters()[0], "tag");
    let slot = Slot::of(tag.as_bytes()).number();
    (cluster, pool, tag, slot)
}

fn said(cluster: &Cluster, code: &str) -> u64 {
    let errors = |node: &Node| node.errors(code).unwrap();
    cluster.nodes().iter().map(errors).sum()
}

/// Whether all nodes have the same to say of each node's epoch, the 7th field of `CLUSTER NODES`.
fn epochs_agree(cluster: &Cluster) -> bool {
    let epochs = |node: &Node| {
        let nodes: String = run(node, "CLUSTER NODES");
        let fields = nodes
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let mut epochs: Vec<_> = fields
            .map(|at| (at[0].to_owned(), at[6].to_owned()))
            .collect();
        epochs.sort_unstable();
        epochs
    };
    let all: Vec<_> = cluster.nodes().iter().map(epochs).collect();
    all.windows(2).all(|pair| pair[0] == pair[1])
}

/// Two keys of a slot, incremented at once.
fn both(tag: &str) -> redis::Cmd {
    let script = "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])";
    let mut eval = redis::cmd("EVAL");
    eval.arg(script).arg(2);
    eval.arg(format!("{{{tag}}}a")).arg(format!("{{{tag}}}b"));
    eval
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tryagain_is_asked_again_until_the_keys_are_together() {
    let (cluster, mut pool, tag, slot) = start();
    let _: i32 = both(&tag).query_async(&mut pool).await.unwrap();
    let migration = cluster
        .begin_migration(slot, &cluster.masters()[1])
        .unwrap();
    migration.migrate_key(&format!("{{{tag}}}a")).unwrap();

    let alone = tokio::spawn({
        let (mut pool, eval) = (pool.clone(), both(&tag));
        async move { eval.query_async::<i32>(&mut pool).await }
    });
    until("it said TRYAGAIN", || said(&cluster, "TRYAGAIN") > 0).await;
    let mut atomic = redis::pipe();
    atomic
        .atomic()
        .add_command(both(&tag))
        .get(format!("{{{tag}}}a"));
    let whole = tokio::spawn({
        let mut pool = pool.clone();
        async move { atomic.query_async::<(i32, i32)>(&mut pool).await }
    });
    let before = said(&cluster, "TRYAGAIN");
    until("and again", || said(&cluster, "TRYAGAIN") >= before + 2).await;
    migration.migrate_all().unwrap();
    alone.await.unwrap().unwrap();
    whole.await.unwrap().unwrap();
    migration.finish().unwrap();
    let counts: Vec<i32> = pool
        .mget(&[format!("{{{tag}}}a"), format!("{{{tag}}}b")])
        .await
        .unwrap();
    assert_eq!(counts, [3, 3], "each has run once");
}

#[tokio::test]
async fn a_transaction_follows_ask_and_moved_as_a_whole() {
    let (cluster, mut pool, tag, slot) = start();
    let (a, b) = (format!("{{{tag}}}a"), format!("{{{tag}}}b"));
    let mut add = redis::pipe();
    add.atomic().incr(&a, 1).incr(&b, 10).ignore().get(&b);
    let first: (i32, i32) = add.query_async(&mut pool).await.unwrap();
    assert_eq!(first, (1, 10));

    let migration = cluster
        .begin_migration(slot, &cluster.masters()[1])
        .unwrap();
    migration.migrate_all().unwrap();
    let asked: (i32, i32) = add.query_async(&mut pool).await.unwrap();
    assert_eq!(asked, (2, 20));
    assert!(said(&cluster, "ASK") > 0);
    migration.finish().unwrap();
    let mut stale = Pool::builder(cluster.urls()).build().unwrap();
    let moved: (i32, i32) = add.query_async(&mut pool).await.unwrap();
    let third: (i32, i32) = add.query_async(&mut stale).await.unwrap();
    assert_eq!((moved, third), ((3, 30), (4, 40)));
}

#[tokio::test]
async fn the_cuts_of_a_command_go_where_each_is_sent() {
    let (cluster, mut pool, tag, slot) = start();
    let of_slot = ["a", "b"].map(|name| format!("{{{tag}}}{name}"));
    let others = (0..20).map(|number| format!("key{number}"));
    let keys: Vec<String> = of_slot.iter().cloned().chain(others).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key, key)).collect();
    let _: () = pool.mset(&pairs).await.unwrap();

    let migration = cluster
        .begin_migration(slot, &cluster.masters()[1])
        .unwrap();
    migration.migrate_all().unwrap();
    let asked: Vec<String> = pool.mget(&keys).await.unwrap();
    assert_eq!(asked, keys);
    assert!(said(&cluster, "ASK") > 0);
    migration.finish().unwrap();
    let moved: Vec<String> = pool.mget(&keys).await.unwrap();
    assert_eq!(moved, keys);
    assert!(said(&cluster, "MOVED") > 0);
    let gone: usize = pool.unlink(&keys).await.unwrap();
    assert_eq!(gone, keys.len());
    let nothing: usize = pool.exists(&keys).await.unwrap();
    assert_eq!(nothing, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_down_is_asked_again() {
    let (cluster, mut pool, tag, slot) = start();
    let _: () = pool.set(&tag, 1).await.unwrap();
    let lost = key_on(&cluster, &cluster.masters()[1], "lost");
    let lost = Slot::of(lost.as_bytes()).number();
    assert_ne!(lost, slot);
    // A cluster that wants full coverage serves nothing while a slot has no owner.
    for node in cluster.masters() {
        run::<()>(node, &format!("CLUSTER DELSLOTS {lost}"));
    }
    let is_down = |node: &Node| run::<String>(node, "CLUSTER INFO").contains("cluster_state:fail");
    until("all are down", || cluster.masters().iter().all(is_down)).await;
    let waits = tokio::spawn({
        let (mut pool, tag) = (pool.clone(), tag.clone());
        async move { pool.incr::<_, _, i32>(tag, 1).await }
    });
    until("it said CLUSTERDOWN", || said(&cluster, "CLUSTERDOWN") > 0).await;
    run::<()>(&cluster.masters()[1], &format!("CLUSTER ADDSLOTS {lost}"));
    assert_eq!(waits.await.unwrap().unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_loading_is_asked_again() {
    let server = Server::start().unwrap();
    let pool = wait_pool_redis::Pool::builder(server.url());
    let pool = pool
        .request_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    for key in 0..500 {
        run::<()>(&server, &format!("SET k{key} {key}"));
    }
    run::<()>(&server, "CONFIG SET key-load-delay 1000");
    run::<()>(
        &server,
        "CONFIG SET loading-process-events-interval-bytes 1024",
    );
    let server = Arc::new(server);
    let reload = tokio::task::spawn_blocking({
        let server = Arc::clone(&server);
        move || run::<()>(&server, "DEBUG RELOAD")
    });
    let mut asks = pool.handle();
    let mut rounds = 0;
    while server.errors("LOADING").unwrap_or_default() == 0 {
        let mut pipe = redis::pipe();
        pipe.get("k1").incr("counter", 1).get("k2");
        let (one, count, two): (i32, i32, i32) = pipe.query_async(&mut asks).await.unwrap();
        rounds += 1;
        assert_eq!((one, count, two), (1, rounds, 2));
    }
    reload.await.unwrap();
    let counter: i32 = run(&server, "GET counter");
    assert_eq!(counter, rounds, "each has run once");
}

#[tokio::test]
async fn a_replica_that_stands_alone_refuses_writes_at_once() {
    let (main, replica) = (Server::start().unwrap(), Server::start().unwrap());
    run::<()>(&replica, &format!("REPLICAOF 127.0.0.1 {}", main.port()));
    let pool = wait_pool_redis::Pool::builder(replica.url())
        .build()
        .unwrap();
    let refused: RedisResult<()> = pool.handle().set("a", 1).await;
    assert_eq!(refused.unwrap_err().code(), Some("READONLY"));
    assert_eq!(replica.errors("READONLY").unwrap(), 1, "nobody else to ask");
}

#[tokio::test]
async fn nodes_that_point_at_each_other_are_left_after_a_few_rounds() {
    let (cluster, mut pool, tag, slot) = start();
    let _: () = pool.set(&tag, 1).await.unwrap();
    let [one, other] = [&cluster.masters()[0], &cluster.masters()[1]];
    for (node, owner) in [(one, other), (other, one)] {
        run::<()>(node, &format!("CLUSTER DELSLOTS {slot}"));
        let id = owner.cluster_id().unwrap();
        let _ = redis::cmd("CLUSTER")
            .arg(&["SETSLOT", &slot.to_string(), "NODE", &id])
            .exec(&mut node.connection().unwrap());
    }
    let before = said(&cluster, "MOVED");
    let refused: RedisResult<Value> = AsyncCommands::get(&mut pool, &tag).await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error.code(), Some("MOVED" | "CLUSTERDOWN")),
        "{error}"
    );
    // Once, five times at once, eight times after a pause.
    assert!(said(&cluster, "MOVED") <= before + 14);
}

/// ioredis#2075: repeats change the order on one key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_on_the_move_loses_no_write_and_keeps_the_order_on_each_key() {
    let (cluster, pool, tag, slot) = start();
    let ended = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..6 {
        let (mut pool, tag, ended) = (pool.clone(), tag.clone(), Arc::clone(&ended));
        tasks.spawn(async move {
            let keys: Vec<String> = (0..4).map(|n| format!("{{{tag}}}{task}:{n}")).collect();
            let mut rounds = 0_i64;
            while !ended.load(Ordering::Relaxed) {
                let mut pipe = redis::pipe();
                for key in &keys {
                    pipe.set(key, "stale").ignore();
                    pipe.set(key, rounds).ignore().incr(key, 1).get(key);
                    pipe.incr(format!("{key}:ledger"), 1);
                }
                pipe.mget(&keys);
                let answers: Vec<Value> = pipe.query_async(&mut pool).await.unwrap();
                rounds += 1;
                for answers in answers[..12].chunks(3) {
                    let answers = Value::Array(answers.to_vec());
                    let all: [i64; 3] = redis::from_redis_value(answers).unwrap();
                    assert_eq!(all, [rounds; 3]);
                }
                let read: Vec<i64> = redis::from_redis_value(answers[12].clone()).unwrap();
                assert_eq!(read, [rounds; 4]);
            }
            rounds
        });
    }
    for round in 0..10 {
        let to = &cluster.masters()[(round + 1) % 2];
        // A master that does not know the other's newest epoch might not win the slot, and then nobody has it.
        until("all know the newest epochs", || epochs_agree(&cluster)).await;
        cluster.move_slot(slot, to).unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    let rounds: i64 = tasks.join_all().await.into_iter().sum();
    let node = cluster.slot_owner(slot).unwrap();
    let mut ledger = 0;
    for task in 0..6 {
        for n in 0..4 {
            ledger += run::<i64>(node, &format!("GET {{{tag}}}{task}:{n}:ledger"));
        }
    }
    assert_eq!(ledger, rounds * 4, "each INCR has run exactly once");
    assert!(said(&cluster, "ASK") > 0 && said(&cluster, "MOVED") > 0);
}

/// A lost answer: reads come again, a write is left unless the user allows it.
#[tokio::test]
async fn what_may_have_run_is_sent_again_only_if_it_reads_or_the_user_allows_it() {
    let cluster = Cluster::start_with(ClusterOptions::new(2, 0).proxied()).unwrap();
    let node = &cluster.masters()[0];
    let key = key_on(&cluster, node, "k");
    let other = key_on(&cluster, node, "o");
    for (retry, counted) in [(false, 1), (true, 2)] {
        let pool = Pool::builder(cluster.urls()).retry_writes(retry);
        let mut pool = pool
            .request_timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let _: () = pool.set(&key, 0).await.unwrap();
        let _: () = pool.set(&other, "there").await.unwrap();
        let mut pipe = redis::pipe();
        pipe.get(&other).incr(&key, 1).get(&key).get(&other);
        pipe.ignore_errors();
        cluster.proxy(node).cut_after(0);
        let answers: Vec<RedisResult<Value>> = pipe.query_async(&mut pool).await.unwrap();
        assert!(!cluster.proxy(node).is_cut_pending());
        let text = |at: usize| match &answers[at] {
            Ok(value) => redis::from_redis_value::<String>(value.clone()).unwrap(),
            Err(error) => error.code().unwrap_or_default().to_owned(),
        };
        assert_eq!((&*text(0), &*text(3)), ("there", "there"));
        match retry {
            false => assert_eq!((&*text(1), &*text(2)), ("CONNECTIONLOST", "1")),
            true => assert_eq!((&*text(1), &*text(2)), ("2", "2")),
        }
        assert_eq!(run::<i32>(node, &format!("GET {key}")), counted);
    }
}

/// Nothing was sent where nobody could be reached: a write goes to whoever has taken over.
#[tokio::test]
async fn a_write_to_a_primary_that_is_gone_goes_to_its_successor() {
    let options = ClusterOptions::new(2, 1).node_timeout(Duration::from_secs(60));
    let cluster = Cluster::start_with(options).unwrap();
    common::replicas_are_online(&cluster).await;
    let pool = Pool::builder(cluster.urls()).request_timeout(Duration::from_secs(20));
    let mut pool = pool.build().unwrap();
    let old = &cluster.masters()[0];
    let key = key_on(&cluster, old, "k");
    let _: () = pool.set(&key, 1).await.unwrap();
    let port = format!("{}", old.port());
    let heir = cluster.replicas().iter().find(|replica| {
        let info: redis::InfoDict = run(replica, "INFO replication");
        info.get::<String>("master_port").as_deref() == Some(&port)
    });
    let heir = heir.unwrap();
    old.kill().unwrap();
    cluster.takeover(heir).unwrap();
    // The first may find its connection dead; after that no write is lost.
    let _: RedisResult<i32> = pool.incr(&key, 1).await;
    let incr = || calls(heir, "incrby");
    for _ in 0..5 {
        let before = incr();
        let written: RedisResult<i32> = pool.incr(&key, 1).await;
        if written.is_ok() {
            assert_eq!(incr(), before + 1);
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    panic!("nobody took it");
}

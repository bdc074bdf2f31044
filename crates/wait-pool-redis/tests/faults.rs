//! A cluster that changes, and nodes that lie, hang or are new: what the pool makes of it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::{Duration, Instant};

use common::{key_on, key_where, run};
use redis::{AsyncCommands, RedisResult};
use testbed::{Cluster, ClusterOptions, Server};
use wait_pool_redis::Slot;
use wait_pool_redis::cluster::Pool;

/// Tries until a request succeeds, and fails the test if that takes too long.
async fn succeeds<T>(what: &str, mut request: impl AsyncFnMut() -> RedisResult<T>) -> T {
    let begun = Instant::now();
    loop {
        match request().await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn partial(masters: usize, replicas: usize) -> Cluster {
    let options = ClusterOptions::new(masters, replicas);
    Cluster::start_with(options.setting("cluster-require-full-coverage", "no")).unwrap()
}

/// It refuses nothing and answers nothing; only its silence tells.
#[tokio::test]
async fn a_master_that_hangs_is_given_up_once_its_replica_has_taken_over() {
    let cluster = partial(3, 1);
    let limit = Duration::from_millis(300);
    let builder = Pool::builder(cluster.urls()).request_timeout(limit);
    let mut pool = builder.build().unwrap();
    let sick = &cluster.masters()[0];
    let key = key_on(&cluster, sick, "f");
    let _: () = pool.set(&key, 1).await.unwrap();
    sick.stop();
    succeeds("the replica takes over", async || {
        pool.set::<_, _, ()>(&key, 2).await
    })
    .await;
    sick.cont();
}

#[tokio::test]
async fn a_startup_node_that_knows_no_cluster_is_passed_over() {
    let cluster = partial(3, 0);
    let stranger = Server::start_with(&[("cluster-enabled", "yes")]).unwrap();
    for _ in 0..12 {
        let urls = [stranger.url(), cluster.masters()[0].url()];
        let mut pool = Pool::builder(urls).build().unwrap();
        for node in cluster.masters() {
            let key = key_on(&cluster, node, "k");
            let _: () = pool.set(&key, 1).await.unwrap();
        }
    }
    let mut lonely = Pool::builder([stranger.url()]).build().unwrap();
    let error = lonely.set::<_, _, ()>("a", 1).await.unwrap_err();
    assert_eq!(error.code(), Some("CLUSTERDOWN"), "{error}");
}

#[tokio::test]
async fn a_node_that_was_reset_takes_nothing_but_its_own_slots_away() {
    let cluster = partial(3, 0);
    let mut pools: Vec<Pool> = (0..8)
        .map(|_| Pool::builder(cluster.urls()).build().unwrap())
        .collect();
    let [reset, healthy @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    let keys: Vec<String> = healthy
        .iter()
        .map(|node| key_on(&cluster, node, "h"))
        .collect();
    let lost = key_on(&cluster, reset, "l");
    let slot = Slot::of(lost.as_bytes()).number();
    for pool in &mut pools {
        let _: () = pool.set(&lost, 1).await.unwrap();
    }
    run::<()>(reset, "FLUSHALL");
    run::<()>(reset, "CLUSTER RESET HARD");
    for pool in &mut pools {
        for _ in 0..3 {
            let _: RedisResult<()> = pool.set(&lost, 1).await;
        }
        for key in &keys {
            let _: () = pool.set(key, 1).await.unwrap();
        }
    }
    // Somebody else is given one of its slots.
    for node in healthy {
        let own: String = run(node, "CLUSTER MYID");
        for line in run::<String>(node, "CLUSTER NODES").lines() {
            let id = line.split(' ').next().unwrap();
            if line.contains(&format!(":{}@", reset.port())) && id != own {
                run::<()>(node, &format!("CLUSTER FORGET {id}"));
            }
        }
    }
    for node in healthy {
        let _: Result<(), _> = redis::cmd("CLUSTER")
            .arg("DELSLOTS")
            .arg(slot)
            .query(&mut node.connection().unwrap());
    }
    run::<()>(&healthy[0], &format!("CLUSTER ADDSLOTS {slot}"));
    for pool in &mut pools {
        succeeds("the new owner is found", async || {
            pool.set::<_, _, ()>(&lost, 2).await
        })
        .await;
    }
}

/// One key that nobody serves holds up no other.
#[tokio::test]
async fn a_slot_without_an_owner_costs_its_own_keys_only() {
    let cluster = partial(3, 0);
    let limit = Duration::from_millis(300);
    let mut pool = Pool::builder(cluster.urls())
        .request_timeout(limit)
        .build()
        .unwrap();
    let node = &cluster.masters()[0];
    let lost = key_on(&cluster, node, "lost");
    let slot = Slot::of(lost.as_bytes()).number();
    for node in cluster.masters() {
        run::<()>(node, &format!("CLUSTER DELSLOTS {slot}"));
    }
    let good = key_on(&cluster, &cluster.masters()[1], "good");
    for round in 0..4 {
        let mut pipeline = redis::pipe();
        pipeline.set(&good, round).get(&lost).get(&good);
        let results: Vec<RedisResult<redis::Value>> = pipeline
            .ignore_errors()
            .query_async(&mut pool)
            .await
            .unwrap();
        assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
        let error = results[1].as_ref().unwrap_err();
        assert_eq!(error.code(), Some("CLUSTERDOWN"), "{error}");
    }
}

/// A command that is sent on to a node that hangs takes no other answer with it.
#[tokio::test]
async fn an_answer_is_kept_whatever_becomes_of_its_neighbours() {
    let cluster = partial(3, 0);
    let limit = Duration::from_millis(500);
    let mut pool = Pool::builder(cluster.urls())
        .request_timeout(limit)
        .build()
        .unwrap();
    let [from, to, ..] = cluster.masters() else {
        panic!("three masters")
    };
    let (stays, moves) = (
        key_on(&cluster, from, "stays"),
        key_on(&cluster, from, "moves"),
    );
    let slot = Slot::of(moves.as_bytes()).number();
    let warm = key_on(&cluster, to, "warm");
    let _: () = pool.set(&warm, 1).await.unwrap();
    let _: () = pool.set(&stays, 0).await.unwrap();
    let id: String = run(to, "CLUSTER MYID");
    for node in [to, from] {
        run::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {id}"));
    }
    to.stop();
    let mut pipeline = redis::pipe();
    pipeline.incr(&stays, 1).get(&moves);
    let results: Vec<RedisResult<redis::Value>> = pipeline
        .ignore_errors()
        .query_async(&mut pool)
        .await
        .unwrap();
    to.cont();
    assert_eq!(results[0].as_ref().unwrap(), &redis::Value::Int(1));
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), Some("TIMEOUT"), "{error}");
    assert!(
        error.to_string().contains(&to.addr()),
        "{error} names the node asked last"
    );
}

#[tokio::test]
async fn a_command_whose_answer_is_not_wanted_is_redirected_all_the_same() {
    let cluster = partial(3, 0);
    let mut pool = Pool::builder(cluster.urls()).build().unwrap();
    let [from, to, ..] = cluster.masters() else {
        panic!("three masters")
    };
    let key = key_on(&cluster, from, "n");
    let slot = Slot::of(key.as_bytes()).number();
    let _: () = pool.set("warm", 1).await.unwrap();
    let id: String = run(to, "CLUSTER MYID");
    for node in [to, from] {
        run::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {id}"));
    }
    for _ in 0..10 {
        let mut incr = redis::cmd("INCR");
        incr.arg(&key).set_no_response(true);
        incr.exec_async(&mut pool).await.unwrap();
    }
    assert_eq!(
        AsyncCommands::get::<_, i32>(&mut pool, &key).await.unwrap(),
        10
    );
}

/// One hung node is no reason to wait; it is told the script when it first misses it.
#[tokio::test]
async fn a_script_is_loaded_by_those_who_answer() {
    let cluster = partial(3, 0);
    let limit = Duration::from_secs(20);
    let pool = Pool::builder(cluster.urls()).request_timeout(limit);
    let mut pool = pool.build().unwrap();
    let hung = &cluster.masters()[1];
    for node in cluster.masters() {
        let key = key_on(&cluster, node, "warm");
        let _: () = pool.set(key, 1).await.unwrap();
    }
    hung.stop();
    let load = redis::cmd("SCRIPT").arg("LOAD").arg("return 7").take();
    let begun = Instant::now();
    let sha: String = load.query_async(&mut pool).await.unwrap();
    assert!(begun.elapsed() < limit / 2, "it waited for the hung node");
    hung.cont();
    run::<()>(hung, "SCRIPT FLUSH");
    let mut evalsha = redis::cmd("EVALSHA");
    evalsha.arg(sha).arg(1).arg(key_on(&cluster, hung, "k"));
    assert_eq!(evalsha.query_async::<i32>(&mut pool).await.unwrap(), 7);
}

/// A dead master that is still listed, and one that serves no slot, are no place for a PING.
#[tokio::test]
async fn commands_without_keys_go_to_nodes_that_serve() {
    let cluster = partial(3, 0);
    let limit = Duration::from_millis(1000);
    let mut pool = Pool::builder(cluster.urls())
        .request_timeout(limit)
        .build()
        .unwrap();
    let _: () = pool.set("warm", 1).await.unwrap();
    cluster.masters()[0].kill().unwrap();
    for _ in 0..60 {
        let pong: String = redis::cmd("PING").query_async(&mut pool).await.unwrap();
        assert_eq!(pong, "PONG");
    }
}

#[tokio::test]
async fn a_key_on_a_node_is_where_the_tests_think() {
    let cluster = partial(2, 0);
    for node in cluster.masters() {
        let key = key_on(&cluster, node, "k");
        run::<()>(node, &format!("SET {key} 1"));
        assert_eq!(key, key_where("k", |slot| slot == Slot::of(key.as_bytes())));
    }
}

//! The pool for a cluster, on a real one, with real redirects and real faults.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::{Duration, Instant};

use common::{calls, clients, key_on, run, until};
use redis::{AsyncCommands, RedisResult};
use testbed::{Cluster, ClusterOptions, Node};
use tokio::task::JoinSet;
use wait_pool_redis::cluster::Pool;
use wait_pool_redis::{BuildError, Builder, Slot};

fn start(masters: usize) -> Cluster {
    Cluster::start(masters, 0).unwrap()
}

fn pool(cluster: &Cluster, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    set(Pool::builder(cluster.urls())).build().unwrap()
}

/// Opens the connections that the tests then count.
async fn warm(cluster: &Cluster, pool: &Pool) {
    for node in cluster.masters() {
        let key = key_on(cluster, node, "warm");
        let _: () = pool.clone().set(key, 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_pipeline_over_all_nodes_comes_back_in_order() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    let mut write = redis::pipe();
    let mut read = redis::pipe();
    for n in 0..300 {
        write.set(format!("key{n}"), n).ignore();
        read.get(format!("key{}", 299 - n));
    }
    let _: () = write.query_async(&mut pool).await.unwrap();
    let values: Vec<i32> = read.query_async(&mut pool).await.unwrap();
    assert_eq!(values, (0..300).rev().collect::<Vec<_>>());
    for node in cluster.masters() {
        assert!(calls(node, "get") > 50, "every node has served its part");
    }
}

#[tokio::test]
async fn commands_go_where_their_keys_are() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    for n in 0..50 {
        let (a, b) = (format!("{{{n}}}a"), format!("{{{n}}}b"));
        let _: () = pool.mset(&[(&a, n), (&b, n + 1)]).await.unwrap();
        let both: (i32, i32) = pool.mget(&[&a, &b]).await.unwrap();
        assert_eq!(both, (n, n + 1));
        let mut eval = redis::cmd("EVAL");
        eval.arg("return redis.call('INCR', KEYS[1])")
            .arg(1)
            .arg(&a);
        assert_eq!(eval.query_async::<i32>(&mut pool).await.unwrap(), n + 1);
        let _: i32 = redis::cmd("XADD")
            .arg(format!("stream{n}"))
            .arg("1-1")
            .arg("f")
            .arg(1)
            .query_async::<String>(&mut pool)
            .await
            .map(|_| 1)
            .unwrap();
    }
    assert_eq!(
        redis::cmd("PING")
            .query_async::<String>(&mut pool)
            .await
            .unwrap(),
        "PONG"
    );
    let moved: u64 = cluster
        .masters()
        .iter()
        .map(|node| errors(node, "MOVED"))
        .sum();
    assert_eq!(moved, 0, "nothing went to a wrong node");
}

fn errors(node: &Node, code: &str) -> u64 {
    let info: String = run(node, "INFO errorstats");
    let prefix = format!("errorstat_{code}:count=");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

#[tokio::test]
async fn each_position_has_its_own_result() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    let _: () = pool.set("text", "x").await.unwrap();
    let mut pipeline = redis::pipe();
    for n in 0..10 {
        pipeline.incr(format!("n{n}"), n).incr("text", 1);
    }
    let results: Vec<RedisResult<i32>> = pipeline
        .ignore_errors()
        .query_async(&mut pool)
        .await
        .unwrap();
    for (position, result) in results.into_iter().enumerate() {
        match position % 2 {
            0 => assert_eq!(result.unwrap(), i32::try_from(position / 2).unwrap()),
            _ => assert!(result.unwrap_err().to_string().contains("not an integer")),
        }
    }
}

/// G1 and G2, counted at the servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_waits_at_the_bound_of_each_node() {
    let cluster = start(3);
    let pool = pool(&cluster, |builder| {
        builder.max_connections_per_node(2).max_leases(1)
    });
    let mut crowd = JoinSet::new();
    for number in 0..100 {
        let mut pool = pool.clone();
        crowd.spawn(async move {
            for round in 0..20 {
                let mut pipeline = redis::pipe();
                for n in 0..10 {
                    pipeline.set(format!("{number}:{n}"), round).ignore();
                    pipeline.get(format!("{number}:{n}"));
                }
                let values: Vec<i32> = pipeline.query_async(&mut pool).await.unwrap();
                assert_eq!(values, [round; 10]);
            }
        });
    }
    let mut most = [0; 3];
    while !crowd.is_empty() {
        tokio::select! {
            _ = tokio::time::sleep(Duration::from_millis(10)) => {
                for (most, node) in most.iter_mut().zip(cluster.masters()) {
                    *most = clients(node).len().max(*most);
                }
            }
            done = crowd.join_next() => done.unwrap().unwrap(),
        }
    }
    for most in most {
        // One more may be looking up the topology.
        assert!((2..=3).contains(&most), "{most} connections at a node");
    }
    for (addr, status) in pool.status_by_node() {
        assert_eq!(
            (status.size, status.waiting, status.holders),
            (2, 0, 0),
            "{addr}"
        );
    }
}

/// Gives a slot to another node, all of it or only what is written from now on.
struct Migration<'a> {
    slot: u16,
    from: &'a Node,
    to: &'a Node,
    ids: (String, String),
}

impl<'a> Migration<'a> {
    fn begin(cluster: &'a Cluster, key: &str) -> Self {
        let slot = Slot::of(key.as_bytes()).number();
        let from = cluster.slot_owner(slot).unwrap();
        let others = |node: &&Node| node.port() != from.port();
        let to = cluster.masters().iter().find(others).unwrap();
        let ids: (String, String) = (run(from, "CLUSTER MYID"), run(to, "CLUSTER MYID"));
        run::<()>(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids.0));
        run::<()>(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids.1));
        Self {
            slot,
            from,
            to,
            ids,
        }
    }

    fn move_key(&self, key: &str) {
        let port = self.to.port();
        run::<String>(self.from, &format!("MIGRATE 127.0.0.1 {port} {key} 0 1000"));
    }

    fn end(&self, cluster: &Cluster) {
        for node in cluster.masters() {
            run::<()>(
                node,
                &format!("CLUSTER SETSLOT {} NODE {}", self.slot, self.ids.1),
            );
        }
    }
}

#[tokio::test]
async fn moved_is_followed_for_each_command_alone() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    let keys: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    for (n, key) in keys.iter().enumerate() {
        let _: () = pool.set(key, n).await.unwrap();
    }
    let migration = Migration::begin(&cluster, &keys[7]);
    migration.move_key(&keys[7]);
    migration.end(&cluster);
    let before: u64 = cluster
        .masters()
        .iter()
        .map(|node| calls(node, "incrby"))
        .sum();
    let mut pipeline = redis::pipe();
    keys.iter().for_each(|key| {
        pipeline.incr(key, 100);
    });
    let values: Vec<usize> = pipeline.query_async(&mut pool).await.unwrap();
    assert_eq!(values, (100..130).collect::<Vec<_>>());
    let after: u64 = cluster
        .masters()
        .iter()
        .map(|node| calls(node, "incrby"))
        .sum();
    assert_eq!(after - before, 30, "each ran once");
    assert_eq!(errors(migration.from, "MOVED"), 1);
    // And is remembered.
    let _: usize = pool.incr(&keys[7], 1).await.unwrap();
    assert_eq!(errors(migration.from, "MOVED"), 1);
}

#[tokio::test]
async fn ask_is_followed_for_each_command_alone() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    let (here, there) = ("{tag}here", "{tag}there");
    let _: () = pool.set(here, 1).await.unwrap();
    let _: () = pool.set(there, 2).await.unwrap();
    let migration = Migration::begin(&cluster, here);
    migration.move_key(there);
    for round in 0..3 {
        let values: Vec<i32> = redis::pipe()
            .incr("other", 1)
            .incr(there, 10)
            .incr(here, 10)
            .incr(there, 10)
            .query_async(&mut pool)
            .await
            .unwrap();
        let (there, here) = (2 + 20 * round, 1 + 10 * round);
        assert_eq!(values, [round + 1, there + 10, here + 10, there + 20]);
    }
    let single: i32 = AsyncCommands::get(&mut pool, there).await.unwrap();
    assert_eq!(single, 62);
    assert_eq!(calls(migration.to, "asking"), 7, "one for each command");
    migration.move_key(here);
    migration.end(&cluster);
    let both: (i32, i32) = pool.mget(&[here, there]).await.unwrap();
    assert_eq!(both, (31, 62));
}

/// G9: a transaction is never split, and follows its slot as a whole.
#[tokio::test]
async fn a_transaction_stays_whole() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    let run_it = async |pool: &mut Pool| -> RedisResult<(i32, i32)> {
        let mut pipeline = redis::pipe();
        pipeline.atomic().incr("{t}a", 1).incr("{t}b", 2);
        pipeline.query_async(pool).await
    };
    assert_eq!(run_it(&mut pool).await.unwrap(), (1, 2));
    let migration = Migration::begin(&cluster, "{t}a");
    migration.move_key("{t}a");
    migration.move_key("{t}b");
    migration.end(&cluster);
    assert_eq!(run_it(&mut pool).await.unwrap(), (2, 4));

    let before = calls(&cluster.masters()[0], "multi");
    let mut split = redis::pipe();
    split.atomic().incr("a", 1).incr("b", 1).incr("c", 1);
    let error = split.query_async::<()>(&mut pool).await.unwrap_err();
    assert!(error.to_string().contains("hash tag"), "{error}");
    assert_eq!(calls(&cluster.masters()[0], "multi"), before);
}

/// G8: a node that hangs costs its own keys and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_costs_only_its_own_keys() {
    let cluster = start(3);
    let limit = Duration::from_millis(300);
    let mut pool = pool(&cluster, |builder| {
        builder.request_timeout(limit).max_leases(4)
    });
    warm(&cluster, &pool).await;
    let [sick, healthy @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    let keys: Vec<String> = healthy
        .iter()
        .map(|node| key_on(&cluster, node, "h"))
        .collect();
    let sick_key = key_on(&cluster, sick, "s");
    let before: Vec<_> = healthy.iter().map(clients).collect();

    sick.stop();
    let mut stuck = JoinSet::new();
    for _ in 0..100 {
        let (mut pool, key) = (pool.clone(), sick_key.clone());
        stuck.spawn(async move { pool.incr::<_, _, i32>(key, 1).await });
    }
    // A pipeline over all of them has the values of the others, and says which it has not.
    let mut pipeline = redis::pipe();
    pipeline.set(&keys[0], 1).set(&sick_key, 1).set(&keys[1], 1);
    let results: Vec<RedisResult<()>> = pipeline
        .ignore_errors()
        .query_async(&mut pool)
        .await
        .unwrap();
    assert!(results[0].is_ok() && results[2].is_ok());
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), Some("TIMEOUT"), "{error}");
    // The others serve as ever.
    let until = Instant::now() + Duration::from_secs(1);
    let mut served = 0;
    while Instant::now() < until {
        for key in &keys {
            let asked = Instant::now();
            let _: i32 = pool.incr(key, 1).await.unwrap();
            assert!(asked.elapsed() < limit);
            served += 1;
        }
    }
    assert!(served > 500, "only {served} served");
    while let Some(done) = stuck.join_next().await {
        assert!(done.unwrap().unwrap_err().is_timeout());
    }
    sick.cont();
    let after: Vec<_> = healthy.iter().map(clients).collect();
    let kept = |(before, after): (&Vec<u64>, &Vec<u64>)| before.iter().all(|id| after.contains(id));
    assert!(
        before.iter().zip(&after).all(kept),
        "connections to others were closed"
    );
    common::until("the node serves again", || !clients(sick).is_empty()).await;
    let _: () = pool.set(&sick_key, 1).await.unwrap();
}

/// G8: no refresh is caused by a request that waited too long for a connection.
#[tokio::test]
async fn a_wait_timeout_asks_for_no_topology() {
    let cluster = start(3);
    let pool = pool(&cluster, |builder| {
        let patience = Duration::from_millis(50);
        builder
            .wait_timeout(patience)
            .max_connections_per_node(1)
            .max_leases(1)
    });
    warm(&cluster, &pool).await;
    let asked = || -> u64 {
        let asked = |node| calls(node, "cluster|shards") + calls(node, "cluster|slots");
        cluster.masters().iter().map(asked).sum()
    };
    let (sick, before) = (&cluster.masters()[0], asked());
    let key = key_on(&cluster, sick, "s");
    sick.stop();
    let (mut holder, held) = (pool.clone(), key.clone());
    let holder = tokio::spawn(async move { holder.set::<_, _, ()>(held, 1).await });
    until("it has the only place", || {
        pool.status_by_node()
            .iter()
            .any(|(_, status)| status.holders == 1)
    })
    .await;
    for _ in 0..20 {
        let error = pool.clone().set::<_, _, ()>(&key, 1).await.unwrap_err();
        assert!(error.to_string().contains("in the queue"), "{error}");
    }
    sick.cont();
    holder.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn a_failover_is_followed() {
    let options = ClusterOptions::new(3, 1).setting("cluster-require-full-coverage", "no");
    let cluster = Cluster::start_with(options).unwrap();
    let mut pool = pool(&cluster, |builder| builder);
    let victim = &cluster.masters()[0];
    let key = key_on(&cluster, victim, "f");
    let _: () = pool.set(&key, 1).await.unwrap();
    run::<i32>(victim, "WAIT 1 1000");
    let other = key_on(&cluster, &cluster.masters()[1], "o");
    victim.kill().unwrap();
    let begun = Instant::now();
    let value = loop {
        let _: () = pool.set(&other, 1).await.unwrap();
        let value: RedisResult<i32> = AsyncCommands::get(&mut pool, &key).await;
        if let Ok(value) = value {
            break value;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{value:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(value, 1);
}

/// G11: however many requests ask, refreshes are few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_are_rate_limited() {
    let options = ClusterOptions::new(3, 0).setting("cluster-require-full-coverage", "no");
    let cluster = Cluster::start_with(options).unwrap();
    let pool = pool(&cluster, |builder| builder);
    warm(&cluster, &pool).await;
    let key = key_on(&cluster, &cluster.masters()[0], "d");
    let slot = Slot::of(key.as_bytes()).number();
    for node in cluster.masters() {
        run::<()>(node, &format!("CLUSTER DELSLOTS {slot}"));
    }
    let asked = || -> u64 {
        let asked = |node| calls(node, "cluster|shards") + calls(node, "cluster|slots");
        cluster.masters().iter().map(asked).sum()
    };
    let before = asked();
    let begun = Instant::now();
    let mut crowd = JoinSet::new();
    for _ in 0..50 {
        let (mut pool, key) = (pool.clone(), key.clone());
        crowd.spawn(async move {
            while begun.elapsed() < Duration::from_secs(3) {
                let lost: RedisResult<()> = pool.set(&key, 1).await;
                assert_eq!(lost.unwrap_err().code(), Some("CLUSTERDOWN"));
            }
        });
    }
    crowd.join_all().await;
    // The first one asks all three nodes, since none tells of all slots any more.
    let told = asked() - before;
    assert!((3..=10).contains(&told), "asked {told} times in 3 s");
}

/// G10: one connection a node, pipelines over all nodes in any order: nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_in_any_order_do_not_deadlock() {
    let cluster = start(3);
    let pool = pool(&cluster, |builder| {
        builder
            .max_connections_per_node(1)
            .max_leases(1)
            .wait_timeout(None)
            .request_timeout(None)
    });
    let mut crowd = JoinSet::new();
    for number in 0..48 {
        let mut pool = pool.clone();
        crowd.spawn(async move {
            for round in 0..30 {
                let mut pipeline = redis::pipe();
                for n in 0..12 {
                    pipeline.incr(format!("k{}", (n * 7 + number + round) % 12), 1);
                }
                let _: Vec<i32> = pipeline.query_async(&mut pool).await.unwrap();
            }
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(60), crowd.join_all());
    all.await.expect("a deadlock");
    let mut sum = 0;
    for n in 0..12 {
        sum += AsyncCommands::get::<_, i32>(&mut pool.clone(), format!("k{n}"))
            .await
            .unwrap();
    }
    assert_eq!(sum, 48 * 30 * 12, "each ran once");
}

#[tokio::test]
async fn a_script_is_loaded_wherever_its_keys_may_be() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    let script = redis::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for round in 1..=2 {
        for node in cluster.masters() {
            let key = key_on(&cluster, node, "s");
            let mut call = script.prepare_invoke();
            let sum: i32 = call.key(key).arg(5).invoke_async(&mut pool).await.unwrap();
            assert_eq!(sum, round * 5);
        }
    }
    let loads: u64 = cluster
        .masters()
        .iter()
        .map(|node| calls(node, "script|load"))
        .sum();
    assert_eq!(loads, 3, "once, and everywhere");
}

#[tokio::test]
async fn a_server_without_cluster_mode_is_reported_as_such() {
    let server = testbed::Server::start().unwrap();
    let mut pool = Pool::builder([server.url()]).build().unwrap();
    let begun = Instant::now();
    let error = pool.set::<_, _, ()>("a", 1).await.unwrap_err();
    assert!(
        error.to_string().contains("cluster support disabled"),
        "{error}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "not at the deadline"
    );
}

#[tokio::test]
async fn startup_nodes_that_are_down_are_passed_over() {
    let cluster = start(3);
    let mut urls = vec![
        "redis://127.0.0.1:1".to_owned(),
        "redis://127.0.0.1:2".to_owned(),
    ];
    urls.push(cluster.masters()[2].url());
    let mut pool = Pool::builder(urls).build().unwrap();
    for n in 0..10 {
        let _: () = pool.set(format!("k{n}"), n).await.unwrap();
    }
    let mut nobody = Pool::builder(["redis://127.0.0.1:1"]).build().unwrap();
    let error = nobody.set::<_, _, ()>("a", 1).await.unwrap_err();
    assert!(error.is_connection_refusal(), "{error}");
}

#[tokio::test]
async fn a_closed_pool_says_so() {
    let cluster = start(3);
    let mut pool = pool(&cluster, |builder| builder);
    warm(&cluster, &pool).await;
    pool.close();
    let error = pool.set::<_, _, ()>("a", 1).await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    until("all connections are closed", || {
        cluster
            .masters()
            .iter()
            .all(|node| clients(node).is_empty())
    })
    .await;
}

#[test]
fn urls_that_do_not_fit_are_refused() {
    let refused = |urls: &[&str]| Pool::builder(urls.iter().copied()).build().unwrap_err();
    assert!(matches!(refused(&[]), BuildError::Unfit(_)));
    assert!(matches!(refused(&["redis://h/2"]), BuildError::Unfit(_)));
    assert!(matches!(refused(&["carrot://h"]), BuildError::Url(_)));
    let nodes = Pool::builder(["redis://h"]).max_connections_per_node(0);
    let error = nodes.build().unwrap_err();
    assert!(
        error.to_string().starts_with("max_connections_per_node: "),
        "{error}"
    );
}

/// The handle goes wherever a redis-rs connection goes.
#[test]
fn handles_go_anywhere() {
    fn handle<T: Clone + std::fmt::Debug + Send + Sync + Unpin + 'static>() {}
    fn connection<T: redis::aio::ConnectionLike>() {}
    handle::<Pool>();
    handle::<wait_pool_redis::Pool>();
    connection::<Pool>();
    connection::<wait_pool_redis::Pool>();
    connection::<wait_pool_redis::Connection>();
}

//! Nodes that go, come back, and are somewhere else.

use std::time::{Duration, Instant};

use redis::{AsyncCommands, RedisResult};
use testbed::{Cluster, ClusterOptions, Node, Proxy};
use tokio::task::JoinSet;
use wait_pool_redis::Slot;
use wait_pool_redis::cluster::Pool;

use crate::common::{run, until};
use crate::{carriers, lookups, pool, start, warm};

/// redis-py#3917, #3693: startup nodes were used up one by one, and when all nodes had new addresses nobody
/// was left to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn startup_nodes_are_never_used_up() {
    let cluster = start(3, 0);
    // A way to the cluster that no node ever tells of.
    let way = Proxy::start(cluster.masters()[0].addr().parse().unwrap()).unwrap();
    let pool = Pool::builder([way.url()])
        .name("trap")
        .request_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let keys = warm(&cluster, &pool).await;
    let proxies = || cluster.masters().iter().map(|node| cluster.proxy(node));
    for proxy in proxies().chain([&way]) {
        proxy.refuse();
        proxy.cut();
    }
    // Long enough for everybody to be asked in vain, more than once.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let failed: RedisResult<i64> = pool.clone().incr(&keys[1], 1).await;
        assert!(failed.unwrap_err().is_io_error());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in cluster.masters() {
        run::<()>(node, "CONFIG SET cluster-announce-hostname 127.0.0.1");
    }
    let knows = |node: &Node| {
        let told: String = run(node, "CLUSTER NODES");
        told.matches(",127.0.0.1").count() == 3
    };
    until("they tell their new names", || {
        cluster.masters().iter().all(knows)
    })
    .await;
    way.accept().unwrap();
    for key in &keys {
        let begun = Instant::now();
        while let Err(error) = pool.clone().incr::<_, _, i64>(key, 1).await {
            assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// fred#145, lettuce#944: one node went down, and clients connected to all of them anew, a thousand times
/// at the one that took over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_opens_few_connections_and_closes_none_elsewhere() {
    const BOUND: usize = 4;
    let options = ClusterOptions::new(3, 1)
        .setting("cluster-require-full-coverage", "no")
        .node_timeout(Duration::from_secs(60))
        .proxied();
    let cluster = Cluster::start_with(options).unwrap();
    let pool = pool(&cluster, |builder| {
        builder
            .max_connections_per_node(BOUND)
            .max_leases(2)
            .request_timeout(Duration::from_millis(500))
    });
    let keys = warm(&cluster, &pool).await;
    let [old, others @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    let new = &cluster.replicas()[0];
    let before: Vec<_> = others.iter().map(carriers).collect();
    let tried = cluster.proxy(old).accepted();

    old.kill().unwrap();
    let begun = Instant::now();
    let mut crowd = JoinSet::new();
    for _ in 0..300 {
        let (mut pool, key) = (pool.clone(), keys[0].clone());
        crowd.spawn(async move {
            while let Err(error) = pool.incr::<_, _, i64>(&key, 1).await {
                assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tried = cluster.proxy(old).accepted() - tried;
    // Pauses of 100 ms that double, two attempts at once at most, and a lookup twice a second.
    let most = 16 + 4 * begun.elapsed().as_secs();
    assert!(tried <= most, "{tried} attempts in {:?}", begun.elapsed());
    tokio::task::block_in_place(|| cluster.takeover(new)).unwrap();
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    let most = cluster.proxy(new).most_open();
    assert!(
        most <= BOUND + 1,
        "{most} at the new master, with one for lookups"
    );
    for (node, before) in others.iter().zip(before) {
        let after = carriers(node);
        assert!(
            before.iter().all(|id| after.contains(id)),
            "{before:?} {after:?}"
        );
    }
    assert!(lookups(&cluster) <= 2 * begun.elapsed().as_secs() + 10);
}

/// go-redis#1031: one node was LOADING, and its error was taken for that of the whole pipeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_loading_fails_its_own_positions() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder);
    let keys = warm(&cluster, &pool).await;
    let node = &cluster.masters()[0];
    // Ten seconds at least: so many values, and a pause before each of them.
    let large = "x".repeat(4096);
    let mut fill = redis::pipe();
    for n in 0..1000 {
        fill.set(format!("{{{}}}{n}", keys[0]), &large).ignore();
    }
    let _: () = fill.query_async(&mut pool.clone()).await.unwrap();
    for (name, value) in [
        ("key-load-delay", 10_000),
        ("loading-process-events-interval-bytes", 1024),
    ] {
        run::<()>(node, &format!("CONFIG SET {name} {value}"));
    }
    let mut stuck = node.connection().unwrap();
    std::thread::spawn(move || {
        let _ = redis::cmd("DEBUG").arg("RELOAD").exec(&mut stuck);
    });
    let loading = || {
        let answer = redis::cmd("GET")
            .arg(&keys[0])
            .exec(&mut node.connection().unwrap());
        answer.is_err_and(|error| error.code() == Some("LOADING"))
    };
    until("it is loading", loading).await;
    let mut pipeline = redis::pipe();
    keys.iter().for_each(|key| {
        pipeline.incr(key, 1);
    });
    let pipeline = pipeline.ignore_errors();
    let answers: Vec<RedisResult<i64>> = pipeline.query_async(&mut pool.clone()).await.unwrap();
    let code = answers[0].as_ref().unwrap_err().code();
    assert!(matches!(code, Some("LOADING")), "{answers:?}");
    assert_eq!((&answers[1], &answers[2]), (&Ok(1), &Ok(1)));

    // Faster from here on, and then as ever.
    run::<()>(node, "CONFIG SET key-load-delay 0");
    let begun = Instant::now();
    while let Err(error) = pool.clone().incr::<_, _, i64>(&keys[0], 1).await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
    }
    let sum: i64 = pool.handle().get(&keys[0]).await.unwrap();
    assert_eq!(sum, 1, "what was refused has not run");
}

/// valkey-glide#3946, #484: requests waited behind refreshes, and were tried again at random nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_no_lookup_and_go_to_no_stranger() {
    let cluster = start(3, 0);
    let pool = pool(&cluster, |builder| builder);
    let keys = warm(&cluster, &pool).await;
    let [from, others @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    // From now on nobody tells the topology.
    let slot = Slot::of(keys[0].as_bytes()).number();
    cluster.move_slot(slot, &others[0]).unwrap();
    for node in cluster.masters() {
        run::<()>(node, "ACL SETUSER default -cluster");
    }
    let stray = |node: &Node| node.errors("MOVED").unwrap();
    for _ in 0..200 {
        for key in &keys {
            let _: i64 = pool.clone().incr(key, 1).await.unwrap();
        }
    }
    assert_eq!(
        (stray(from), stray(&others[0]), stray(&others[1])),
        (1, 0, 0)
    );
    for node in cluster.masters() {
        run::<()>(node, "ACL SETUSER default +cluster");
    }
}

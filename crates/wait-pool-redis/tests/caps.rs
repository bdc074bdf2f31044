//! The bounds on connections and on those who wait for them, on real servers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::{calls, clients, key_on, until};
use redis::{AsyncCommands, FromRedisValue, RedisError, RedisResult, Value};
use testbed::{Cluster, Node};
use tokio::task::JoinSet;
use wait_pool_redis::cluster::Pool;
use wait_pool_redis::wait_pool::{AcquireError, Status};
use wait_pool_redis::{BuildError, Builder};

fn pool(cluster: &Cluster, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    let builder = Pool::builder(cluster.urls()).request_timeout(Duration::from_secs(60));
    set(builder).build().unwrap()
}

/// `AsyncCommands::get`: on the pool itself `get` is something else.
async fn read<T: FromRedisValue>(pool: &mut Pool, key: &str) -> RedisResult<T> {
    redis::cmd("GET").arg(key).query_async(pool).await
}

fn status_of(pool: &Pool, node: &Node) -> Status {
    let figures = pool.status_by_node();
    let mut of_node = figures
        .iter()
        .filter(|(addr, _)| addr.port() == node.port());
    of_node.next().unwrap().1
}

fn topology_lookups(cluster: &Cluster) -> u64 {
    let each = cluster
        .masters()
        .iter()
        .map(|node| calls(node, "cluster|shards") + calls(node, "cluster|slots"));
    each.sum()
}

/// Stops a node, and continues it whatever becomes of the test.
struct Stopped<'a>(&'a Node);

impl<'a> Stopped<'a> {
    fn new(node: &'a Node) -> Self {
        node.stop();
        Self(node)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.cont();
    }
}

#[tokio::test]
async fn the_line_of_each_node_is_bounded_and_says_so() {
    let cluster = Cluster::start(3, 0).unwrap();
    let bounds = |builder: Builder<Pool>| {
        let builder = builder.max_connections_per_node(1).max_leases(1);
        builder.max_waiters(2)
    };
    let mut pool = pool(&cluster, bounds);
    let [slow, other, _] = cluster.masters() else {
        panic!("there are three")
    };
    let keys = [slow, other].map(|node| key_on(&cluster, node, "k"));
    for key in &keys {
        let _: () = pool.set(key, 1).await.unwrap();
    }
    let lookups = topology_lookups(&cluster);

    let stopped = Stopped::new(slow);
    let crowd: Vec<_> = (0..3)
        .map(|_| {
            let (pool, key) = (pool.clone(), keys[0].clone());
            tokio::spawn(async move { pool.handle().get::<_, i32>(key).await })
        })
        .collect();
    until("one has it, two wait", || {
        status_of(&pool, slow).waiting == 2
    })
    .await;
    assert_eq!(status_of(&pool, other).waiting, 0);

    let alone: RedisError = pool.handle().get::<_, i32>(&keys[0]).await.unwrap_err();
    assert!(alone.is_io_error(), "{alone}");
    assert!(
        !alone.is_timeout() && !alone.is_connection_dropped() && !alone.is_connection_refusal()
    );
    let cause = alone.source().and_then(Error::source).unwrap();
    let cause = cause.downcast_ref::<AcquireError<RedisError>>().unwrap();
    let AcquireError::QueueFull { status, .. } = cause else {
        panic!("{cause}")
    };
    assert_eq!((status.waiting, status.in_use), (2, 1));

    let mut both = redis::pipe();
    both.get(&keys[0]).get(&keys[1]).ignore_errors();
    let values: Vec<Value> = both.query_async(&mut pool).await.unwrap();
    let Value::ServerError(full) = &values[0] else {
        panic!("{values:?}")
    };
    assert_eq!(full.code(), "QUEUEFULL");
    assert_eq!(values[1], Value::BulkString(b"1".to_vec()));

    drop(stopped);
    for one in crowd {
        assert_eq!(one.await.unwrap().unwrap(), 1);
    }
    assert_eq!(topology_lookups(&cluster), lookups);
}

#[tokio::test]
async fn settings_of_the_core_reach_each_nodes_pool() {
    let cluster = Cluster::start(3, 0).unwrap();
    let kept = |builder: Builder<Pool>| {
        let builder = builder.min_idle(2).max_connections_per_node(4);
        builder.idle_timeout(Duration::from_millis(300))
    };
    let mut ready = pool(&cluster, kept);
    for node in cluster.masters() {
        let key = key_on(&cluster, node, "k");
        let _: () = ready.set(key, 1).await.unwrap();
        until("two are ready", || status_of(&ready, node).idle == 2).await;
    }
    ready.close();

    let brief = |builder: Builder<Pool>| {
        let builder = builder.max_lifetime(Duration::from_millis(200));
        builder.idle_timeout(None)
    };
    let mut pool = pool(&cluster, brief);
    let node = &cluster.masters()[0];
    let key = key_on(&cluster, node, "k");
    until("those of before are gone", || clients(node).is_empty()).await;
    let _: () = pool.set(&key, 1).await.unwrap();
    until("it has lived for long enough", || clients(node).is_empty()).await;
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |set: fn(Builder<Pool>) -> Builder<Pool>| {
        let builder = set(Pool::builder(["redis://127.0.0.1:7000"]));
        let BuildError::Setting { setting, .. } = builder.build().unwrap_err() else {
            panic!("a setting")
        };
        setting
    };
    // In total there may be fewer than at one node.
    let fewer = Pool::builder(["redis://127.0.0.1:7000"]).max_connections(1);
    assert!(fewer.build().is_ok());
    assert_eq!(refused(|it| it.max_waiters(0)), "max_waiters");
    assert_eq!(refused(|it| it.min_idle(17)), "min_idle");
    assert_eq!(refused(|it| it.max_connections(0)), "max_connections");
    assert_eq!(
        refused(|it| it.idle_timeout(Duration::ZERO)),
        "idle_timeout"
    );
    assert_eq!(
        refused(|it| it.max_lifetime(Duration::ZERO)),
        "max_lifetime"
    );
    assert_eq!(
        refused(|it| it.check_timeout(Duration::ZERO)),
        "check_timeout"
    );
    assert_eq!(
        refused(|it| it.claim_timeout(Duration::ZERO)),
        "claim_timeout"
    );
    assert_eq!(
        refused(|it| it.leak_warning_after(Duration::ZERO)),
        "leak_warning_after"
    );
}

/// The most connections that servers had at once, counted at their ends while it runs.
struct Census {
    stop: Arc<AtomicBool>,
    counting: thread::JoinHandle<Counted>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    peak: usize,
    samples: usize,
}

impl Census {
    fn begin(cluster: &Cluster) -> Self {
        let ports: HashSet<u16> = cluster.masters().iter().map(Node::port).collect();
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let counting = thread::spawn(move || {
            let mut counted = Counted::default();
            let mut before = connections(&ports);
            while !stopped.load(Relaxed) {
                let now = connections(&ports);
                // The table is not read in one moment; what is in two tables was there between them.
                counted.peak = counted.peak.max(now.intersection(&before).count());
                counted.samples += 1;
                before = now;
            }
            counted
        });
        Self { stop, counting }
    }

    fn end(self) -> Counted {
        self.stop.store(true, Relaxed);
        self.counting.join().unwrap()
    }
}

/// Connections to these ports, as the system's table has them at the servers' ends: local address,
/// remote address.
fn connections(ports: &HashSet<u16>) -> HashSet<(String, String)> {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).filter_map(|row| {
        let mut columns = row.split_whitespace().skip(1);
        let (local, remote) = (columns.next()?, columns.next()?);
        let port = u16::from_str_radix(local.split(':').nth(1)?, 16).ok()?;
        let counts = columns.next()? == ESTABLISHED && ports.contains(&port);
        counts.then(|| (local.to_owned(), remote.to_owned()))
    });
    rows.collect()
}

/// Callers of all nodes, each one after the other, for some time; and pipelines over all of them. How often
/// each key has been counted up.
async fn load(pool: &Pool, keys: &[String], callers: usize, time: Duration) -> Vec<i64> {
    let end = Instant::now() + time;
    let mut crowd = JoinSet::new();
    for caller in 0..callers {
        let (mut pool, keys) = (pool.clone(), keys.to_vec());
        crowd.spawn(async move {
            let mut counted = vec![0; keys.len()];
            for round in caller.. {
                if Instant::now() > end {
                    break;
                }
                let one = round % keys.len();
                let _: i64 = pool.incr(&keys[one], 1).await.unwrap();
                counted[one] += 1;
                if round % 4 == 0 {
                    let mut all = redis::pipe();
                    for key in &keys {
                        all.incr(key, 1);
                    }
                    let _: Vec<i64> = all.query_async(&mut pool).await.unwrap();
                    counted.iter_mut().for_each(|count| *count += 1);
                }
            }
            counted
        });
    }
    let mut counted = vec![0; keys.len()];
    while let Some(done) = crowd.join_next().await {
        for (sum, count) in counted.iter_mut().zip(done.unwrap()) {
            *sum += count;
        }
    }
    counted
}

async fn capped(total: usize, callers: usize) {
    let cluster = Cluster::start(3, 0).unwrap();
    let mut pool = pool(&cluster, |builder| {
        let builder = builder.max_connections(total).max_connections_per_node(3);
        builder.max_leases(2)
    });
    let nodes = cluster.masters().iter();
    let keys: Vec<String> = nodes.map(|node| key_on(&cluster, node, "k")).collect();
    let _: i64 = pool.incr(&keys[0], 0).await.unwrap();
    let lookups = topology_lookups(&cluster);
    until("what has looked up the topology is gone", || {
        let open: usize = cluster
            .masters()
            .iter()
            .map(|node| clients(node).len())
            .sum();
        open == 1
    })
    .await;

    let census = Census::begin(&cluster);
    let served = load(&pool, &keys, callers, Duration::from_secs(2)).await;
    let counted = census.end();

    // So whatever was counted was the pool's.
    assert_eq!(topology_lookups(&cluster), lookups);
    assert!(counted.samples > 0, "{counted:?}");
    assert!(counted.peak <= total, "{counted:?}");
    let totals = pool.totals();
    assert_eq!(totals.max_connections, Some(total));
    assert!(
        totals.connections <= total && totals.waiting == 0,
        "{totals:?}"
    );
    // Nobody was left out, and nothing was done twice.
    for (key, served) in keys.iter().zip(served) {
        assert!(served > 0, "{key}");
        assert_eq!(read::<i64>(&mut pool, key).await.unwrap(), served);
    }
}

/// G1, G10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_together_never_have_more_than_the_bound() {
    capped(4, 48).await;
}

/// G1, G10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fewer_connections_than_nodes_everything_is_answered() {
    capped(2, 24).await;
    capped(1, 24).await;
}

#[tokio::test]
async fn an_idle_connection_of_another_node_makes_room() {
    let cluster = Cluster::start(3, 0).unwrap();
    let mut pool = pool(&cluster, |builder| builder.max_connections(2));
    let nodes = cluster.masters().iter();
    let keys: Vec<String> = nodes.map(|node| key_on(&cluster, node, "k")).collect();
    for key in keys.iter().cycle().take(9) {
        let _: () = pool.set(key, 1).await.unwrap();
        // When something was used last is known to a few milliseconds.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let idle = |node: &Node| status_of(&pool, node).idle;
    let idle: Vec<usize> = cluster.masters().iter().map(idle).collect();
    assert_eq!(idle, [0, 1, 1]);
    let first = &cluster.masters()[0];
    until("it is closed", || clients(first).is_empty()).await;
}

#[tokio::test]
async fn who_waits_for_room_in_vain_is_told_so_and_no_topology_is_asked_for() {
    let cluster = Cluster::start(3, 0).unwrap();
    let mut pool = pool(&cluster, |builder| {
        let builder = builder.max_connections(1);
        builder.wait_timeout(Duration::from_millis(300))
    });
    let [slow, other, _] = cluster.masters() else {
        panic!("there are three")
    };
    let keys = [slow, other].map(|node| key_on(&cluster, node, "k"));
    let _: () = pool.set(&keys[0], 1).await.unwrap();
    let lookups = topology_lookups(&cluster);
    let stopped = Stopped::new(slow);
    let unanswered = tokio::spawn({
        let (mut pool, key) = (pool.clone(), keys[0].clone());
        async move { read::<i32>(&mut pool, &key).await }
    });
    until("it is on its way", || status_of(&pool, slow).holders == 1).await;

    let error = pool.set::<_, _, ()>(&keys[1], 1).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(
        error.to_string().contains("its group had no room"),
        "{error}"
    );
    drop(stopped);
    assert_eq!(unanswered.await.unwrap().unwrap(), 1);
    let _: () = pool.set(&keys[1], 1).await.unwrap();
    // A look-up that somebody had asked for would have begun by then.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(topology_lookups(&cluster), lookups);
}

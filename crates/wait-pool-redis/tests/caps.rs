//! The bounds on connections and on those who wait for them, on real servers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::error::Error;
use std::time::Duration;

use common::{calls, clients, key_on, until};
use redis::{AsyncCommands, RedisError, Value};
use testbed::{Cluster, Node};
use wait_pool_redis::cluster::Pool;
use wait_pool_redis::wait_pool::{AcquireError, Status};
use wait_pool_redis::{BuildError, Builder};

fn pool(cluster: &Cluster, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    let builder = Pool::builder(cluster.urls()).request_timeout(Duration::from_secs(60));
    set(builder).build().unwrap()
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
    assert_eq!(refused(|it| it.max_waiters(0)), "max_waiters");
    assert_eq!(refused(|it| it.min_idle(17)), "min_idle");
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

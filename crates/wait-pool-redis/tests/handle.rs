//! The handle stands where redis-rs's own connections stand, and a pool's errors in the words of deadpool.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{clients, until};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisError, RedisResult};
use testbed::{Cluster, Server};
use tokio::task::JoinSet;
use wait_pool_redis::{Handle, Pool, PoolError, TimeoutType, cluster};

/// What an application does with the connection that it is given, whichever that is.
async fn app<C>(connection: C) -> RedisResult<Vec<i64>>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let mut own = connection.clone();
    let _: () = own.del(&["{app}count", "{app}list"]).await?;
    let mut crowd = JoinSet::new();
    for _ in 0..8 {
        let mut shared = connection.clone();
        crowd.spawn(async move { shared.incr::<_, _, i64>("{app}count", 1).await });
    }
    let mut counted = Vec::new();
    while let Some(count) = crowd.join_next().await {
        counted.push(count.expect("no panic")?);
    }
    counted.sort_unstable();
    let (length, count): (i64, i64) = redis::pipe()
        .rpush("{app}list", "a")
        .get("{app}count")
        .query_async(&mut own)
        .await?;
    let add = redis::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let added = add.key("{app}count").arg(2).invoke_async(&mut own).await?;
    counted.extend([length, count, added, own.get("{app}count").await?]);
    Ok(counted)
}

const EXPECTED: [i64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 8, 10, 10];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_function_runs_on_redis_rs_and_on_ours() {
    let server = Server::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let theirs = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(app(theirs).await.unwrap(), EXPECTED);
    let theirs = client.get_connection_manager().await.unwrap();
    assert_eq!(app(theirs).await.unwrap(), EXPECTED);
    let pool = Pool::builder(server.url()).build().unwrap();
    assert_eq!(app(pool.handle()).await.unwrap(), EXPECTED);
    assert_eq!(app(pool.get().await.unwrap()).await.unwrap(), EXPECTED);
    assert_eq!(app(pool).await.unwrap(), EXPECTED);

    let cluster = Cluster::start(3, 0).unwrap();
    let theirs = redis::cluster::ClusterClient::new(cluster.urls()).unwrap();
    let theirs = theirs.get_async_connection().await.unwrap();
    assert_eq!(app(theirs).await.unwrap(), EXPECTED);
    let pool = cluster::Pool::builder(cluster.urls()).build().unwrap();
    assert_eq!(app(pool.handle()).await.unwrap(), EXPECTED);
    assert_eq!(app(pool.get().await.unwrap()).await.unwrap(), EXPECTED);
    assert_eq!(app(pool).await.unwrap(), EXPECTED);
}

#[tokio::test]
async fn a_handle_keeps_its_pool_open_and_ends_with_it() {
    let server = Server::start().unwrap();
    let mut handle = Pool::builder(format!("{}/2", server.url()))
        .build()
        .unwrap()
        .handle();
    let _: () = handle.set("a", 1).await.unwrap();
    assert_eq!(handle.get_db(), 2);
    assert_eq!(clients(&server).len(), 1);
    drop(handle);
    until("its connection is closed", || clients(&server).is_empty()).await;

    let pool = Pool::builder(server.url()).build().unwrap();
    let mut handle = pool.handle();
    pool.close();
    let closed = handle.get::<_, i32>("a").await.unwrap_err();
    assert!(closed.to_string().contains("closed"), "{closed}");
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    let pool = cluster::Pool::builder([server.url()]).build().unwrap();
    pool.close();
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
}

#[tokio::test]
async fn errors_have_the_variants_of_deadpools() {
    let server = Server::start().unwrap();
    let limit = Duration::from_millis(100);
    let builder = || Pool::builder(server.url()).max_size(1);
    let pool = builder().request_timeout(limit).build().unwrap();
    let own = pool.get().await.unwrap();
    let late = pool.get().await.unwrap_err();
    assert!(
        matches!(late, PoolError::Timeout(TimeoutType::Wait)),
        "{late:?}"
    );
    assert!(RedisError::from(late).is_timeout());

    let outside = pool.clone();
    let outside = std::thread::spawn(move || futures_util::FutureExt::now_or_never(outside.get()));
    let outside = outside.join().unwrap().unwrap().unwrap_err();
    assert!(matches!(outside, PoolError::NoRuntimeSpecified));
    drop(own);

    server.kill().unwrap();
    let pool = builder().build().unwrap();
    let nobody = pool.get().await.unwrap_err();
    assert!(matches!(&nobody, PoolError::Backend(error) if error.is_connection_refusal()));
}

/// What libraries ask of the connections they take.
#[test]
fn a_handle_goes_anywhere() {
    fn anywhere<T: ConnectionLike + Clone + Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    anywhere::<Handle>();
    anywhere::<cluster::Connection>();
    anywhere::<Pool>();
    anywhere::<cluster::Pool>();
}

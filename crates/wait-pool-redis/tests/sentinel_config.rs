//! A pool behind sentinels in the words of deadpool-redis, on real ones, with failovers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{clients, run, until};
use redis::{AsyncCommands, ErrorKind, RedisResult};
use testbed::{Node, Sentinels};
use wait_pool_redis::sentinel::{
    Config, Connection, Manager, Pool, PoolConfig, PoolError, Runtime, SentinelNodeConnectionInfo,
    SentinelServerType, TimeoutType, Timeouts,
};
use wait_pool_redis::{ProtocolVersion, RedisConnectionInfo};

const NAME: &str = "features";

fn config(all: &Sentinels, kind: SentinelServerType, max_size: usize) -> Config {
    let servers = SentinelNodeConnectionInfo {
        tls_mode: None,
        redis_connection_info: Some(RedisConnectionInfo {
            db: 3,
            protocol: ProtocolVersion::RESP3,
            ..RedisConnectionInfo::default()
        }),
    };
    let mut config = Config::from_urls(all.urls(), NAME.to_owned(), kind);
    config.pool = Some(PoolConfig::new(max_size));
    config.with_node_connection_info(Some(servers))
}

fn start(all: &Sentinels, kind: SentinelServerType, max_size: usize) -> Pool {
    let config = config(all, kind, max_size);
    config.create_pool(Some(Runtime::Tokio1)).unwrap()
}

/// Which server a connection is to.
async fn port(own: &mut Connection) -> RedisResult<u16> {
    let (_, port): (String, u16) = redis::cmd("CONFIG")
        .arg("GET")
        .arg("port")
        .query_async(own)
        .await?;
    Ok(port)
}

async fn role(own: &mut Connection) -> String {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(own).await.unwrap();
    redis::from_redis_value(role[0].clone()).unwrap()
}

/// The ports that so many connections in a row are to.
async fn ports(pool: &Pool, times: usize) -> HashSet<u16> {
    let mut ports = HashSet::new();
    for _ in 0..times {
        ports.insert(port(&mut pool.get().await.unwrap()).await.unwrap());
    }
    ports
}

fn others(all: &Sentinels, port: u16) -> HashSet<u16> {
    let ports = all.servers().iter().map(Node::port);
    ports.filter(|other| *other != port).collect()
}

fn is_master(pool: &Pool, node: &Node) -> bool {
    pool.master()
        .is_some_and(|master| master.port() == node.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_from_a_config_follows_a_failover() {
    let all = Sentinels::start(NAME).unwrap();
    let pool = start(&all, SentinelServerType::Master, 2);
    assert!(pool.timeouts().wait.is_none());
    let old = all.master().unwrap();
    let mut own = pool.get().await.unwrap();
    assert_eq!(port(&mut own).await.unwrap(), old.port());
    let () = own.set("a", 1).await.unwrap();
    drop(own);
    let kept: Option<u32> = run(old, "GET a");
    assert_eq!(kept, None, "it is in database 3");
    let mut own = pool.get().await.unwrap();

    let new = all.fail_over().unwrap();
    until("the pool follows", || is_master(&pool, new)).await;
    let refused = own.set::<_, _, ()>("a", 2).await.unwrap_err();
    assert!(refused.is_io_error(), "{refused}");
    drop(own);
    let mut own = pool.get().await.unwrap();
    assert_eq!(port(&mut own).await.unwrap(), new.port());
    assert_eq!(own.get::<_, u32>("a").await.unwrap(), 1);
    let () = own.set("a", 3).await.unwrap();
    drop(own);
    pool.close();
    let refused = pool.get().await.unwrap_err();
    assert!(matches!(refused, PoolError::Closed), "{refused}");
    let refused = pool.try_get().unwrap_err();
    assert!(matches!(refused, PoolError::Closed), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_size_and_idle_connections_by_deadpools_names() {
    let all = Sentinels::start(NAME).unwrap();
    let manager = Manager::new(
        all.urls(),
        NAME.to_owned(),
        None,
        SentinelServerType::Master,
    );
    let pool = Pool::builder(manager.unwrap()).max_size(1).build().unwrap();
    let shown = format!("{:?}", pool.manager());
    assert!(shown.contains(NAME), "{shown}");
    let refused = pool.try_get().unwrap_err();
    let none = |refused: &PoolError| matches!(refused, PoolError::Timeout(TimeoutType::Wait));
    assert!(none(&refused), "{refused}");

    // A connection is opened though there is to be no wait for others; and then there is no other.
    let mut hasty = Timeouts::new();
    hasty.wait = Some(Duration::ZERO);
    let own = pool.timeout_get(&hasty).await.unwrap();
    let refused = pool.timeout_get(&hasty).await.unwrap_err();
    assert!(none(&refused), "{refused}");
    let refused = pool.try_get().unwrap_err();
    assert!(none(&refused), "{refused}");
    pool.resize(2);
    let other = pool.timeout_get(&hasty).await.unwrap();
    drop(own);
    let again = pool.try_get().unwrap();
    drop((again, other));

    let idle = pool.status().available;
    assert_eq!(idle, 2);
    let master = all.master().unwrap();
    let before = clients(master).len();
    let mut seen = 0;
    let looked = pool.retain(|_, metrics| {
        seen += 1;
        metrics.recycle_count == 0
    });
    assert_eq!((seen, looked.retained, looked.removed.len()), (2, 1, 1));
    drop(looked);
    until("closed", || clients(master).len() + 1 == before).await;
    assert_eq!(pool.status().size, 1);

    let weak = pool.weak();
    assert!(weak.upgrade().is_some());
    drop(pool);
    assert!(weak.upgrade().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_for_replicas_gives_connections_to_replicas() {
    let all = Sentinels::start(NAME).unwrap();
    let pool = start(&all, SentinelServerType::Replica, 2);
    let old = all.master().unwrap().port();
    assert_eq!(ports(&pool, 6).await, others(&all, old), "they take turns");
    let mut own = pool.get().await.unwrap();
    assert_eq!(role(&mut own).await, "slave");
    let refused = own.set::<_, _, ()>("a", 1).await.unwrap_err();
    assert_eq!(refused.code(), Some("READONLY"), "{refused}");
    let mut idle = pool.try_get().unwrap();
    assert_eq!(role(&mut idle).await, "slave");
    drop((own, idle));
    // A handle's writes go to the master all the same.
    let () = pool.handle().set("a", 1).await.unwrap();

    // The old master becomes a replica, and one of these the master.
    let new = all.fail_over().unwrap();
    until("the pool follows", || is_master(&pool, new)).await;
    all.wait_until_ok().unwrap();
    let rest = others(&all, new.port());
    let mut found = HashSet::new();
    for _ in 0..200 {
        // The sentinel has closed what was open to servers that have changed their roles.
        if let Ok(port) = port(&mut pool.get().await.unwrap()).await {
            assert_ne!(port, new.port(), "nothing goes to the master");
            found.insert(port);
        }
        if found == rest {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(found, rest);

    // One that is dead is passed over, and without any there is no connection.
    let mut follow = all
        .servers()
        .iter()
        .filter(|node| rest.contains(&node.port()));
    let (one, two) = (follow.next().unwrap(), follow.next().unwrap());
    drop(pool);
    let pool = start(&all, SentinelServerType::Replica, 2);
    // It knows the replicas by now, and has no connection to them.
    let () = pool.handle().set("b", 1).await.unwrap();
    one.kill().unwrap();
    let left = HashSet::from([two.port()]);
    assert_eq!(ports(&pool, 6).await, left);
    two.kill().unwrap();
    let pool = start(&all, SentinelServerType::Replica, 2);
    let refused = pool.get().await.unwrap_err();
    assert!(matches!(&refused, PoolError::Backend(_)), "{refused}");
    let gone = || {
        all.sentinels().iter().all(|watcher| {
            let told: Vec<redis::Value> = run(watcher, &format!("SENTINEL REPLICAS {NAME}"));
            format!("{told:?}").matches("s_down").count() >= 2
        })
    };
    until("the sentinels know", gone).await;
    let pool = start(&all, SentinelServerType::Replica, 2);
    let error = pool.check_out().await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NoValidReplicasFoundBySentinel,
        "{error}"
    );
}

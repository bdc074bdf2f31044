//! Who connects: users and passwords, names in `CLIENT LIST`, databases.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use common::{client_list, clients, key_on, run, until};
use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisResult};
use testbed::{Cluster, Node, Server};
use wait_pool_redis::{Pool, cluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_tell_the_server_who_they_are() {
    let server = Server::start().unwrap();
    let mut pool = Pool::builder(server.url())
        .name("my features")
        .build()
        .unwrap();
    redis::cmd("PING").exec_async(&mut pool).await.unwrap();
    let named = |name: &str| {
        client_list(&server)
            .iter()
            .any(|client| client["name"] == name)
    };
    until("a name made of the pool's", || named("my_features")).await;
    let list = client_list(&server);
    assert_eq!(list.len(), 1, "{list:?}");
    // Servers from 7.2 on have it.
    if let Some(library) = list[0].get("lib-name") {
        assert!(
            library.starts_with("redis-rs(wait-pool-redis_v"),
            "{library}"
        );
        assert!(list[0]["lib-ver"].starts_with("1."), "that of redis-rs");
    }

    let other = Pool::builder(server.url())
        .client_name("other")
        .build()
        .unwrap();
    let own = other.get().await.unwrap();
    until("a name of its own", || named("other")).await;
    drop(own);

    let mut silent = Pool::builder(server.url()).client_name("").build().unwrap();
    redis::cmd("PING").exec_async(&mut silent).await.unwrap();
    assert!(named(""));

    let refused = Pool::builder(server.url())
        .client_name("my features")
        .build();
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("client_name: "), "{refused}");
}

/// People who look at a server can tell what looks up the topology from what carries requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_is_looked_up_under_a_name_of_its_own() {
    let cluster = Cluster::start(1, 0).unwrap();
    let node = &cluster.masters()[0];
    run::<()>(node, "CONFIG SET slowlog-log-slower-than 0");
    run::<()>(node, "SLOWLOG RESET");
    let mut pool = cluster::Pool::builder(cluster.urls())
        .name("features")
        .build()
        .unwrap();
    redis::cmd("SET")
        .arg("a")
        .arg(1)
        .exec_async(&mut pool)
        .await
        .unwrap();
    let entries: Vec<(u64, u64, u64, Vec<String>, String, String)> = run(node, "SLOWLOG GET -1");
    let names = |command: &str| -> Vec<&str> {
        let ran = entries
            .iter()
            .filter(|entry| entry.3.join(" ").starts_with(command));
        ran.map(|entry| entry.5.as_str()).collect()
    };
    assert_eq!(names("CLUSTER SHARDS"), ["features:topology"]);
    assert_eq!(names("SET a 1"), ["features"]);
}

fn user(server: &Node, rules: &str) {
    run::<()>(server, &format!("ACL SETUSER service on >sesame {rules}"));
}

fn url(server: &Node, login: &str) -> String {
    server
        .url()
        .replace("redis://", &format!("redis://{login}@"))
}

async fn whoami(connection: &mut impl ConnectionLike) -> RedisResult<String> {
    redis::cmd("ACL")
        .arg("WHOAMI")
        .query_async(connection)
        .await
}

/// What a user may not do is the answer to that command, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_a_user_may_not_run_costs_that_command_only() {
    let server = Server::start().unwrap();
    user(&server, "~* +@all -incrby -client");
    let pool = Pool::builder(url(&server, "service:sesame")).max_size(1);
    let mut pool = pool.build().unwrap();
    // Not even its name may it tell.
    assert_eq!(whoami(&mut pool).await.unwrap(), "service");
    let before = clients(&server);
    let mut pipeline = redis::pipe();
    pipeline.set("a", 1).incr("a", 1).get("a").ignore_errors();
    let results: Vec<RedisResult<String>> = pipeline.query_async(&mut pool).await.unwrap();
    assert_eq!(results[0].as_deref(), Ok("OK"));
    let denied = results[1].as_ref().unwrap_err();
    assert_eq!(denied.code(), Some("NOPERM"), "{denied}");
    assert_eq!(results[2].as_deref(), Ok("1"));
    let alone = redis::cmd("INCRBY")
        .arg("a")
        .arg(1)
        .exec_async(&mut pool)
        .await;
    assert_eq!(alone.unwrap_err().code(), Some("NOPERM"));
    assert_eq!(clients(&server), before, "the connection stays");
    assert_eq!(
        errors(&server, "NOPERM"),
        errors_of_names(&server) + 2,
        "sent once each"
    );
}

/// How often the user's connections have tried to tell who they are.
fn errors_of_names(server: &Node) -> u64 {
    let info: String = run(server, "INFO commandstats");
    let rejected = |line: &str| {
        let stats = line.strip_prefix("cmdstat_client|")?;
        let rejected = stats.split("rejected_calls=").nth(1)?;
        rejected.split(',').next()?.parse::<u64>().ok()
    };
    info.lines().filter_map(rejected).sum()
}

fn errors(server: &Node, code: &str) -> u64 {
    let info: String = run(server, "INFO errorstats");
    let prefix = format!("errorstat_{code}:count=");
    let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |count| count.parse().unwrap())
}

#[track_caller]
fn denied<T: std::fmt::Debug>(outcome: RedisResult<T>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
    assert!(!error.is_timeout(), "at once, not after a while: {error}");
}

/// bb8#102 and others: a wrong password was told after half a minute, as a timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_at_once() {
    let server = Server::start().unwrap();
    user(&server, "~* +@all");
    for login in ["service:wrong", "nobody:sesame"] {
        let pool = Pool::builder(url(&server, login)).request_timeout(None);
        let mut pool = pool.build().unwrap();
        denied(whoami(&mut pool).await);
        denied(pool.check_out().await);
    }
    // None at all is not the connection's fault: the server answers each command.
    run::<()>(&server, "CONFIG SET requirepass sesame");
    let mut none = Pool::builder(server.url()).build().unwrap();
    let error = whoami(&mut none).await.unwrap_err();
    assert_eq!(error.code(), Some("NOAUTH"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_for_all_nodes_of_a_cluster() {
    let cluster = Cluster::start(3, 0).unwrap();
    for node in cluster.masters() {
        user(node, "~* +@all -incrby");
    }
    let first = &cluster.masters()[0];
    let builder = |login: &str| cluster::Pool::builder([url(first, login)]);
    let mut wrong = builder("service:wrong").request_timeout(None).build();
    denied(whoami(wrong.as_mut().unwrap()).await);

    let mut pool = builder("service:sesame").build().unwrap();
    let keys: Vec<String> = cluster
        .masters()
        .iter()
        .map(|node| key_on(&cluster, node, "k"))
        .collect();
    let mut pipeline = redis::pipe();
    for key in &keys {
        pipeline.set(key, 1).incr(key, 1).get(key);
    }
    let results: Vec<RedisResult<String>> = pipeline
        .ignore_errors()
        .query_async(&mut pool)
        .await
        .unwrap();
    for one in results.chunks(3) {
        assert_eq!(one[0].as_deref(), Ok("OK"));
        assert_eq!(one[1].as_ref().unwrap_err().code(), Some("NOPERM"));
        assert_eq!(one[2].as_deref(), Ok("1"));
    }
    // One node forgets the user: that costs what it serves.
    run::<()>(first, "ACL DELUSER service");
    until("its connections are closed", || clients(first).is_empty()).await;
    let read = redis::cmd("GET")
        .arg(&keys[0])
        .query_async::<String>(&mut pool)
        .await;
    denied(read);
    for key in &keys[1..] {
        let value: String = redis::cmd("GET")
            .arg(key)
            .query_async(&mut pool)
            .await
            .unwrap();
        assert_eq!(value, "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_in_the_database_of_the_url() {
    let server = Server::start().unwrap();
    let pool = Pool::builder(format!("{}/3", server.url())).max_size(3);
    let mut pool = pool.build().unwrap();
    assert_eq!(pool.get_db(), 3);
    let held = futures_util::future::try_join_all((0..3).map(|_| pool.get()))
        .await
        .unwrap();
    let list = client_list(&server);
    assert_eq!(list.len(), 3);
    assert!(list.iter().all(|client| client["db"] == "3"), "{list:?}");
    drop(held);
    run::<u64>(&server, "CLIENT KILL TYPE normal SKIPME yes");
    until("no connections", || clients(&server).is_empty()).await;
    let none: Option<String> = redis::cmd("GET")
        .arg("a")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!(none, None);
    assert!(
        client_list(&server)
            .iter()
            .all(|client| client["db"] == "3")
    );
}

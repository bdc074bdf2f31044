//! Who connects: users and passwords, names in `CLIENT LIST`, databases.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use common::{client_list, run, until};
use testbed::{Cluster, Server};
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

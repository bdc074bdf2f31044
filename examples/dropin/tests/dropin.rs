//! The application of `app`, on wait-pool-redis by the name of deadpool-redis.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod app;

use testbed::{Cluster, Sentinels, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_for_deadpool_redis_runs_unchanged() {
    let (server, cluster) = (Server::start().unwrap(), Cluster::start(3, 0).unwrap());
    let watched = Sentinels::start("shop").unwrap();
    let journal = app::run(&server.url(), cluster.urls(), watched.urls()).await;
    assert_eq!(journal, app::EXPECTED);
}

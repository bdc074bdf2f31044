//! The application of `app`, on deadpool-redis itself: what it expects is what happens there.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../dropin/tests/app/mod.rs"]
mod app;

use testbed::{Cluster, Sentinels, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_for_deadpool_redis_runs_on_it() {
    let (server, cluster) = (Server::start().unwrap(), Cluster::start(3, 0).unwrap());
    let watched = Sentinels::start("shop").unwrap();
    let journal = app::run(&server.url(), cluster.urls(), watched.urls()).await;
    assert_eq!(journal, app::EXPECTED);
}

//! Managers that others wrote for other pools, in ours, on real servers: the answers are right, the
//! server never counts more connections than the bound, and those it ends are replaced unnoticed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod keys;
mod rows;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wait_pool::compat::{bb8, deadpool};

/// Users at a time, and what they share.
const CROWD: usize = 60;
const ROUNDS: usize = 20;
const CONNECTIONS: usize = 4;

/// Waits for a crowd of users, and says how many connections the server counted at most meanwhile.
async fn peak(mut crowd: JoinSet<()>, mut count: impl AsyncFnMut() -> usize) -> usize {
    let mut peak = 0;
    while !crowd.is_empty() {
        peak = peak.max(count().await);
        while let Some(user) = crowd.try_join_next() {
            user.unwrap();
        }
    }
    peak.max(count().await)
}

/// Waits for something that takes its time at the servers.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done().await {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn objects_of_connections_that_can_be_shared_can_be_shared() {
    fn send_sync<T: Send + Sync + 'static>() {}
    send_sync::<deadpool::Object<deadpool_redis::Manager>>();
    send_sync::<deadpool::Object<deadpool_postgres::Manager>>();
    send_sync::<bb8::Object<bb8_redis::RedisConnectionManager>>();
}

//! What a listener hears of the connections to a real cluster.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::{Arc, Mutex};

use common::{key_on, until};
use redis::AsyncCommands;
use testbed::Cluster;
use wait_pool_redis::cluster::Pool;
use wait_pool_redis::wait_pool::event::{CloseReason, Event, Listener};

#[derive(Clone, Default)]
struct Log {
    opened: Arc<Mutex<Vec<String>>>,
    closed: Arc<Mutex<Vec<String>>>,
}

impl Listener for Log {
    fn on_event(&self, pool: &str, event: &Event<'_>) {
        let log = match event {
            Event::ConnectionReady { .. } => &self.opened,
            Event::ConnectionClosed {
                reason: CloseReason::PoolClosed,
                ..
            } => &self.closed,
            _ => return,
        };
        log.lock().unwrap().push(pool.to_owned());
    }
}

fn sorted(log: &Mutex<Vec<String>>) -> Vec<String> {
    let mut names = log.lock().unwrap().clone();
    names.sort();
    names
}

#[tokio::test]
async fn a_listener_hears_of_every_nodes_connections_by_its_name() {
    let cluster = Cluster::start(3, 0).unwrap();
    let log = Log::default();
    let mut pool = Pool::builder(cluster.urls())
        .name("features")
        .listener(log.clone())
        .build()
        .unwrap();
    for node in cluster.masters() {
        let _: () = pool.set(key_on(&cluster, node, "key"), 0).await.unwrap();
    }
    let nodes = pool.status_by_node().into_iter();
    let mut names: Vec<_> = nodes.map(|(node, _)| format!("features/{node}")).collect();
    names.sort();
    assert_eq!(names.len(), 3);
    assert_eq!(sorted(&log.opened), names);
    pool.close();
    until("all are closed", || sorted(&log.closed) == names).await;
}

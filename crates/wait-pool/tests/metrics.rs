//! Metrics equal the truth at rest, and the catalogue names what is emitted.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::{Backend, Connector, Gate, until};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio_test::{assert_pending, task};
use wait_pool::{Builder, Pool};

const CATALOGUE: &str = include_str!("../../../docs/metrics.md");

fn recorded(builder: Builder<Connector>) -> (Pool<Connector>, Snapshotter) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let pool = metrics::with_local_recorder(&recorder, || builder.build().unwrap());
    (pool, snapshotter)
}

/// Every figure by its name, with its state behind a colon if it has one.
fn figures(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let figures = snapshot.map(|(key, _, _, value)| {
        let key = key.key();
        let state = key.labels().find(|label| label.key() == "state");
        let name = match state {
            Some(state) => format!("{}:{}", key.name(), state.value()),
            None => key.name().to_owned(),
        };
        let pool = key
            .labels()
            .find(|label| label.key() == "db.client.connection.pool.name");
        assert_eq!(pool.unwrap().value(), "orders", "{name}");
        let value = match value {
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Counter(counter) => counter as f64,
            DebugValue::Histogram(values) => values.len() as f64,
        };
        (name, value)
    });
    figures.collect()
}

/// Adds up what the recorder shows: it starts gauges anew, too, with each look.
struct Gauges {
    snapshotter: Snapshotter,
    sums: [f64; 5],
}

impl Gauges {
    fn look(&mut self) -> [f64; 5] {
        let figures = figures(&self.snapshotter);
        let names = [
            "db.client.connection.count:idle",
            "db.client.connection.count:used",
            "db.client.connection.count:opening",
            "db.client.connection.pending_requests",
            "db.client.connection.max",
        ];
        for (sum, name) in self.sums.iter_mut().zip(names) {
            *sum += figures[name];
        }
        self.sums
    }
}

#[tokio::test]
async fn gauges_follow_every_step_and_end_at_nothing() {
    let backend = Backend::new(Gate::Held);
    let (pool, snapshotter) = recorded(backend.pool().name("orders").max_size(2));
    let mut metrics = Gauges {
        snapshotter,
        sums: [0.0; 5],
    };
    assert_eq!(metrics.look(), [0.0, 0.0, 0.0, 0.0, 2.0]);
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    assert_eq!(metrics.look(), [0.0, 0.0, 1.0, 1.0, 2.0]);
    until("the attempt", || backend.attempts() == 1).await;
    backend.let_one_in();
    until("the connection", || waiter.is_woken()).await;
    assert_eq!(metrics.look(), [0.0, 1.0, 0.0, 0.0, 2.0]);
    drop(waiter);
    assert_eq!(metrics.look(), [1.0, 0.0, 0.0, 0.0, 2.0]);
    pool.resize(5).unwrap();
    let held = pool.try_get().unwrap();
    assert_eq!(metrics.look(), [0.0, 1.0, 0.0, 0.0, 5.0]);
    drop((held, pool));
    assert_eq!(metrics.look(), [0.0; 5], "a pool that is gone has nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_equal_the_truth_after_a_storm() {
    let backend = Backend::new(Gate::Slow);
    let (pool, snapshotter) = recorded(backend.pool().name("orders").max_size(4).max_leases(3));
    let mut metrics = Gauges {
        snapshotter,
        sums: [0.0; 5],
    };
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..200_u64 {
        let pool = pool.clone();
        crowd.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(number);
            for _ in 0..50 {
                let patience = Duration::from_micros(rng.u64(1..500));
                match rng.u32(0..3) {
                    0 => drop(tokio::time::timeout(patience, pool.get()).await),
                    1 => drop(tokio::time::timeout(patience, pool.lease()).await),
                    _ => {
                        if let Ok(Ok(held)) = tokio::time::timeout(patience, pool.get()).await {
                            held.discard();
                        }
                    }
                }
            }
        });
    }
    crowd.join_all().await;
    until("rest", || {
        pool.status().opening == 0 && pool.status().in_use == 0
    })
    .await;
    let status = pool.status();
    assert_eq!(metrics.look(), [status.idle as f64, 0.0, 0.0, 0.0, 4.0]);
    assert_eq!(status.size, backend.live());
}

#[tokio::test(start_paused = true)]
async fn times_and_timeouts_are_counted() {
    let backend = Backend::new(Gate::Ok);
    let limit = Duration::from_secs(1);
    let (pool, metrics) = recorded(
        backend
            .pool()
            .name("orders")
            .max_size(1)
            .wait_timeout(limit),
    );
    let held = pool.get().await.unwrap();
    assert!(pool.get().await.is_err());
    drop(held);
    drop(pool.lease().await.unwrap());
    let figures = figures(&metrics);
    let count = |name: &str| figures[&format!("db.client.connection.{name}")];
    assert_eq!((count("timeouts"), count("create_time")), (1.0, 1.0));
    assert_eq!((count("wait_time"), count("use_time")), (2.0, 2.0));
}

#[tokio::test]
async fn the_catalogue_names_what_is_emitted_and_nothing_else() {
    let (pool, metrics) = recorded(Backend::new(Gate::Ok).pool().name("orders"));
    drop(pool.get().await.unwrap());
    let names = figures(&metrics).into_keys();
    let emitted: BTreeSet<String> = names
        .map(|name| name.split(':').next().unwrap().to_owned())
        .collect();
    let first_cell = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let listed: BTreeSet<String> = CATALOGUE.lines().filter_map(first_cell).collect();
    assert_eq!(emitted, listed);
}

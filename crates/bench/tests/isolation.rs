//! One node of three is bad: what becomes of the keys of the others, with wait-pool-redis and beside it, in
//! the same run, with redis-rs's `ClusterConnection` and deadpool-redis's cluster pool.
//!
//! Figures are printed (`cargo test -p bench --test isolation -- --nocapture`); asserted is only what holds on
//! the busiest machine, and of wait-pool-redis only.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::AsyncCommands as _;
use testbed::{Cluster, ClusterOptions, Node};
use tokio::task::JoinSet;

/// What every client allows a request: far more than any takes at a good node.
const LIMIT: Duration = Duration::from_millis(1000);
/// Well and bad take turns, so that both have their share of whatever else the machine does.
const TURNS: u32 = 5;
const WELL: Duration = Duration::from_millis(700);
const BAD: Duration = Duration::from_millis(1300);
/// Callers that ask the nodes that stay well, and those that ask the bad one while it is.
const CALLERS: usize = 16;
const STUCK: usize = 16;
/// Connections of the pools, to each node or in all as each of them counts.
const POOL: usize = 16;

/// A client as an application has it: one handle for all, cloned for each caller.
trait Client: Clone + Send + Sync + 'static {
    fn increment(&self, key: &str) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Clone)]
struct WaitPool(wait_pool_redis::cluster::Pool);

impl Client for WaitPool {
    async fn increment(&self, key: &str) -> Result<(), String> {
        let mut pool = self.0.clone();
        pool.incr(key, 1).await.map_err(said)
    }
}

#[derive(Clone)]
struct RedisRs(redis::cluster_async::ClusterConnection);

impl Client for RedisRs {
    async fn increment(&self, key: &str) -> Result<(), String> {
        let mut connection = self.0.clone();
        let answer = tokio::time::timeout(LIMIT, connection.incr(key, 1));
        answer.await.map_err(said)?.map_err(said)
    }
}

#[derive(Clone)]
struct Deadpool(deadpool_redis::cluster::Pool);

impl Client for Deadpool {
    async fn increment(&self, key: &str) -> Result<(), String> {
        let answer = tokio::time::timeout(LIMIT, async {
            let mut connection = self.0.get().await.map_err(said)?;
            connection.incr(key, 1).await.map_err(said)
        });
        answer.await.map_err(said)?
    }
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

/// What callers of the good nodes got.
#[derive(Debug, Default)]
struct Phase {
    took: Duration,
    failed: usize,
    times: Vec<Duration>,
    /// The last error of somebody's.
    error: String,
}

impl Phase {
    fn add(&mut self, other: Self) {
        self.took += other.took;
        self.failed += other.failed;
        self.times.extend(other.times);
        if !other.error.is_empty() {
            self.error = other.error;
        }
    }

    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    fn percentile_99(&mut self) -> Option<Duration> {
        self.times.sort_unstable();
        self.times.get(self.times.len() * 99 / 100).copied()
    }
}

struct Outcome {
    well: Phase,
    bad: Phase,
    /// Topology lookups at the good nodes while the other was bad.
    lookups: u64,
    /// How many connections to the good nodes were there before, and how many of these at the end.
    connections: (usize, usize),
    /// How often a key was not served again in time once its node was well.
    lost: u32,
}

/// Has everybody ask for so long.
async fn phase<C: Client>(
    client: &C,
    keys: &[String],
    span: Duration,
    stuck_callers: usize,
) -> Phase {
    let ended = Arc::new(AtomicBool::new(false));
    let mut stuck = JoinSet::new();
    for _ in 0..stuck_callers {
        let (client, key, ended) = (client.clone(), keys[0].clone(), Arc::clone(&ended));
        stuck.spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                if client.increment(&key).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    let mut crowd = JoinSet::new();
    for number in 0..CALLERS {
        let (client, key) = (client.clone(), keys[1 + number % 2].clone());
        let ended = Arc::clone(&ended);
        crowd.spawn(async move {
            let mut own = Phase::default();
            while !ended.load(Ordering::Relaxed) {
                let asked = Instant::now();
                match client.increment(&key).await {
                    Ok(()) => own.times.push(asked.elapsed()),
                    Err(error) => {
                        own.failed += 1;
                        own.error = error;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            }
            own
        });
    }
    let begun = Instant::now();
    tokio::time::sleep(span).await;
    ended.store(true, Ordering::Relaxed);
    let took = begun.elapsed();
    let mut all = Phase::default();
    for own in crowd.join_all().await {
        all.add(own);
    }
    stuck.join_all().await;
    Phase { took, ..all }
}

/// What is wrong with a node.
#[derive(Clone, Copy)]
enum Fault {
    /// It accepts everything and answers nothing.
    Hangs,
    /// Its connections break, and new ones are not answered, as when its machine is gone.
    Vanishes,
}

/// How long a client may take to find its way back to a node.
const RECOVERY: Duration = Duration::from_secs(10);

async fn play<C: Client>(cluster: &Cluster, fault: Fault, client: C) -> Outcome {
    let keys: Vec<String> = (0..3)
        .map(|index| {
            let mut keys = (0..).map(|n| format!("key{n}"));
            keys.find(|key| owner(cluster, key) == cluster.masters()[index].port())
        })
        .map(Option::unwrap)
        .collect();
    let [bad, good @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    let connections = || -> BTreeSet<(u16, u64)> {
        let of = |node: &Node| {
            let port = node.port();
            node.clients()
                .unwrap()
                .into_iter()
                .map(move |id| (port, id))
        };
        good.iter().flat_map(of).collect()
    };
    let lookups = || -> u64 {
        let names = ["cluster|slots", "cluster|shards", "cluster|nodes"];
        let of = |node: &Node| {
            names
                .map(|name| node.calls(name).unwrap())
                .iter()
                .sum::<u64>()
        };
        good.iter().map(of).sum()
    };
    let (mut well_phase, mut bad_phase) = (Phase::default(), Phase::default());
    let (mut asked, mut connected) = (0, (0, 0));
    let mut lost = 0;
    for turn in 0..TURNS {
        // Whatever it opens on first use, and again after the last turn.
        for key in &keys {
            let begun = Instant::now();
            while let Err(error) = client.increment(key).await {
                if begun.elapsed() > RECOVERY {
                    assert!(turn > 0, "{error}");
                    lost += 1;
                    break;
                }
            }
        }
        well_phase.add(phase(&client, &keys, WELL, 0).await);
        let (before, lookups_before) = (connections(), lookups());
        match fault {
            Fault::Hangs => bad.stop(),
            Fault::Vanishes => {
                cluster.proxy(bad).silence();
                cluster.proxy(bad).reset();
            }
        }
        bad_phase.add(phase(&client, &keys, BAD, STUCK).await);
        asked += lookups() - lookups_before;
        let kept = before.intersection(&connections()).count();
        connected = (connected.0 + before.len(), connected.1 + kept);
        match fault {
            Fault::Hangs => bad.cont(),
            Fault::Vanishes => cluster.proxy(bad).release(),
        }
    }
    Outcome {
        well: well_phase,
        bad: bad_phase,
        lookups: asked,
        connections: connected,
        lost,
    }
}

fn owner(cluster: &Cluster, key: &str) -> u16 {
    let slot = wait_pool_redis::Slot::of(key.as_bytes());
    cluster.slot_owner(slot.number()).unwrap().port()
}

fn start(fault: Fault) -> Cluster {
    // The others do not call it failed: what is measured is the client, not the cluster.
    let options = ClusterOptions::new(3, 0)
        .node_timeout(Duration::from_secs(60))
        .setting("cluster-require-full-coverage", "no");
    Cluster::start_with(match fault {
        Fault::Hangs => options,
        Fault::Vanishes => options.proxied(),
    })
    .unwrap()
}

fn show(name: &str, outcome: &mut Outcome) {
    let (well, bad) = (&mut outcome.well, &mut outcome.bad);
    let rates = (well.rate(), bad.rate(), bad.rate() / well.rate());
    let times = (well.percentile_99(), bad.percentile_99());
    println!(
        "{name:<18} rate {:>6.0}/s -> {:>6.0}/s ({:.2}), p99 {} -> {}, failed {}, lookups {}, \
         connections kept {} of {}, keys lost {} {}",
        rates.0,
        rates.1,
        rates.2,
        time(times.0),
        time(times.1),
        bad.failed,
        outcome.lookups,
        outcome.connections.1,
        outcome.connections.0,
        outcome.lost,
        bad.error,
    );
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "none".to_owned(), |time| format!("{time:.1?}"))
}

async fn compare(fault: Fault) {
    let cluster = start(fault);
    let pool = wait_pool_redis::cluster::Pool::builder(cluster.urls())
        .max_connections_per_node(POOL)
        .request_timeout(LIMIT)
        .build()
        .unwrap();
    let mut ours = play(&cluster, fault, WaitPool(pool)).await;
    show("wait-pool-redis", &mut ours);

    let cluster = start(fault);
    let client = redis::cluster::ClusterClient::builder(cluster.urls())
        .connection_timeout(LIMIT)
        .response_timeout(LIMIT)
        .build()
        .unwrap();
    let connection = client.get_async_connection().await.unwrap();
    let mut theirs = play(&cluster, fault, RedisRs(connection)).await;
    show("ClusterConnection", &mut theirs);

    let cluster = start(fault);
    let config = deadpool_redis::cluster::Config::from_urls(cluster.urls());
    let runtime = deadpool_redis::Runtime::Tokio1;
    let pool = config.builder().unwrap().max_size(POOL).runtime(runtime);
    let pool = Deadpool(pool.build().unwrap());
    let mut theirs = play(&cluster, fault, pool).await;
    show("deadpool-redis", &mut theirs);

    assert_eq!(ours.well.failed + ours.bad.failed, 0, "{}", ours.bad.error);
    assert_eq!(ours.lost, 0, "keys not served again in {RECOVERY:?}");
    let (before, kept) = ours.connections;
    assert_eq!(before, kept, "connections to good nodes");
    let most = 2 * ours.bad.took.as_secs() + u64::from(2 * TURNS);
    assert!(
        ours.lookups <= most,
        "{} in {:?}",
        ours.lookups,
        ours.bad.took
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_beside_two_that_are_well() {
    compare(Fault::Hangs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_vanishes_beside_two_that_are_well() {
    compare(Fault::Vanishes).await;
}

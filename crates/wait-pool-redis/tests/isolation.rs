//! G8: a node that is hung, silent or gone costs the keys it serves, and nothing else.
//!
//! Each test counts at the servers: connections by their ids, topology lookups by what they ran. How rates
//! and latencies compare, beside other clients, is measured in crates/bench.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{key_on, run};
use redis::{AsyncCommands, RedisResult};
use testbed::{Cluster, ClusterOptions, Node};
use tokio::task::JoinSet;
use wait_pool_redis::cluster::Pool;

/// The bad keys wait for it, and the good ones never take that long, on however busy a machine.
const LIMIT: Duration = Duration::from_millis(1500);
/// How long a node is bad.
const BAD: Duration = Duration::from_secs(5);
/// How many callers ask good nodes, the bad one, and all of them.
const CALLERS: usize = 8;

/// Ids of the connections that carry a pool's requests. Topologies are looked up on others.
fn carriers(node: &Node) -> Vec<u64> {
    let list: String = run(node, "CLIENT LIST TYPE NORMAL");
    let own = list.lines().filter(|line| line.contains(" name=main "));
    let ids = own.filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
    ids.map(|id| id.parse().unwrap()).collect()
}

fn lookups(cluster: &Cluster) -> u64 {
    let nodes = cluster.masters().iter();
    let each = nodes
        .map(|node| node.calls("cluster|shards").unwrap() + node.calls("cluster|slots").unwrap());
    each.sum()
}

struct Site {
    cluster: Cluster,
    pool: Pool,
    /// A key for each master.
    keys: Vec<String>,
}

impl Site {
    async fn start() -> Self {
        let options = ClusterOptions::new(3, 0)
            .setting("cluster-require-full-coverage", "no")
            // Nobody is to be called failed here: the others go on as if it were well.
            .node_timeout(Duration::from_secs(60))
            .proxied();
        let cluster = Cluster::start_with(options).unwrap();
        let pool = Pool::builder(cluster.urls())
            .name("main")
            .max_connections_per_node(4)
            .max_leases(2)
            .request_timeout(LIMIT)
            .build()
            .unwrap();
        let keys: Vec<String> = cluster
            .masters()
            .iter()
            .map(|node| key_on(&cluster, node, "k"))
            .collect();
        // Until every node has all the connections that it will ever have.
        while !cluster
            .masters()
            .iter()
            .all(|node| carriers(node).len() == 4)
        {
            let mut crowd = JoinSet::new();
            for number in 0..48 {
                let (mut pool, key) = (pool.clone(), keys[number % 3].clone());
                crowd.spawn(async move { pool.set::<_, _, ()>(key, 0).await });
            }
            let _ = crowd.join_all().await;
        }
        Self {
            cluster,
            pool,
            keys,
        }
    }

    /// Has everybody ask while the first master is bad, and looks whether anybody but those who need it
    /// takes notice.
    async fn hold_out(&self, break_it: impl FnOnce(&Node), mend_it: impl FnOnce(&Node)) {
        let [bad, good @ ..] = self.cluster.masters() else {
            panic!("three masters")
        };
        let before: Vec<_> = good.iter().map(carriers).collect();
        let moved = |node: &Node| node.errors("MOVED").unwrap();
        let strays: u64 = good.iter().map(moved).sum();
        let (asked, begun) = (lookups(&self.cluster), Instant::now());
        break_it(bad);

        let ended = Arc::new(AtomicBool::new(false));
        let mut crowd = JoinSet::new();
        for number in 0..CALLERS {
            let (pool, keys) = (|| self.pool.clone(), &self.keys);
            let good_key = keys[1 + number % 2].clone();
            crowd.spawn(good_keys(pool(), good_key, ended.clone()));
            crowd.spawn(bad_key(pool(), keys[0].clone(), ended.clone()));
            crowd.spawn(all_keys(pool(), keys.clone(), ended.clone()));
        }
        tokio::time::sleep(BAD).await;
        ended.store(true, Ordering::Relaxed);
        let served = crowd.join_all().await;
        let took = begun.elapsed();
        mend_it(bad);

        assert!(served.iter().all(|served| *served > 0), "{served:?}");
        for (node, before) in good.iter().zip(before) {
            assert_eq!(carriers(node), before, "connections to {}", node.addr());
        }
        let most = 2 * took.as_secs() + 2;
        let asked = lookups(&self.cluster) - asked;
        assert!((1..=most).contains(&asked), "{asked} lookups in {took:?}");
        let strays = good.iter().map(moved).sum::<u64>() - strays;
        assert_eq!(strays, 0, "nobody was sent elsewhere at random");
        // And back.
        let begun = Instant::now();
        let mut pool = self.pool.clone();
        while pool.set::<_, _, ()>(&self.keys[0], 1).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it is well again"
            );
        }
    }
}

/// Never sees an error.
async fn good_keys(mut pool: Pool, key: String, ended: Arc<AtomicBool>) -> u64 {
    let mut served = 0;
    while !ended.load(Ordering::Relaxed) {
        let _: i64 = pool.incr(&key, 1).await.unwrap();
        served += 1;
    }
    served
}

/// Sees nothing but errors, each in time.
async fn bad_key(mut pool: Pool, key: String, ended: Arc<AtomicBool>) -> u64 {
    let mut refused = 0;
    while !ended.load(Ordering::Relaxed) {
        let answer: RedisResult<i64> = pool.incr(&key, 1).await;
        let error = answer.unwrap_err();
        assert!(error.is_io_error(), "{error}");
        refused += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    refused
}

/// Has the answers of those that are well, in their places.
async fn all_keys(mut pool: Pool, keys: Vec<String>, ended: Arc<AtomicBool>) -> u64 {
    let mut served = 0;
    while !ended.load(Ordering::Relaxed) {
        let mut pipeline = redis::pipe();
        for key in &keys {
            pipeline.incr(key, 1);
        }
        let pipeline = pipeline.ignore_errors();
        let answers: Vec<RedisResult<i64>> = pipeline.query_async(&mut pool).await.unwrap();
        let [bad, good @ ..] = &answers[..] else {
            panic!("{answers:?}")
        };
        let code = bad.as_ref().unwrap_err().code();
        assert!(
            matches!(code, Some("TIMEOUT" | "NOCONNECTION" | "CONNECTIONLOST")),
            "{bad:?}"
        );
        assert!(good.iter().all(Result::is_ok), "{good:?}");
        served += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    served
}

/// It refuses nothing and answers nothing (`kill -STOP`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_node_costs_its_own_keys_and_nothing_else() {
    let site = Site::start().await;
    site.hold_out(Node::stop, Node::cont).await;
}

/// The network swallows what is sent to it, that of new connections too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_behind_a_black_hole_costs_its_own_keys_and_nothing_else() {
    let site = Site::start().await;
    let proxy = site.cluster.proxy(&site.cluster.masters()[0]);
    site.hold_out(|_| proxy.silence(), |_| proxy.release())
        .await;
}

/// Its connections are reset and new ones refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_costs_its_own_keys_and_nothing_else() {
    let site = Site::start().await;
    let proxy = site.cluster.proxy(&site.cluster.masters()[0]);
    let go = |_: &Node| {
        proxy.refuse();
        proxy.reset();
    };
    site.hold_out(go, |_| proxy.accept().unwrap()).await;
}

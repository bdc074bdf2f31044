//! How a pool learns who serves what, from whom, how often, and whom it does not believe.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::moving::move_slot;
use common::{calls, clients, key_on, run, until};
use redis::io::AsyncDNSResolver;
use redis::{AsyncCommands, RedisFuture, RedisResult};
use testbed::{Cluster, ClusterOptions, Node, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wait_pool_redis::cluster::{Pool, TopologyEvent, TopologyListener};
use wait_pool_redis::{Builder, NodeAddr, Slot};

fn partial(masters: usize, replicas: usize) -> Cluster {
    let options = ClusterOptions::new(masters, replicas);
    Cluster::start_with(options.setting("cluster-require-full-coverage", "no")).unwrap()
}

fn addr(node: &Node) -> NodeAddr {
    NodeAddr::new("127.0.0.1", node.port())
}

/// How often servers were asked for the topology.
fn asked(cluster: &Cluster) -> u64 {
    let asked = |node| calls(node, "cluster|shards") + calls(node, "cluster|slots");
    cluster.nodes().iter().map(asked).sum()
}

/// How often a server has answered with an error of this code.
fn errors(node: &Node, code: &str) -> u64 {
    let info: String = run(node, "INFO errorstats");
    let prefix = format!("errorstat_{code}:count=");
    let count = info.lines().find_map(|line| line.strip_prefix(&prefix));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

/// Keeps what it hears, as text.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl TopologyListener for Heard {
    fn on_event(&self, _pool: &str, event: &TopologyEvent<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Heard {
    fn count(&self, words: &str) -> usize {
        let heard = self.0.lock().unwrap();
        heard.iter().filter(|event| event.contains(words)).count()
    }
}

/// Host names that lead where a test wants.
#[derive(Clone, Default)]
struct Names(
    Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
    Arc<AtomicBool>,
);

impl Names {
    fn set<'a>(&self, name: &str, nodes: impl IntoIterator<Item = &'a Node>) {
        let addr = |node: &Node| SocketAddr::from(([127, 0, 0, 1], node.port()));
        let addrs = nodes.into_iter().map(addr).collect();
        self.0.lock().unwrap().insert(name.to_owned(), addrs);
    }

    /// From now on nobody is answered any more.
    fn hang(&self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

impl AsyncDNSResolver for Names {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let addrs = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => self
                .0
                .lock()
                .unwrap()
                .get(host)
                .cloned()
                .unwrap_or_default(),
        };
        let hangs = self.1.load(Ordering::Relaxed);
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(Box::new(addrs.into_iter()) as Box<_>)
        })
    }
}

/// Passes bytes on to a server, and counts the connections.
struct Forwarder {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Forwarder {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { port, connections }
    }
}

fn pool(cluster: &Cluster, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    set(Pool::builder(cluster.urls())).build().unwrap()
}

async fn serves_everything(cluster: &Cluster, pool: &Pool) {
    for node in cluster.masters() {
        let key = key_on(cluster, node, "k");
        let before = calls(node, "set");
        let _: () = pool.clone().set(&key, 1).await.unwrap();
        assert_eq!(calls(node, "set"), before + 1, "at its owner, at once");
    }
}

#[tokio::test]
async fn the_topology_is_told_in_both_protocols_and_by_the_older_command() {
    let cluster = partial(3, 0);
    for denied in [false, true] {
        if denied {
            for node in cluster.nodes() {
                run::<()>(node, "ACL SETUSER default -cluster|shards -cluster|info");
            }
        }
        for protocol in ["resp2", "resp3"] {
            let before = calls(&cluster.nodes()[0], "cluster|slots");
            let url = format!("{}/?protocol={protocol}", cluster.nodes()[0].url());
            let pool = Pool::builder([url]).build().unwrap();
            serves_everything(&cluster, &pool).await;
            assert_eq!(pool.topology().unwrap().coverage(), Slot::COUNT);
            let slots = calls(&cluster.nodes()[0], "cluster|slots") - before;
            assert_eq!(slots > 0, denied, "{protocol}");
        }
    }
}

#[tokio::test]
async fn the_view_is_what_the_cluster_is() {
    let cluster = partial(3, 1);
    for node in cluster.masters() {
        // A replica that has nothing is called "loading".
        let key = key_on(&cluster, node, "r");
        run::<()>(node, &format!("SET {key} 1"));
    }
    let in_sync = || {
        let loading =
            |node| format!("{:?}", run::<redis::Value>(node, "CLUSTER SHARDS")).contains("loading");
        !cluster.nodes().iter().any(loading)
    };
    until("all replicas are in sync", in_sync).await;
    let heard = Heard::default();
    let pool = pool(&cluster, |builder| builder.topology_listener(heard.clone()));
    assert!(pool.topology().is_none(), "nobody has asked");
    let _: () = pool.clone().set("k", 1).await.unwrap();
    let view = pool.topology().unwrap();
    for number in (0..Slot::COUNT).step_by(500) {
        let owner = cluster.slot_owner(number).unwrap();
        assert_eq!(view.owner(Slot::new(number).unwrap()), Some(&addr(owner)));
    }
    let shards = view.shards();
    assert_eq!(shards.len(), 3);
    let slots = |shard: &wait_pool_redis::cluster::ClusterShard| -> u16 {
        let ranges = shard.slots().iter();
        ranges
            .map(|r| r.end().number() - r.start().number() + 1)
            .sum()
    };
    assert_eq!(shards.iter().map(slots).sum::<u16>(), Slot::COUNT);
    for (index, master) in cluster.masters().iter().enumerate() {
        let shard = shards
            .iter()
            .find(|shard| *shard.primary() == addr(master))
            .unwrap();
        assert_eq!(shard.replicas(), [addr(&cluster.replicas()[index])]);
    }
    assert_eq!(heard.count("Refreshed"), 1);
    assert_eq!(heard.count("Changed"), 1);
    assert_eq!(heard.count("slots: 16384"), 1);
    assert_eq!(heard.count("Doubted") + heard.count("RefreshFailed"), 0);
}

/// G14: no traffic, no questions.
#[tokio::test]
async fn the_topology_is_looked_up_from_time_to_time_while_there_are_requests() {
    let cluster = partial(3, 0);
    let often = Duration::from_millis(100);
    let mut watched = pool(&cluster, |builder| builder.topology_check_interval(often));
    let _: () = watched.set("k", 1).await.unwrap();
    let before = asked(&cluster);
    let begun = Instant::now();
    while asked(&cluster) < before + 3 {
        let _: () = watched.set("k", 1).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "never looked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What is under way may still come, and one for the last request.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let quiet = asked(&cluster);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(asked(&cluster), quiet, "nobody has asked for anything");
    // And again.
    let begun = Instant::now();
    while asked(&cluster) < quiet + 2 {
        let _: () = watched.set("k", 1).await.unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "never looked again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(watched);

    let mut never = pool(&cluster, |builder| builder.topology_check_interval(None));
    let _: () = never.set("k", 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let before = asked(&cluster);
    for _ in 0..50 {
        let _: () = never.set("k", 1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked(&cluster), before);
}

/// lettuce#1946: a node whose address now belongs to another cluster.
#[tokio::test]
async fn a_node_that_has_joined_another_cluster_does_not_take_the_pool_with_it() {
    let cluster = partial(3, 0);
    let heard: Vec<Heard> = (0..6).map(|_| Heard::default()).collect();
    let make = |heard: &Heard| {
        pool(&cluster, |builder| {
            builder
                .topology_check_interval(Duration::from_millis(50))
                .topology_listener(heard.clone())
        })
    };
    let pools: Vec<Pool> = heard.iter().map(make).collect();
    for pool in &pools {
        serves_everything(&cluster, pool).await;
    }
    let [stray, others @ ..] = cluster.masters() else {
        panic!("three masters")
    };
    let keys: Vec<String> = others
        .iter()
        .map(|node| key_on(&cluster, node, "o"))
        .collect();
    run::<()>(stray, "FLUSHALL");
    run::<()>(stray, "CLUSTER RESET HARD");
    run::<()>(stray, "CLUSTER SET-CONFIG-EPOCH 100");
    run::<()>(stray, "CLUSTER ADDSLOTSRANGE 0 16383");
    let begun = Instant::now();
    while !heard.iter().all(|heard| heard.count("OtherNodes") > 0) {
        for pool in &pools {
            for key in &keys {
                let _: () = pool.clone().set(key, 1).await.unwrap();
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never asked");
    }
    for pool in &pools {
        for (node, key) in others.iter().zip(&keys) {
            let _: () = pool.clone().set(key, 1).await.unwrap();
            let slot = Slot::of(key.as_bytes());
            assert_eq!(pool.topology().unwrap().owner(slot), Some(&addr(node)));
        }
    }
    assert_eq!(run::<i32>(stray, "DBSIZE"), 0, "nobody was sent there");
}

/// G11: what one node alone says takes no slot from its owner; what most say does.
#[tokio::test]
async fn a_slot_is_lost_once_several_say_so() {
    let cluster = partial(5, 0);
    let heard = Heard::default();
    let pool = pool(&cluster, |builder| {
        builder
            .topology_check_interval(Duration::from_millis(50))
            .topology_listener(heard.clone())
    });
    serves_everything(&cluster, &pool).await;
    let [owner, forgetful, others @ ..] = cluster.masters() else {
        panic!("five masters")
    };
    let key = key_on(&cluster, owner, "l");
    let slot = Slot::of(key.as_bytes());
    let coverage = || pool.topology().unwrap().coverage();
    // Gossip puts it right again and again.
    let forget = |node: &Node| {
        let forget = redis::cmd("CLUSTER")
            .arg("DELSLOTS")
            .arg(slot.number())
            .take();
        let _: Result<(), _> = forget.query(&mut node.connection().unwrap());
    };
    let begun = Instant::now();
    while heard.count("FewerSlots") < 2 {
        forget(forgetful);
        let _: () = pool.clone().set(&key, 1).await.unwrap();
        assert_eq!(coverage(), Slot::COUNT);
        assert!(begun.elapsed() < Duration::from_secs(60), "never asked");
    }
    cluster.masters().iter().for_each(forget);
    let other = key_on(&cluster, &others[0], "o");
    let begun = Instant::now();
    while coverage() == Slot::COUNT {
        let _: () = pool.clone().set(&other, 1).await.unwrap();
        cluster.masters().iter().for_each(forget);
        assert!(begun.elapsed() < Duration::from_secs(30), "never believed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(coverage(), Slot::COUNT - 1);
}

#[tokio::test]
async fn a_node_that_has_left_is_let_go_after_its_last_reply() {
    let cluster = partial(3, 0);
    // A cluster that is not whole is one all the same.
    let lost = Slot::of(key_on(&cluster, &cluster.masters()[2], "lost").as_bytes());
    for node in cluster.masters() {
        run::<()>(node, &format!("CLUSTER DELSLOTS {lost}"));
    }
    let mut pool = pool(&cluster, |builder| {
        builder
            .topology_check_interval(Duration::from_millis(50))
            .request_timeout(Duration::from_secs(60))
    });
    serves_everything(&cluster, &pool).await;
    let [leaver, heir, other] = cluster.masters() else {
        panic!("three masters")
    };
    let key = key_on(&cluster, leaver, "k");
    let _: () = pool.set(&key, "its last word").await.unwrap();
    let kept = key_on(&cluster, other, "o");
    let id: String = run(leaver, "CLUSTER MYID");
    let view = pool.topology().unwrap().shards();
    let shard = view
        .iter()
        .find(|shard| *shard.primary() == addr(leaver))
        .unwrap();
    let range = &shard.slots()[0];
    let range = format!("{} {}", range.start(), range.end());

    leaver.stop();
    let (mut asking, watched) = (pool.clone(), pool.clone());
    let last = tokio::spawn(async move { AsyncCommands::get::<_, String>(&mut asking, key).await });
    let is_asked = || {
        let status = watched.status_by_node();
        let leaver = status.iter().find(|(node, _)| *node == addr(leaver));
        leaver.is_some_and(|(_, status)| status.holders == 1)
    };
    until("the request is on its way", is_asked).await;
    for node in [heir, other] {
        run::<()>(node, &format!("CLUSTER DELSLOTSRANGE {range}"));
    }
    run::<()>(heir, &format!("CLUSTER ADDSLOTSRANGE {range}"));
    run::<String>(heir, "CLUSTER BUMPEPOCH");
    for node in [heir, other] {
        run::<()>(node, &format!("CLUSTER FORGET {id}"));
    }
    let begun = Instant::now();
    let knows = |pool: &Pool| {
        pool.topology()
            .unwrap()
            .nodes()
            .any(|node| *node == addr(leaver))
    };
    while knows(&pool) {
        let _: () = pool.set(&kept, 1).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "never noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!last.is_finished());
    assert!(!is_asked(), "it is no longer among the nodes");
    leaver.cont();
    assert_eq!(last.await.unwrap().unwrap(), "its last word");
    until("its connections are closed", || clients(leaver).is_empty()).await;
}

/// redis-py#3693, go-redis#1358: all addresses have changed, the name has not.
#[tokio::test]
async fn when_all_known_nodes_are_gone_a_startup_name_leads_to_the_others() {
    let names = Names::default();
    let before = partial(3, 0);
    names.set("cluster.test", before.masters());
    let heard = Heard::default();
    let mut pool = Pool::builder(["redis://cluster.test:7000"])
        .dns_resolver(names.clone())
        .topology_listener(heard.clone())
        .build()
        .unwrap();
    serves_everything(&before, &pool).await;
    drop(before);
    let after = partial(3, 0);
    names.set("cluster.test", after.masters());
    let begun = Instant::now();
    loop {
        let stored: RedisResult<()> = pool.set("k", 1).await;
        match stored {
            Ok(()) => break,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    serves_everything(&after, &pool).await;
    assert_eq!(
        pool.status_by_node().len(),
        3,
        "those that are gone are forgotten"
    );
    assert!(heard.count("RefreshFailed") + heard.count("OtherNodes") > 0);
}

/// redis-py#4049, vertx-redis-client#404: every client asks the node that is named first.
#[tokio::test]
async fn clients_ask_different_nodes() {
    let cluster = partial(3, 0);
    let before: Vec<u64> = cluster
        .nodes()
        .iter()
        .map(|node| calls(node, "cluster|shards"))
        .collect();
    for _ in 0..60 {
        let mut pool = pool(&cluster, |builder| builder);
        let _: () = pool.set("k", 1).await.unwrap();
    }
    for (node, before) in cluster.nodes().iter().zip(before) {
        let asked = calls(node, "cluster|shards") - before;
        assert!(
            (5..=40).contains(&asked),
            "one of three was asked {asked} of 60 times"
        );
    }
}

/// One name for all nodes: whoever of them answers first need not be the one who knows.
#[tokio::test]
async fn of_a_name_with_several_addresses_each_is_asked() {
    let cluster = partial(3, 0);
    let enabled: &[_] = &[("cluster-enabled", "yes")];
    let (stranger, hung) = (
        Server::start_with(enabled).unwrap(),
        Server::start_with(enabled).unwrap(),
    );
    hung.stop();
    let names = Names::default();
    names.set("cluster.test", [&*stranger, &*hung, &cluster.nodes()[2]]);
    for _ in 0..8 {
        let pool = Pool::builder(["redis://cluster.test:7000"])
            .dns_resolver(names.clone())
            .build()
            .unwrap();
        serves_everything(&cluster, &pool).await;
    }
}

#[tokio::test]
async fn nodes_are_called_what_servers_call_them() {
    let cluster = partial(3, 0);
    let names = Names::default();
    for node in cluster.nodes() {
        let name = format!("node-{}.test", node.port());
        run::<()>(
            node,
            &format!("CONFIG SET cluster-announce-hostname {name}"),
        );
        names.set(&name, [node]);
    }
    for endpoint in ["ip", "hostname", "unknown-endpoint"] {
        let mut told = vec![];
        for node in cluster.nodes() {
            run::<()>(
                node,
                &format!("CONFIG SET cluster-preferred-endpoint-type {endpoint}"),
            );
            told.push(match endpoint {
                "hostname" => format!("node-{}.test:{}", node.port(), node.port()),
                "ip" => format!("127.0.0.1:{}", node.port()),
                // As the URL has it, which a server cannot know.
                _ => format!("localhost:{}", node.port()),
            });
        }
        names.set("localhost", [&cluster.nodes()[0]]);
        let first = &cluster.nodes()[0];
        let knows_names = || {
            let shards: redis::Value = run(first, "CLUSTER SHARDS");
            let shards = format!("{shards:?}");
            let named = |node: &Node| shards.contains(&format!("node-{}.test", node.port()));
            cluster.nodes().iter().all(named)
        };
        until("all names are known", knows_names).await;
        if endpoint == "unknown-endpoint" {
            // It is the operating system that finds this one.
            let url = format!("redis://localhost:{}", first.port());
            let pool = Pool::builder([url]).build().unwrap();
            follows_everything(&cluster, &pool, &told).await;
        } else {
            let pool = Pool::builder([first.url()])
                .dns_resolver(names.clone())
                .build()
                .unwrap();
            follows_everything(&cluster, &pool, &told).await;
        }
    }
}

/// The nodes are called so, each serves its keys, and a `MOVED` is followed.
async fn follows_everything(cluster: &Cluster, pool: &Pool, told: &[String]) {
    let mut pool = pool.clone();
    let _: () = pool.set("k", 1).await.unwrap();
    let view = pool.topology().unwrap();
    let mut called: Vec<String> = view.nodes().map(NodeAddr::to_string).collect();
    called.sort();
    let mut expected = told.to_vec();
    expected.sort();
    assert_eq!(called, expected);
    serves_everything(cluster, &pool).await;
    let moved = key_on(cluster, &cluster.masters()[0], "m");
    let _: () = pool.set(&moved, 1).await.unwrap();
    let to = move_slot(cluster, &moved);
    let value: i32 = pool.incr(&moved, 1).await.unwrap();
    assert_eq!(value, 2);
    let slot = Slot::of(moved.as_bytes());
    let owner = pool.topology().unwrap().owner(slot).unwrap().to_string();
    assert_eq!(owner, told[to]);
}

/// G11; valkey-glide#3926: while a look-up hangs, requests run.
#[tokio::test]
async fn requests_do_not_wait_for_a_look_up() {
    let cluster = partial(3, 0);
    let names = Names::default();
    let called = |node: &Node| format!("node-{}.test", node.port());
    for node in cluster.nodes() {
        names.set(&called(node), [node]);
        run::<()>(
            node,
            &format!("CONFIG SET cluster-announce-hostname {}", called(node)),
        );
        run::<()>(node, "CONFIG SET cluster-preferred-endpoint-type hostname");
    }
    let knows_names = |asked: &Node| {
        let shards = format!("{:?}", run::<redis::Value>(asked, "CLUSTER SHARDS"));
        cluster
            .nodes()
            .iter()
            .all(|node| shards.contains(&called(node)))
    };
    until("all names are known", || {
        cluster.nodes().iter().all(knows_names)
    })
    .await;
    let heard = Heard::default();
    let url = format!("redis://{}:7000", called(&cluster.nodes()[0]));
    let pool = Pool::builder([url])
        .dns_resolver(names.clone())
        .topology_listener(heard.clone())
        .topology_check_interval(Duration::from_millis(20))
        .connect_timeout(Duration::from_secs(2))
        .request_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    serves_everything(&cluster, &pool).await;
    names.hang();
    let keys: Vec<String> = cluster
        .nodes()
        .iter()
        .map(|node| key_on(&cluster, node, "k"))
        .collect();
    let begun = Instant::now();
    // Each look-up takes as long as it may, so that there is hardly a moment without one.
    while heard.count("RefreshFailed") < 2 {
        for key in &keys {
            let _: () = pool.clone().set(key, 1).await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never looked up");
    }
}

/// Behind NAT: what servers call each other leads nowhere from here.
#[tokio::test]
async fn addresses_that_servers_name_are_mapped() {
    let cluster = partial(3, 0);
    let mut forwarders = HashMap::new();
    for node in cluster.nodes() {
        let port = node.port();
        run::<()>(
            node,
            &format!("CONFIG SET cluster-announce-hostname n{port}.internal"),
        );
        run::<()>(node, "CONFIG SET cluster-preferred-endpoint-type hostname");
        forwarders.insert(port, Forwarder::to(port).await);
    }
    let told: Vec<String> = cluster
        .nodes()
        .iter()
        .map(|node| format!("n{0}.internal:{0}", node.port()))
        .collect();
    let first = &cluster.nodes()[0];
    let knows_names = || {
        let shards: redis::Value = run(first, "CLUSTER SHARDS");
        let shards = format!("{shards:?}");
        cluster
            .nodes()
            .iter()
            .all(|node| shards.contains(&format!("n{}.internal", node.port())))
    };
    until("all names are known", knows_names).await;
    let gates: HashMap<u16, u16> = forwarders.iter().map(|(node, f)| (*node, f.port)).collect();
    let url = format!("redis://127.0.0.1:{}", gates[&first.port()]);
    let pool = Pool::builder([url])
        .address_map(move |node| match node.host().ends_with(".internal") {
            true => NodeAddr::new("127.0.0.1", gates[&node.port()]),
            false => node.clone(),
        })
        .build()
        .unwrap();
    follows_everything(&cluster, &pool, &told).await;
    for (node, forwarder) in &forwarders {
        assert!(forwarder.connections.load(Ordering::Relaxed) > 0, "{node}");
    }
    for (node, _) in pool.status_by_node() {
        assert!(told.contains(&node.to_string()), "{node}");
    }
}

/// Many are told the same at once when a slot moves under load.
#[tokio::test]
async fn of_many_that_are_redirected_at_once_the_first_tells_the_pool() {
    let cluster = partial(3, 0);
    let heard = Heard::default();
    let pool = pool(&cluster, |builder| {
        builder
            .topology_listener(heard.clone())
            .topology_check_interval(None)
    });
    serves_everything(&cluster, &pool).await;
    let key = key_on(&cluster, &cluster.masters()[0], "m");
    let _: () = pool.clone().set(&key, 0).await.unwrap();
    move_slot(&cluster, &key);
    let before = asked(&cluster);
    let mut crowd = JoinSet::new();
    for _ in 0..200 {
        let (mut pool, key) = (pool.clone(), key.clone());
        crowd.spawn(async move { pool.incr::<_, _, i32>(key, 1).await.unwrap() });
    }
    let mut values = crowd.join_all().await;
    values.sort_unstable();
    assert_eq!(values, (1..=200).collect::<Vec<_>>(), "each ran once");
    let redirected: u64 = cluster
        .masters()
        .iter()
        .map(|node| errors(node, "MOVED"))
        .sum();
    assert!(redirected > 1, "only {redirected} were redirected");
    assert_eq!(heard.count("Moved"), 1);
    until("it was looked up", || asked(&cluster) > before).await;
    assert_eq!(asked(&cluster), before + 1);
}

/// G11, with a node that hangs: two questions a second, whatever is asked of the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_makes_nobody_be_asked_more_often() {
    let cluster = partial(3, 0);
    let limit = Duration::from_millis(100);
    let pool = pool(&cluster, |builder| builder.request_timeout(limit));
    let sick = &cluster.masters()[0];
    let key = key_on(&cluster, sick, "s");
    let _: RedisResult<()> = pool.clone().set(&key, 1).await;
    sick.stop();
    let healthy = || -> u64 {
        let asked = |node| calls(node, "cluster|shards") + calls(node, "cluster|slots");
        cluster.masters()[1..].iter().map(asked).sum()
    };
    let (before, begun) = (healthy(), Instant::now());
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let (mut pool, key) = (pool.clone(), key.clone());
        crowd.spawn(async move {
            while begun.elapsed() < Duration::from_secs(6) {
                let late: RedisResult<()> = pool.set(&key, 1).await;
                assert!(late.is_err());
            }
        });
    }
    crowd.join_all().await;
    let (told, seconds) = (healthy() - before, begun.elapsed().as_secs());
    sick.cont();
    assert!(told > 1, "it is looked up");
    assert!(told <= 2 * seconds + 2, "{told} in {seconds} s");
}

#[test]
fn a_check_without_a_pause_is_refused() {
    let builder = Pool::builder(["redis://a"]).topology_check_interval(Duration::ZERO);
    let error = builder.build().unwrap_err().to_string();
    assert!(error.starts_with("topology_check_interval: "), "{error}");
}

/// G13: what a user gave is not shown.
#[test]
fn settings_are_shown_without_what_they_hold() {
    let builder = Pool::builder(["redis://a"])
        .address_map(NodeAddr::clone)
        .dns_resolver(Names::default())
        .topology_listener(Heard::default());
    let shown = format!("{builder:?}");
    assert!(shown.contains("address_map: set"), "{shown}");
    assert!(shown.contains("resolver: Some(set)"), "{shown}");
}

/// Nor of the tasks that would keep it up to date.
#[tokio::test]
async fn nothing_is_left_of_a_pool_that_is_gone() {
    let cluster = Cluster::start(1, 0).unwrap();
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    let mut pool = Pool::builder(cluster.urls()).build().unwrap();
    for _ in 0..2 {
        let _: () = pool.set("key", 1).await.unwrap();
    }
    assert!(alive() > before);
    drop(pool);
    until("all tasks have ended", || alive() == before).await;
}

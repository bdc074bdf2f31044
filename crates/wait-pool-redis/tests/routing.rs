//! Commands that concern several nodes of a cluster: cut by their keys, sent to all, answered as one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use common::{calls, key_on, replicas_are_online, run, until};
use futures_util::StreamExt;
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisResult, Script, Value};
use testbed::{Cluster, ClusterOptions, Node};
use wait_pool_redis::cluster::Pool;
use wait_pool_redis::{ModuleCommand, ResponsePolicy};

fn start(masters: usize, replicas: usize) -> (Cluster, Pool) {
    let cluster = Cluster::start(masters, replicas).unwrap();
    let pool = Pool::builder(cluster.urls()).build().unwrap();
    (cluster, pool)
}

/// rustis 0.27 gave keys the values of others when they repeat or share a slot.
#[tokio::test]
async fn mget_over_slots_gives_every_key_its_own_value() {
    let (cluster, mut pool) = start(3, 0);
    let keys: Vec<String> = (0..60).map(|n| format!("{{{}}}k{n}", n % 20)).collect();
    let pairs: Vec<(&String, usize)> = keys.iter().zip(0..).collect();
    let set: String = pool.mset(&pairs).await.unwrap();
    assert_eq!(set, "OK");

    let mut wanted: Vec<&str> = keys.iter().map(String::as_str).collect();
    wanted.extend(["missing", &keys[3], &keys[3], "{3}missing"]);
    wanted.reverse();
    let expected: Vec<Option<usize>> = wanted
        .iter()
        .map(|wanted| keys.iter().position(|key| key == wanted))
        .collect();
    let values: Vec<Option<usize>> = pool.mget(&wanted).await.unwrap();
    assert_eq!(values, expected);
    for node in cluster.masters() {
        assert!(calls(node, "mget") > 0);
    }
}

#[tokio::test]
async fn counts_of_all_slots_are_added() {
    let (_cluster, mut pool) = start(3, 0);
    let keys: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for key in &keys {
        let _: () = pool.set(key, 1).await.unwrap();
    }
    let twice: Vec<&String> = keys.iter().chain(&keys).collect();
    assert_eq!(pool.exists::<_, usize>(&twice).await.unwrap(), 60);
    let touched = redis::cmd("TOUCH").arg(&keys).arg("missing").take();
    assert_eq!(touched.query_async::<usize>(&mut pool).await.unwrap(), 30);
    assert_eq!(pool.unlink::<_, usize>(&keys[..10]).await.unwrap(), 10);
    assert_eq!(pool.del::<_, usize>(&twice).await.unwrap(), 20);
}

#[tokio::test]
async fn cut_commands_keep_their_order_inside_a_pipeline() {
    let (_cluster, mut pool) = start(3, 0);
    let keys: Vec<String> = (0..12).map(|n| format!("k{n}")).collect();
    let mut pipe = redis::pipe();
    for round in 0..5 {
        let pairs: Vec<(&String, usize)> = keys.iter().map(|key| (key, round)).collect();
        pipe.mset(&pairs).ignore().mget(&keys);
        pipe.get(&keys[round]).del(&keys).exists(&keys);
    }
    type Round = (Vec<usize>, usize, usize, usize);
    let rounds: Vec<Value> = pipe.query_async(&mut pool).await.unwrap();
    for (round, answers) in rounds.chunks(4).enumerate() {
        let answers = Value::Array(answers.to_vec());
        let (all, one, deleted, left): Round = redis::from_redis_value(answers).unwrap();
        assert_eq!(all, vec![round; 12]);
        assert_eq!((one, deleted, left), (round, 12, 0));
    }
}

#[tokio::test]
async fn a_wrong_type_fails_its_own_position_only() {
    let (_cluster, mut pool) = start(3, 0);
    let _: () = pool.lpush("list", 1).await.unwrap();
    let _: () = pool.set("text", 1).await.unwrap();
    let mut pipe = redis::pipe();
    pipe.mget(&["text", "list", "other"])
        .incr("list", 1)
        .get("text");
    pipe.ignore_errors();
    let answers: Vec<RedisResult<Value>> = pipe.query_async(&mut pool).await.unwrap();
    let mget: (Option<i32>, Option<i32>, Option<i32>) =
        redis::from_redis_value(answers[0].clone().unwrap()).unwrap();
    assert_eq!(mget, (Some(1), None, None));
    assert!(answers[1].is_err() && answers[2].is_ok());
}

#[tokio::test]
async fn what_has_to_happen_at_once_is_never_cut() {
    let (cluster, mut pool) = start(3, 0);
    let pairs = [("a", 1), ("b", 2), ("c", 3)];
    let refused: RedisResult<()> = pool.mset_nx(&pairs).await;
    assert_eq!(refused.unwrap_err().code(), Some("CROSSSLOT"));
    let mut atomic = redis::pipe();
    atomic.atomic().mset(&pairs);
    let refused: RedisResult<()> = atomic.query_async(&mut pool).await;
    assert_eq!(refused.unwrap_err().code(), Some("CROSSSLOT"));
    let sum: u64 = cluster
        .masters()
        .iter()
        .map(|node| calls(node, "multi"))
        .sum();
    assert_eq!(sum, 0, "refused before anything was sent");
}

#[tokio::test]
async fn commands_of_the_whole_cluster_are_answered_as_one() {
    let (cluster, mut pool) = start(3, 1);
    replicas_are_online(&cluster).await;
    for n in 0..90 {
        let _: () = pool.set(format!("k{n}"), n).await.unwrap();
    }
    let size: usize = redis::cmd("DBSIZE").query_async(&mut pool).await.unwrap();
    assert_eq!(size, 90);
    let keys: BTreeSet<String> = pool.keys("k*").await.unwrap();
    assert_eq!(keys.len(), 90);
    let some: String = redis::cmd("RANDOMKEY")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert!(keys.contains(&some));
    let info: HashMap<String, String> = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut pool)
        .await
        .unwrap();
    let nodes: BTreeSet<String> = cluster.masters().iter().map(Node::addr).collect();
    assert_eq!(info.keys().cloned().collect::<BTreeSet<_>>(), nodes);

    let mut config = redis::cmd("CONFIG");
    config.arg("SET").arg("slowlog-max-len").arg(77);
    config.exec_async(&mut pool).await.unwrap();
    for node in cluster.nodes() {
        let now: Vec<String> = run(node, "CONFIG GET slowlog-max-len");
        assert_eq!(now[1], "77", "replicas too");
    }
    let mut none = redis::cmd("SCRIPT");
    let refused = none.arg("KILL").exec_async(&mut pool).await;
    assert_eq!(refused.unwrap_err().code(), Some("NOTBUSY"));

    let _: () = redis::cmd("FLUSHALL").query_async(&mut pool).await.unwrap();
    let size: usize = redis::cmd("DBSIZE").query_async(&mut pool).await.unwrap();
    assert_eq!(size, 0);
}

#[tokio::test]
async fn a_scan_goes_through_all_nodes() {
    let (_cluster, mut pool) = start(3, 0);
    let mut pipe = redis::pipe();
    for n in 0..1000 {
        pipe.set(format!("k{n}"), n).ignore();
    }
    let _: () = pipe.query_async(&mut pool).await.unwrap();
    let mut seen = BTreeMap::<String, usize>::new();
    let mut keys = pool.scan_match::<_, String>("k*").await.unwrap();
    while let Some(key) = keys.next().await {
        *seen.entry(key.unwrap()).or_default() += 1;
    }
    assert_eq!(seen.len(), 1000);
    drop(keys);

    let mut by_hand = BTreeSet::new();
    let (mut cursor, mut steps) = (0_u64, 0);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(100);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut pool).await.unwrap();
        by_hand.extend(keys);
        (cursor, steps) = (next, steps + 1);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(by_hand.len(), 1000);
    assert!(steps >= 9, "{steps} steps: the count is each node's");
    let nonsense = redis::cmd("SCAN").arg("x").exec_async(&mut pool).await;
    assert!(nonsense.unwrap_err().to_string().contains("cursor"));
}

#[tokio::test]
async fn a_script_reaches_nodes_that_do_not_know_it() {
    let (cluster, mut pool) = start(3, 0);
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    let keys: Vec<String> = cluster
        .masters()
        .iter()
        .map(|node| key_on(&cluster, node, "k"))
        .collect();
    for key in &keys {
        let n: i32 = script.key(key).invoke_async(&mut pool).await.unwrap();
        assert_eq!(n, 1);
    }
    // As a node does that has been restarted.
    run::<()>(&cluster.masters()[1], "SCRIPT FLUSH");
    let mut pipe = redis::pipe();
    for key in keys.iter().chain(&keys) {
        pipe.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(key);
    }
    let counts: Vec<i32> = pipe.query_async(&mut pool).await.unwrap();
    assert_eq!(counts, [2, 2, 2, 3, 3, 3], "each has run once");

    let unknown = redis::cmd("EVALSHA")
        .arg("0".repeat(40))
        .arg(1)
        .arg("k")
        .take();
    let unknown = unknown.exec_async(&mut pool).await.unwrap_err();
    assert_eq!(unknown.code(), Some("NOSCRIPT"));
    let _: () = redis::cmd("SCRIPT")
        .arg("FLUSH")
        .query_async(&mut pool)
        .await
        .unwrap();
    let mut evalsha = redis::cmd("EVALSHA");
    evalsha.arg(script.get_hash()).arg(1).arg(&keys[0]);
    let gone = evalsha.exec_async(&mut pool).await.unwrap_err();
    assert_eq!(gone.code(), Some("NOSCRIPT"), "flushed here too");
}

/// `SINTERCARD` is described as a module's command would be, under the name that servers know.
#[tokio::test]
async fn a_described_command_is_routed_as_the_user_says() {
    let cluster = Cluster::start(3, 0).unwrap();
    let commands = [
        ModuleCommand::new("SINTERCARD").counted_keys(1).readonly(),
        ModuleCommand::new("PFCOUNT")
            .readonly()
            .keys(1, -1, 1)
            .split(ResponsePolicy::AggSum),
        ModuleCommand::new("LASTSAVE").all_shards(ResponsePolicy::AggMin),
    ];
    let pool = Pool::builder(cluster.urls()).commands(commands);
    let mut pool = pool.build().unwrap();
    let _: () = pool.sadd("{t}a", &["x", "y"]).await.unwrap();
    let mut card = redis::cmd("SINTERCARD");
    card.arg(2).arg("{t}a").arg("{t}a");
    assert_eq!(card.query_async::<i32>(&mut pool).await.unwrap(), 2);
    for key in ["a", "b", "c"] {
        let _: () = pool.pfadd(key, "x").await.unwrap();
    }
    let count: i32 = pool.pfcount(&["a", "b", "c"]).await.unwrap();
    assert_eq!(count, 3, "cut, and added");
    let saved: u64 = redis::cmd("LASTSAVE").query_async(&mut pool).await.unwrap();
    assert!(saved > 0);
}

#[tokio::test]
async fn commands_of_one_node_are_refused_where_nobody_says_which() {
    let (_cluster, mut pool) = start(3, 0);
    for words in [
        "CLUSTER FAILOVER",
        "SHUTDOWN",
        "SAVE",
        "CLIENT KILL",
        "WAIT 0 0",
    ] {
        let mut cmd = redis::Cmd::new();
        cmd.arg(words.split(' ').collect::<Vec<_>>());
        let error = cmd.exec_async(&mut pool).await.unwrap_err();
        assert!(error.to_string().contains("cluster::Pool::pin"), "{error}");
    }
}

/// A primary that has been replaced refuses to write: whoever leads its shard now is told instead.
#[tokio::test]
async fn a_flush_reaches_those_who_have_taken_over() {
    let options = ClusterOptions::new(3, 1).node_timeout(Duration::from_secs(60));
    let cluster = Cluster::start_with(options).unwrap();
    replicas_are_online(&cluster).await;
    let pool = Pool::builder(cluster.urls()).request_timeout(Duration::from_secs(20));
    let mut pool = pool.build().unwrap();
    for node in cluster.masters() {
        let key = key_on(&cluster, node, "k");
        let _: () = pool.set(key, 1).await.unwrap();
    }
    for heir in cluster.replicas() {
        let is_there = || run::<usize>(heir, "DBSIZE") == 1;
        until("its copy is whole", is_there).await;
        cluster.takeover(heir).unwrap();
    }
    let follows = |node: &Node| run::<String>(node, "INFO replication").contains("role:slave");
    until("all follow", || cluster.masters().iter().all(follows)).await;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut pool).await.unwrap();
    for node in cluster.masters() {
        assert_eq!(node.errors("READONLY").unwrap(), 1, "it was asked first");
    }
    for heir in cluster.replicas() {
        assert_eq!(run::<usize>(heir, "DBSIZE"), 0, "{}", heir.addr());
        assert_eq!(calls(heir, "flushall"), 1);
    }
}

#[tokio::test]
async fn a_scan_in_a_pipeline_has_the_nodes_own_cursor() {
    let (cluster, mut pool) = start(3, 0);
    for n in 0..300 {
        let _: () = pool.set(format!("k{n}"), n).await.unwrap();
    }
    for node in cluster.masters() {
        run::<()>(node, "CONFIG SET slowlog-log-slower-than 0");
    }
    let mut seen = BTreeSet::new();
    let mut cursor = 0_u64;
    loop {
        let mut pipe = redis::pipe();
        pipe.cmd("SCAN").arg(cursor).arg("COUNT").arg(200);
        let ((next, keys),): ((u64, Vec<String>),) = pipe.query_async(&mut pool).await.unwrap();
        seen.extend(keys);
        for node in cluster.masters() {
            let log = format!("{:?}", run::<Value>(node, "SLOWLOG GET 50"));
            let saw_it = cursor >= 1 << 48 && log.contains(&cursor.to_string());
            assert!(!saw_it, "{log}");
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 300);
}

/// As a node that has just been added and is given its first slot.
#[tokio::test]
async fn a_script_reaches_a_node_that_is_still_importing() {
    let (cluster, mut pool) = start(2, 0);
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    let key = key_on(&cluster, &cluster.masters()[0], "k");
    let _: i32 = script.key(&key).invoke_async(&mut pool).await.unwrap();
    let slot = wait_pool_redis::Slot::of(key.as_bytes()).number();
    let to = &cluster.masters()[1];
    run::<()>(to, "SCRIPT FLUSH");
    let migration = cluster.begin_migration(slot, to).unwrap();
    migration.migrate_all().unwrap();
    let mut pipe = redis::pipe();
    for _ in 0..2 {
        pipe.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(&key);
    }
    let counts: [i32; 2] = pipe.query_async(&mut pool).await.unwrap();
    assert_eq!(counts, [2, 3], "each has run once");
    assert!(to.errors("NOSCRIPT").unwrap() > 0, "it did not know it");
    migration.finish().unwrap();
}

#[tokio::test]
async fn a_part_of_the_answers_may_be_asked_for() {
    let (_cluster, mut pool) = start(2, 0);
    let mut pipe = redis::pipe();
    for n in 0..4 {
        pipe.cmd("ECHO").arg(n);
    }
    for (range, expected) in [
        ((0, 4), &["0", "1", "2", "3"][..]),
        ((1, 2), &["1", "2"]),
        ((3, 9), &["3"]),
        ((5, 1), &[]),
        ((0, 0), &[]),
        ((1, usize::MAX), &["1", "2", "3"]),
    ] {
        let (offset, count) = range;
        let answers = pool.req_packed_commands(&pipe, offset, count).await;
        let answers: Vec<String> = redis::from_redis_value(Value::Array(answers.unwrap())).unwrap();
        assert_eq!(answers, expected, "{range:?}");
    }
}

#[tokio::test]
async fn answers_in_resp3_come_together_too() {
    let cluster = Cluster::start(3, 0).unwrap();
    let urls = cluster.urls().into_iter();
    let urls = urls.map(|url| format!("{}/?protocol=resp3", url.trim_end_matches('/')));
    let mut pool = Pool::builder(urls).build().unwrap();
    let keys: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    let pairs: Vec<(&String, usize)> = keys.iter().zip(0..).collect();
    let _: () = pool.mset(&pairs).await.unwrap();
    let values: Vec<Option<usize>> = pool.mget(&keys).await.unwrap();
    assert_eq!(values, (0..30).map(Some).collect::<Vec<_>>());
    assert_eq!(pool.exists::<_, usize>(&keys).await.unwrap(), 30);
    let all: BTreeSet<String> = pool.keys("*").await.unwrap();
    assert_eq!(all, keys.iter().cloned().collect());
    let mut scanned = BTreeSet::new();
    let mut scan = pool.scan::<String>().await.unwrap();
    while let Some(key) = scan.next().await {
        scanned.insert(key.unwrap());
    }
    drop(scan);
    assert_eq!(scanned, all);
    let some: String = redis::cmd("RANDOMKEY")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert!(all.contains(&some));
    for words in ["INFO server", "MEMORY DOCTOR"] {
        let mut cmd = redis::Cmd::new();
        cmd.arg(words.split(' ').collect::<Vec<_>>());
        let told: HashMap<String, String> = cmd.query_async(&mut pool).await.unwrap();
        assert!(told.len() == 3 && told.values().all(|text| !text.is_empty()));
    }
    let sha: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg("return 1")
        .query_async(&mut pool)
        .await
        .unwrap();
    let mut known = redis::cmd("SCRIPT");
    known.arg("EXISTS").arg(&sha).arg("nothing");
    let known: Vec<bool> = known.query_async(&mut pool).await.unwrap();
    assert_eq!(known, [true, false]);
    let mut pipe = redis::pipe();
    pipe.mget(&keys).cmd("DBSIZE").get(&keys[7]).del(&keys);
    let (values, size, one, gone): (Vec<usize>, usize, usize, usize) =
        pipe.query_async(&mut pool).await.unwrap();
    assert_eq!((values.len(), size, one, gone), (30, 30, 7, 30));
    let none: Option<String> = redis::cmd("RANDOMKEY")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!(none, None);
}

/// One write to one node instead of two to two.
#[tokio::test]
async fn what_anybody_may_answer_travels_with_the_keys() {
    let (cluster, mut pool) = start(2, 0);
    let [with_key, other] = [0, 1].map(|at| &cluster.masters()[at]);
    for node in [other, with_key] {
        let key = key_on(&cluster, node, "warm");
        let _: () = pool.set(key, 1).await.unwrap();
    }
    let key = key_on(&cluster, with_key, "k");
    for n in 0..10 {
        let mut pipe = redis::pipe();
        pipe.cmd("ECHO").arg(n).set(&key, n).ignore().get(&key);
        let answers: (i32, i32) = pipe.query_async(&mut pool).await.unwrap();
        assert_eq!(answers, (n, n));
    }
    assert_eq!((calls(with_key, "echo"), calls(other, "echo")), (10, 0));
}

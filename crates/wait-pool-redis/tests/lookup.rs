//! Lookups on real servers: positions, types, chunks, deadlines, faults.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{calls, key_on, run, until};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::{AsyncCommands, RedisError};
use testbed::{Cluster, ClusterOptions, Direction, Node, Proxy, Sentinels, Server};
use wait_pool_redis::{Lookup, LookupError, NodeAddr, Pool, RowRead, Slot, cluster, sentinel};

/// Long, since a loaded machine decides no test.
const LONG: Duration = Duration::from_secs(60);

fn start(masters: usize) -> Cluster {
    let options = ClusterOptions::new(masters, 0);
    Cluster::start_with(options.setting("cluster-require-full-coverage", "no")).unwrap()
}

fn pool(cluster: &Cluster) -> cluster::Pool {
    let builder = cluster::Pool::builder(cluster.urls());
    builder.request_timeout(LONG).build().unwrap()
}

fn alone(server: &Server) -> Pool {
    let builder = Pool::builder(server.url());
    builder.request_timeout(LONG).build().unwrap()
}

fn total(cluster: &Cluster, command: &str) -> u64 {
    let each = cluster.masters().iter().map(|node| calls(node, command));
    each.sum()
}

/// Sets `{prefix}{n}` to n.
async fn fill(pool: &cluster::Pool, prefix: &str, count: usize) {
    for from in (0..count).step_by(2_000) {
        let mut write = redis::pipe();
        for n in from..count.min(from + 2_000) {
            write.set(format!("{prefix}{n}"), n).ignore();
        }
        write.query_async::<()>(&mut pool.clone()).await.unwrap();
    }
}

fn is_at(error: &LookupError, node: &Node) -> bool {
    let at = |addr: &NodeAddr| addr.port() == node.port();
    match error {
        LookupError::TimedOut { node, .. }
        | LookupError::NoConnection { node, .. }
        | LookupError::ConnectionLost { node, .. } => node.as_ref().is_some_and(at),
        _ => false,
    }
}

#[tokio::test]
async fn every_position_has_its_own_result() {
    let cluster = start(3);
    let mut pool = pool(&cluster);
    let _: () = pool.set("a", 1).await.unwrap();
    let _: () = pool.set("word", "x").await.unwrap();
    let _: () = pool.lpush("list", 1).await.unwrap();
    let _: () = pool.set("{a}b", 2).await.unwrap();
    let keys = ["a", "none", "list", "a", "word", "{a}b", "none"];
    let result = pool.lookup().keys(keys).get::<i64>().await;
    assert_eq!(result.len(), keys.len());
    let found: Vec<_> = result.found().map(|(at, value)| (at, *value)).collect();
    assert_eq!(found, [(0, 1), (3, 1), (5, 2)]);
    let errors: Vec<_> = result.errors().collect();
    assert!(matches!(
        errors[..],
        [(2, LookupError::WrongType), (4, LookupError::Unfit(_))]
    ));
    assert!(matches!(result.clone().all(), Err(LookupError::WrongType)));
    assert_eq!(result.or_default(), [1, 0, 0, 1, 0, 2, 0]);
}

#[tokio::test]
async fn what_is_asked_for_nothing_sends_nothing() {
    // Nobody listens there.
    let pool = cluster::Pool::builder(["redis://127.0.0.1:1"])
        .build()
        .unwrap();
    let lookup = pool.lookup();
    let none: [&str; 0] = [];
    for lookup in [lookup.clone(), lookup.clone().share_in_flight(true)] {
        let keys = tokio_test::task::spawn(lookup.keys(none).get::<i64>()).poll();
        let fields = lookup.rows(none).fields(["f"]).get::<i64>();
        let fields = tokio_test::task::spawn(fields).poll();
        let rows = lookup.rows(none).get_as::<HashMap<String, i64>>();
        let rows = tokio_test::task::spawn(rows).poll();
        assert!(matches!(keys, Poll::Ready(result) if result.is_empty()));
        assert!(matches!(fields, Poll::Ready(result) if result.is_empty()));
        assert!(matches!(rows, Poll::Ready(result) if result.is_empty()));
    }
    let rows = lookup.rows(["a", "b"]).fields(none).get::<i64>().await;
    assert_eq!(rows.all().unwrap(), [None, None]);
}

#[tokio::test]
async fn rows_are_the_same_however_they_are_read() {
    let server = Server::start().unwrap();
    let mut alone = alone(&server);
    for n in 0..20 {
        let fields = [("a", n), ("b", n + 1), ("c", n + 2)];
        let _: () = alone
            .hset_multiple(format!("row{n}"), &fields)
            .await
            .unwrap();
    }
    let _: () = alone.hset("other", "z", 1).await.unwrap();
    let _: () = alone.set("string", 1).await.unwrap();
    let keys = ["row3", "none", "string", "row3", "other", "row19"];
    let resp3 = Pool::builder(format!("{}?protocol=resp3", server.url()));
    for pool in [alone, resp3.build().unwrap()] {
        let rows = pool.lookup().rows(keys);
        let mut calls_before = calls(&server, "hmget");
        for how in [RowRead::Hmget, RowRead::Hgetall] {
            let fields = ["b", "none", "a", "b"];
            let rows = pool.lookup().rows(keys).fields(fields).read_by(how);
            let values = rows.get::<i64>().await.into_vec();
            let row = |n| Some(vec![Some(n + 1), None, Some(n), Some(n + 1)]);
            assert_eq!(*values[0].as_ref().unwrap(), row(3));
            assert_eq!(*values[1].as_ref().unwrap(), None);
            assert!(matches!(values[2], Err(LookupError::WrongType)));
            assert_eq!(*values[3].as_ref().unwrap(), row(3));
            assert_eq!(*values[4].as_ref().unwrap(), None, "{how:?}");
            assert_eq!(*values[5].as_ref().unwrap(), row(19));
            let rows = pool.lookup().rows(keys).fields(fields).read_by(how);
            let maps = rows.get_as::<HashMap<String, i64>>().await.into_vec();
            let map = HashMap::from([("a".to_owned(), 3), ("b".to_owned(), 4)]);
            assert_eq!(maps[0].as_ref().unwrap().as_ref(), Some(&map));
            assert_eq!(*maps[1].as_ref().unwrap(), None);
            let hmget = calls(&server, "hmget");
            let expected = if how == RowRead::Hmget { 12 } else { 0 };
            assert_eq!(hmget - calls_before, expected, "{how:?}");
            calls_before = hmget;
        }
        let whole = rows.get_as::<HashMap<String, i64>>().await.into_vec();
        assert_eq!(whole[5].as_ref().unwrap().as_ref().unwrap()["c"], 21);
        assert_eq!(*whole[1].as_ref().unwrap(), None);
        assert!(matches!(whole[2], Err(LookupError::WrongType)));
    }
}

#[tokio::test]
async fn a_large_lookup_goes_in_chunks() {
    const KEYS: usize = 100_000;
    let cluster = start(3);
    let pool = pool(&cluster);
    fill(&pool, "k", KEYS).await;
    let before = total(&cluster, "get");
    let keys = (0..KEYS).rev().map(|n| format!("k{n}"));
    let values = pool.lookup().keys(keys).get::<usize>().await.all().unwrap();
    assert!(
        values
            .iter()
            .rev()
            .enumerate()
            .all(|(n, value)| *value == Some(n))
    );
    assert_eq!(total(&cluster, "get") - before, KEYS as u64, "each once");
}

/// Whatever the keys and the bounds are.
#[test]
fn positions_always_match() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (cluster, server) = (start(3), Server::start().unwrap());
    let (many, one) = (pool(&cluster), alone(&server));
    runtime.block_on(async {
        for n in (0..60).step_by(2) {
            for key in [format!("k{n}"), format!("{{t}}{n}")] {
                let _: () = many.clone().set(&key, n).await.unwrap();
                let _: () = redis::cmd("SET")
                    .arg(&key)
                    .arg(n)
                    .query_async(&mut one.clone())
                    .await
                    .unwrap();
            }
        }
    });
    let keys = prop::collection::vec((0_u32..60, any::<bool>()), 0..120);
    let limits = (0_usize..9, prop_oneof![0_usize..200, Just(1 << 20)]);
    let mut runner = TestRunner::new(Config::with_cases(64));
    let outcome = runner.run(&(keys, limits), |(keys, (commands, bytes))| {
        let expected: Vec<_> = keys
            .iter()
            .map(|(n, _)| (n % 2 == 0).then_some(*n))
            .collect();
        let keys = keys.into_iter().map(|(n, tag)| match tag {
            true => format!("{{t}}{n}"),
            false => format!("k{n}"),
        });
        let keys: Vec<String> = keys.collect();
        for lookup in [many.lookup(), one.lookup()] {
            let lookup = lookup.chunk_commands(commands).chunk_bytes(bytes);
            let values = runtime.block_on(lookup.keys(&keys).get::<u32>()).all();
            prop_assert_eq!(values.unwrap(), expected.clone());
        }
        Ok(())
    });
    outcome.unwrap();
}

/// The positions of the other nodes are there at the deadline, and what was not sent by then is never sent.
#[tokio::test]
async fn at_the_deadline_a_lookup_ends_with_what_it_has() {
    let cluster = start(3);
    let pool = pool(&cluster);
    fill(&pool, "key", 300).await;
    let sick = &cluster.masters()[0];
    let keys: Vec<String> = (0..300).map(|n| format!("key{n}")).collect();
    let own: Vec<bool> = keys
        .iter()
        .map(|key| {
            let owner = cluster.slot_owner(Slot::of(key.as_bytes()).number());
            owner.unwrap().port() == sick.port()
        })
        .collect();
    assert!(own.iter().filter(|own| **own).count() > 50);
    // A command has 27 bytes at most, and 50 as they are counted.
    let chunks = [
        (pool.lookup().chunk_commands(10), 10..=10),
        (pool.lookup().chunk_bytes(500), 8..=18),
    ];
    for (lookup, chunk) in chunks {
        lookup.keys(&keys).get::<usize>().await.all().unwrap();
        let before = calls(sick, "get");
        let limit = Duration::from_secs(2);
        sick.stop();
        let begun = Instant::now();
        let result = lookup.clone().timeout(limit).keys(&keys).get().await;
        let took = begun.elapsed();
        sick.cont();
        assert!(took >= limit, "{took:?}");
        for (position, result) in result.iter().enumerate() {
            match result {
                Ok(value) => assert_eq!((*value, own[position]), (Some(position), false)),
                Err(error) => {
                    assert!(own[position], "{error:?}");
                    assert!(error.is_timeout() && is_at(error, sick), "{error:?}");
                }
            }
        }
        until("the first chunk", || calls(sick, "get") > before).await;
        // Behind whatever else may have been sent.
        let _: () = pool
            .clone()
            .set(key_on(&cluster, sick, "s"), 1)
            .await
            .unwrap();
        let sent = calls(sick, "get") - before;
        assert!(chunk.contains(&sent), "{sent}");
        // A deadline that has passed sends nothing to anybody.
        let before = total(&cluster, "get");
        let late = lookup
            .deadline(Instant::now())
            .keys(&keys)
            .get::<usize>()
            .await;
        assert_eq!(
            late.errors()
                .filter(|(_, error)| error.is_timeout())
                .count(),
            300
        );
        assert_eq!(total(&cluster, "get"), before);
    }
}

/// Hangs up on all who call, and counts them.
fn refuse_everybody(port: u16) -> Arc<AtomicUsize> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    attempts
}

#[tokio::test]
async fn a_node_that_is_gone_costs_its_own_positions_only() {
    let cluster = start(3);
    let pool = pool(&cluster);
    fill(&pool, "k", 300).await;
    let gone = &cluster.masters()[1];
    let keys: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    let slots = keys.iter().map(|key| Slot::of(key.as_bytes()).number());
    let owners = slots.map(|slot| cluster.slot_owner(slot).unwrap().port());
    let owners: Vec<u16> = owners.collect();
    gone.kill().unwrap();
    let attempts = refuse_everybody(gone.port());
    let lookup = pool.lookup().chunk_commands(1);
    let result = lookup.timeout(None).keys(&keys).get::<usize>().await;
    let attempts = attempts.load(Ordering::Relaxed);
    assert!((1..50).contains(&attempts), "{attempts} for its 100 chunks");
    for (position, result) in result.iter().enumerate() {
        match result {
            Ok(value) => {
                assert_eq!(*value, Some(position));
                assert_ne!(owners[position], gone.port());
            }
            Err(error) => {
                assert_eq!(owners[position], gone.port());
                assert!(is_at(error, gone) && !error.is_timeout(), "{error:?}");
                assert!(RedisError::from(error.clone()).is_io_error());
            }
        }
    }
    assert!(!result.is_complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_meanwhile_loses_no_position() {
    let cluster = start(3);
    let pool = pool(&cluster);
    fill(&pool, "k", 3_000).await;
    let [from, to, ..] = cluster.masters() else {
        panic!("three masters")
    };
    let keys: Vec<String> = (0..3_000).map(|n| format!("k{n}")).collect();
    let lookup = pool.lookup().chunk_commands(7);
    lookup.keys(["k0"]).get::<usize>().await.all().unwrap();
    let ids: (String, String) = (run(from, "CLUSTER MYID"), run(to, "CLUSTER MYID"));
    let is_own = |key: &&String| {
        let slot = Slot::of(key.as_bytes()).number();
        cluster.slot_owner(slot).unwrap().port() == from.port()
    };
    let moving: Vec<&String> = keys.iter().filter(is_own).take(20).collect();
    let reader = tokio::spawn({
        let keys = keys.clone();
        async move {
            for _ in 0..5 {
                let values = lookup.keys(&keys).get::<usize>().await.all().unwrap();
                assert!(
                    values
                        .iter()
                        .enumerate()
                        .all(|(n, value)| *value == Some(n))
                );
            }
        }
    });
    tokio::task::block_in_place(|| {
        for key in moving {
            let slot = Slot::of(key.as_bytes()).number();
            run::<()>(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids.0));
            run::<()>(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids.1));
            let there: Vec<String> = run(from, &format!("CLUSTER GETKEYSINSLOT {slot} 1000"));
            for key in there {
                let port = to.port();
                run::<String>(from, &format!("MIGRATE 127.0.0.1 {port} {key} 0 1000"));
            }
            for node in [to, from] {
                run::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {}", ids.1));
            }
        }
    });
    reader.await.unwrap();
    let values = pool
        .lookup()
        .keys(&keys)
        .get::<usize>()
        .await
        .all()
        .unwrap();
    assert!(
        values
            .iter()
            .enumerate()
            .all(|(n, value)| *value == Some(n))
    );
    let redirected = |code| {
        let errors: String = run(from, "INFO errorstats");
        errors.contains(&format!("errorstat_{code}:"))
    };
    assert!(redirected("MOVED") || redirected("ASK"));
}

#[tokio::test]
async fn what_sentinels_watch_is_read_as_well() {
    let all = Sentinels::start("features").unwrap();
    let pool = sentinel::Pool::builder(all.urls(), "features");
    let pool = pool.request_timeout(LONG).build().unwrap();
    let mut write = redis::pipe();
    write.set("a", 1).ignore().hset("row", "f", 2).ignore();
    write.exec_async(&mut pool.clone()).await.unwrap();
    let lookup = pool.lookup().chunk_commands(1);
    let values = lookup.keys(["b", "a", "b", "a"]).get::<i64>().await;
    assert_eq!(values.all().unwrap(), [None, Some(1), None, Some(1)]);
    let rows = lookup
        .rows(["row", "b"])
        .fields(["f", "g"])
        .get::<i64>()
        .await;
    assert_eq!(rows.all().unwrap(), [Some(vec![Some(2), None]), None]);
}

#[tokio::test]
async fn a_closed_pool_says_so_at_each_position() {
    let cluster = start(1);
    let pool = pool(&cluster);
    pool.close();
    let result = pool.lookup().keys(["a", "b"]).get::<i64>().await;
    let client = |error: &LookupError| matches!(error, LookupError::Client(_));
    assert!(result.errors().all(|(_, error)| client(error)));
    assert_eq!(result.errors().count(), 2);
}

/// A server behind a proxy, and a lookup through it that shares its reads.
fn behind_a_proxy() -> (Server, Proxy, Lookup) {
    let server = Server::start().unwrap();
    let proxy = Proxy::start(server.addr().parse().unwrap()).unwrap();
    let pool = Pool::builder(proxy.url())
        .request_timeout(LONG)
        .build()
        .unwrap();
    (server, proxy, pool.lookup().share_in_flight(true))
}

/// What a caller has written himself he also reads, though somebody else's read is under way.
#[tokio::test]
async fn a_read_that_is_under_way_is_not_joined() {
    let (server, proxy, lookup) = behind_a_proxy();
    run::<()>(&server, "SET k old");
    let read = || {
        let lookup = lookup.clone();
        tokio::spawn(async move { lookup.keys(["k"]).get::<String>().await.all().unwrap() })
    };
    assert_eq!(read().await.unwrap(), [Some("old".to_owned())]);
    let before = calls(&server, "get");
    proxy.hold(Direction::ToClient);
    let first = read();
    until("the first read", || calls(&server, "get") > before).await;
    run::<()>(&server, "SET k new");
    let others: Vec<_> = (0..50).map(|_| read()).collect();
    // They are all asked for by the time that the first has its answer.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    proxy.release();
    assert_eq!(first.await.unwrap(), [Some("old".to_owned())]);
    for other in others {
        assert_eq!(other.await.unwrap(), [Some("new".to_owned())]);
    }
    assert_eq!(
        calls(&server, "get") - before,
        2,
        "one for the first, one for all others"
    );
}

#[tokio::test]
async fn who_leaves_takes_no_shared_read_with_him() {
    let (server, proxy, lookup) = behind_a_proxy();
    run::<()>(&server, "SET k 7");
    lookup.keys(["k"]).get::<i64>().await.all().unwrap();
    let before = calls(&server, "get");
    let ask = || tokio_test::task::spawn(lookup.keys(["k", "k"]).get::<i64>());
    let seven = [Some(7), Some(7)];

    // Before it is sent: the one who asked first is gone, the other has the answer.
    let (mut first, mut second) = (ask(), ask());
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(first);
    assert_eq!(second.await.all().unwrap(), seven);
    assert_eq!(calls(&server, "get") - before, 1);

    // While it is under way: those who came since have the next.
    proxy.hold(Direction::ToClient);
    let mut first = ask();
    assert!(first.poll().is_pending());
    until("the read", || calls(&server, "get") - before == 2).await;
    let (mut second, mut third) = (ask(), ask());
    assert!(second.poll().is_pending() && third.poll().is_pending());
    drop((first, second));
    // Nobody waits for the one under way any more, so the next does not wait for it either.
    until("the next", || calls(&server, "get") - before == 3).await;
    proxy.release();
    assert_eq!(third.await.all().unwrap(), seven);

    // All of them: nothing is left that would hold up or serve those who come later.
    proxy.hold(Direction::ToClient);
    let (mut first, mut second) = (ask(), ask());
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop((first, second));
    proxy.release();
    assert_eq!(ask().await.all().unwrap(), seven);
    assert!(format!("{lookup:?}").contains("claimed: 0"), "{lookup:?}");
}

/// Each caller's own deadline ends his own wait, and a read goes on for as long as one of them waits.
#[tokio::test]
async fn a_shared_read_lasts_as_long_as_the_most_patient_caller() {
    let server = Server::start().unwrap();
    let lookup = alone(&server).lookup().share_in_flight(true);
    run::<()>(&server, "SET k 7");
    lookup.keys(["k"]).get::<i64>().await.all().unwrap();
    server.stop();
    let hasty = lookup.clone().timeout(Duration::from_millis(50));
    let (mut hasty, mut patient) = (
        tokio_test::task::spawn(hasty.keys(["k"]).get::<i64>()),
        tokio_test::task::spawn(lookup.keys(["k"]).get::<i64>()),
    );
    assert!(hasty.poll().is_pending() && patient.poll().is_pending());
    let hasty = hasty.await;
    assert!(
        hasty
            .errors()
            .any(|(_, error)| error.is_timeout() && is_at(error, &server))
    );
    server.cont();
    assert_eq!(patient.await.all().unwrap(), [Some(7)]);
}

/// A crowd that wants the same few keys again and again, in lookups of many chunks over all nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_shares_its_reads_and_everybody_has_his_own_positions() {
    let cluster = start(3);
    let pool = pool(&cluster);
    fill(&pool, "k", 40).await;
    let before = total(&cluster, "get");
    let lookup = pool.lookup().share_in_flight(true).chunk_commands(3);
    let crowd: Vec<_> = (0..100)
        .map(|task| {
            let lookup = lookup.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let wanted: Vec<usize> = (0..30).map(|n| (n * 7 + task + round) % 40).collect();
                    let keys = wanted.iter().map(|n| format!("k{n}"));
                    let values = lookup.keys(keys).get::<usize>().await.all().unwrap();
                    assert!(
                        values
                            .iter()
                            .zip(&wanted)
                            .all(|(value, n)| *value == Some(*n))
                    );
                }
            })
        })
        .collect();
    for member in crowd {
        member.await.unwrap();
    }
    let sent = total(&cluster, "get") - before;
    assert!(sent < 100 * 20 * 30 / 2, "{sent} of 60,000 were sent");
    assert!(format!("{lookup:?}").contains("claimed: 0"), "{lookup:?}");
}

/// The task that reads for all ends with the runtime of the one who came first.
#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let server = Server::start().unwrap();
    run::<()>(&server, "SET k 7");
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let (one, other) = (runtime(), runtime());
    let lookup = alone(&server).lookup().share_in_flight(true);
    let read = {
        let lookup = lookup.clone();
        move || async move { lookup.keys(["k"]).get::<i64>().await.all() }
    };
    // The connection belongs to the runtime that stays.
    assert_eq!(other.block_on(read.clone()()).unwrap(), [Some(7)]);
    server.stop();
    let first = one.spawn(read.clone()());
    while !format!("{lookup:?}").contains("claimed: 1") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut second = tokio_test::task::spawn(read());
    let inside = other.enter();
    assert!(second.poll().is_pending());
    drop(inside);
    drop(one);
    server.cont();
    drop(first);
    assert_eq!(other.block_on(second).unwrap(), [Some(7)]);
}

#[tokio::test]
async fn a_shared_read_that_fails_says_so_to_all() {
    let cluster = start(2);
    let pool = pool(&cluster);
    let gone = &cluster.masters()[1];
    let (there, lost) = (
        key_on(&cluster, &cluster.masters()[0], "a"),
        key_on(&cluster, gone, "b"),
    );
    let _: () = pool.clone().set(&there, 1).await.unwrap();
    gone.kill().unwrap();
    let lookup = pool.lookup().share_in_flight(true).chunk_commands(1);
    let keys = [&lost, &there, &lost];
    let (one, two) = tokio::join!(
        lookup.keys(keys).get::<i64>(),
        lookup.keys(keys).get::<i64>()
    );
    for result in [one, two] {
        let errors: Vec<_> = result.errors().collect();
        assert!(
            matches!(errors[..], [(0, a), (2, b)] if is_at(a, gone) && is_at(b, gone)),
            "{errors:?}"
        );
        assert_eq!(result.or_default(), [0, 1, 0]);
    }
    pool.close();
    let closed = lookup.keys(keys).get::<i64>().await;
    assert!(
        closed
            .errors()
            .all(|(_, error)| matches!(error, LookupError::Client(_)))
    );
    assert_eq!(closed.errors().count(), 3);
}

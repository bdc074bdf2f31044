//! Connections of one's own, on one server and in a cluster: who holds them, what is locked on them,
//! and what the next user finds.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::moving::move_slot;
use common::{calls, clients, key_on, run, until};
use redis::aio::{ConnectionLike, MultiplexedConnection, transaction_async};
use redis::{AsyncCommands, Cmd, RedisResult, Value};
use testbed::{Cluster, Server};
use wait_pool_redis::{Builder, Connection, NodeAddr, Pool, Slot, cluster};

fn pool(server: &Server, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    set(Pool::builder(server.url())).build().unwrap()
}

fn start(masters: usize) -> (Cluster, cluster::Pool) {
    let cluster = Cluster::start(masters, 0).unwrap();
    let pool = cluster::Pool::builder(cluster.urls())
        .max_connections_per_node(2)
        .build()
        .unwrap();
    (cluster, pool)
}

fn words(words: &str) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg(words.split(' ').collect::<Vec<_>>());
    cmd
}

/// Runs one command, also if the answer is an error.
async fn ask(own: &mut Connection, command: &str) -> Value {
    let answer = own.req_packed_command(&words(command)).await;
    answer.unwrap()
}

/// The server's number for a connection.
async fn id(own: &mut Connection) -> u64 {
    words("CLIENT ID").query_async(own).await.unwrap()
}

fn addr(node: &testbed::Node) -> NodeAddr {
    NodeAddr::new("127.0.0.1", node.port())
}

#[tokio::test]
async fn clones_share_one_connection_and_the_last_gives_it_back() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut one = pool.get().await.unwrap();
    let mut other = one.clone();
    let (mine, its) = tokio::join!(id(&mut one), id(&mut other));
    assert_eq!(mine, its);
    drop(one);
    assert_eq!(pool.status().in_use, 1);
    assert_eq!(id(&mut other).await, mine);
    drop(other);
    assert_eq!((pool.status().in_use, pool.status().idle), (0, 1));
    assert_eq!(id(&mut pool.get().await.unwrap()).await, mine);
}

#[tokio::test]
async fn requests_of_clones_run_at_once_on_the_connection() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let own = pool.get().await.unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for n in 0..50 {
        let mut own = own.clone();
        crowd.spawn(async move {
            for round in 0..20 {
                let said: String = words(&format!("ECHO {n}:{round}"))
                    .query_async(&mut own)
                    .await
                    .unwrap();
                assert_eq!(said, format!("{n}:{round}"));
            }
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    drop(own);
    assert_eq!((pool.status().in_use, pool.status().idle), (0, 1));
    assert_eq!(clients(&server).len(), 1);
}

#[tokio::test]
async fn a_taken_connection_is_shared_by_the_clones_that_are_left() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut one = pool.get().await.unwrap();
    let mut other = one.clone();
    let mine = id(&mut one).await;
    let mut taken: MultiplexedConnection = Connection::take(one);
    assert_eq!(pool.status().size, 0, "its place is free");
    assert_eq!(id(&mut other).await, mine);
    let its: u64 = words("CLIENT ID").query_async(&mut taken).await.unwrap();
    assert_eq!(its, mine);
    let mut second = Connection::take(other.clone());
    drop(other);
    let its: u64 = words("CLIENT ID").query_async(&mut second).await.unwrap();
    assert_eq!(its, mine, "taking it twice gives the same");
    assert_ne!(id(&mut pool.get().await.unwrap()).await, mine);
}

/// Reads, lets somebody else write in between for the first `disturbed` times, and writes.
/// Answers with how often the closure ran, and with the final value.
async fn increment<C: ConnectionLike + Clone + Send + Sync>(
    own: C,
    other: impl AsyncCommands + Clone,
    disturbed: u32,
) -> RedisResult<(u32, i64)> {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let (value,): (i64,) = transaction_async(own, &["{n}"], move |mut own, mut pipe| {
        let mut other = other.clone();
        let run = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let value: i64 = own.get("{n}").await?;
            if run < disturbed {
                let _: () = other.incr("{n}", 100).await?;
            }
            pipe.set("{n}", value + 1)
                .ignore()
                .get("{n}")
                .query_async(&mut own)
                .await
        }
    })
    .await?;
    Ok((runs.load(Ordering::Relaxed), value))
}

/// What `transaction_async` does through clones of its handle locks, on one connection: it fails and
/// is run again for as long as others write in between.
#[tokio::test]
async fn an_optimistic_lock_really_fails_while_others_write() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(2));
    let _: () = pool.set("{n}", 1).await.unwrap();
    let own = pool.get().await.unwrap();
    let done = increment(own, pool.clone(), 2).await.unwrap();
    assert_eq!(done, (3, 202));
    assert_eq!(calls(&server, "exec"), 3);
    assert_eq!(calls(&server, "watch"), 3);
}

#[tokio::test]
async fn an_optimistic_lock_really_fails_on_a_cluster_too() {
    let (cluster, mut pool) = start(3);
    let _: () = pool.set("{n}", 1).await.unwrap();
    let own = pool.pin("{n}").await.unwrap();
    let done = increment(own, pool.clone(), 2).await.unwrap();
    assert_eq!(done, (3, 202));
    let owner = cluster.slot_owner(Slot::of(b"n").number()).unwrap();
    assert_eq!(calls(owner, "exec"), 3);
    for node in cluster.masters() {
        let expected = if node.port() == owner.port() { 3 } else { 0 };
        assert_eq!(calls(node, "watch"), expected);
    }
}

/// Nothing is lost by twenty that increment one number at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_optimistic_locks_loses_no_write_and_no_connection() {
    let (cluster, mut pool) = start(3);
    let _: () = pool.set("{n}", 0).await.unwrap();
    let owner = cluster.slot_owner(Slot::of(b"n").number()).unwrap();
    let before = clients(owner);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        crowd.spawn(async move {
            for _ in 0..5 {
                let own = pool.pin("{n}").await.unwrap();
                increment(own, pool.clone(), 0).await.unwrap();
            }
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    assert_eq!(pool.handle().get::<_, i64>("{n}").await.unwrap(), 100);
    let after = clients(owner);
    assert!(after.len() <= 2, "the bound of this node");
    assert!(
        before.iter().all(|id| after.contains(id)),
        "and all were kept"
    );
}

/// On a shared handle each command may have another connection: the lock would be void.
#[tokio::test]
async fn an_optimistic_lock_on_a_shared_handle_is_refused_and_told_where_to_go() {
    let server = Server::start().unwrap();
    let alone = pool(&server, |builder| builder);
    let refused = increment(alone.clone(), alone, 0).await.unwrap_err();
    assert!(refused.to_string().contains("Pool::get()"), "{refused}");
    assert!(refused.to_string().contains("WATCH"), "{refused}");
    assert_eq!(calls(&server, "watch"), 0);

    let (cluster, pool) = start(3);
    let refused = increment(pool.clone(), pool, 0).await.unwrap_err();
    assert!(
        refused.to_string().contains("cluster::Pool::pin(key)"),
        "{refused}"
    );
    for node in cluster.masters() {
        assert_eq!(calls(node, "watch"), 0);
    }
}

/// G12, with the server's own numbers as the witness: what has left nothing behind is used again, and what
/// may have is replaced.
#[tokio::test]
async fn a_connection_is_used_again_exactly_if_nothing_is_left_on_it() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    for (commands, kept) in [
        (&["SET a 1"][..], true),
        (&["WATCH a", "MULTI", "INCR a", "EXEC"], true),
        (&["WATCH a", "MULTI", "INCR a", "DISCARD"], true),
        (&["WATCH a", "UNWATCH"], true),
        (&["MULTI", "NOSUCHCOMMAND", "EXEC"], true),
        (&["MULTI", "LPUSH a 1", "EXEC"], true),
        (&["EXEC"], true),
        (&["MULTI", "MULTI", "EXEC"], true),
        (&["SELECT 3", "SELECT 0"], true),
        (&["SELECT 99"], true),
        (&["EVAL return(redis.call('SELECT','3')) 0"], true),
        (&["WATCH a"], false),
        (&["MULTI"], false),
        (&["MULTI", "INCR a"], false),
        (&["MULTI", "UNWATCH"], false),
        (&["WATCH a", "EXEC"], false),
        (&["SELECT 3"], false),
        (&["MULTI", "SELECT 3", "EXEC"], false),
        (&["CLIENT NO-TOUCH ON"], false),
        (&["CLIENT SETNAME x"], false),
        (&["RESET"], false),
        (&["ASKING"], false),
        (&["READONLY"], false),
    ] {
        let mut own = pool.get().await.unwrap();
        let before = id(&mut own).await;
        for command in commands {
            ask(&mut own, command).await;
        }
        drop(own);
        let mut own = pool.get().await.unwrap();
        let same = id(&mut own).await == before;
        assert_eq!(same, kept, "{commands:?}");
        // As new: no database but the first, no transaction (flags), the pool's name, nothing watched.
        let info: String = words("CLIENT INFO").query_async(&mut own).await.unwrap();
        for fresh in [" db=0 ", " flags=N ", " name=redis "] {
            assert!(info.contains(fresh), "{commands:?}: {info}");
        }
        let version = if info.contains(" watch=") {
            " watch=0 "
        } else {
            ""
        };
        assert!(info.contains(version), "{commands:?}: {info}");
    }
}

#[tokio::test]
async fn atomic_pipelines_leave_nothing_behind_whatever_comes_of_them() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(2));
    let mut own = pool.get().await.unwrap();
    let before = id(&mut own).await;
    drop(own);
    for disturbed in [false, true] {
        let mut own = pool.get().await.unwrap();
        ask(&mut own, "WATCH a").await;
        if disturbed {
            let _: () = pool.set("a", "b").await.unwrap();
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic().set("a", 1);
        let done: Option<()> = pipeline.query_async(&mut own).await.unwrap();
        assert_eq!(done.is_none(), disturbed);
        drop(own);
    }
    // One that is refused as a whole.
    let mut own = pool.get().await.unwrap();
    ask(&mut own, "WATCH a").await;
    let mut pipeline = redis::pipe();
    pipeline.atomic().set("a", 1).cmd("GET");
    assert!(pipeline.query_async::<()>(&mut own).await.is_err());
    drop(own);
    assert_eq!(id(&mut pool.get().await.unwrap()).await, before);
    // One that changes the connection from within.
    let mut own = pool.get().await.unwrap();
    let mut pipeline = redis::pipe();
    pipeline.atomic().cmd("SELECT").arg(3);
    pipeline.query_async::<()>(&mut own).await.unwrap();
    drop(own);
    let mut own = pool.get().await.unwrap();
    assert_ne!(id(&mut own).await, before);
    assert_eq!(own.get_db(), 0);
}

/// However a user ends, the next one finds nothing of his.
#[tokio::test]
async fn whatever_way_a_user_ends_the_next_finds_nothing_of_his() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut before = 0;
    for exit in ["return", "error", "panic", "abort", "drop"] {
        let user = {
            let pool = pool.clone();
            async move {
                let mut own = pool.get().await?;
                if exit != "drop" {
                    ask(&mut own, "SELECT 3").await;
                    ask(&mut own, "WATCH a").await;
                    ask(&mut own, "MULTI").await;
                }
                match exit {
                    "error" => Err((redis::ErrorKind::Client, "no").into()),
                    "panic" => panic!("on purpose"),
                    "abort" => std::future::pending().await,
                    "drop" => {
                        // It is sent, and dropped before the answer.
                        let mut other = own.clone();
                        let mut late =
                            tokio_test::task::spawn(async move { ask(&mut other, "GET a").await });
                        assert!(late.poll().is_pending());
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
        };
        let task: tokio::task::JoinHandle<RedisResult<()>> = tokio::spawn(user);
        if exit == "abort" {
            until("the user is in the transaction", || {
                calls(&server, "multi") >= 4
            })
            .await;
            task.abort();
        }
        let ended = task.await;
        assert_eq!(ended.is_err(), exit == "panic" || exit == "abort", "{exit}");
        assert_eq!(pool.status().in_use, 0, "{exit}");
        let mut own = pool.get().await.unwrap();
        let now = id(&mut own).await;
        assert_ne!(now, before, "{exit}");
        before = now;
        let info: String = words("CLIENT INFO").query_async(&mut own).await.unwrap();
        for fresh in [" db=0 ", " multi=-1 "] {
            assert!(info.contains(fresh), "{exit}: {info}");
        }
    }
    assert_eq!(clients(&server).len(), 1);
}

/// The leak of an answer, on a connection that goes back: a request that was dropped in the middle.
#[tokio::test]
async fn a_connection_with_an_answer_under_way_is_replaced() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut own = pool.get().await.unwrap();
    let before = id(&mut own).await;
    let mut kept = own.clone();
    {
        let stray = words("ECHO stray");
        let mut late = tokio_test::task::spawn(own.req_packed_command(&stray));
        assert!(late.poll().is_pending());
    }
    // For its own user it goes on: answers are matched to requests.
    let said: String = words("ECHO mine").query_async(&mut kept).await.unwrap();
    assert_eq!(said, "mine");
    drop((own, kept));
    let mut next = pool.get().await.unwrap();
    assert_ne!(id(&mut next).await, before);
}

#[tokio::test]
async fn a_connection_that_was_reached_is_replaced() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let by: [fn(&mut Connection) -> MultiplexedConnection; 4] = [
        |own| (**own).clone(),
        |own| DerefMut::deref_mut(own).clone(),
        |own| AsRef::<MultiplexedConnection>::as_ref(own).clone(),
        |own| AsMut::<MultiplexedConnection>::as_mut(own).clone(),
    ];
    for reach in by {
        let mut own = pool.get().await.unwrap();
        let before = id(&mut own).await;
        let mut kept = reach(&mut own);
        drop(own);
        let mut next = pool.get().await.unwrap();
        assert_ne!(id(&mut next).await, before);
        let still: u64 = words("CLIENT ID").query_async(&mut kept).await.unwrap();
        assert_eq!(still, before);
    }
}

#[tokio::test]
async fn a_connection_is_pinned_to_the_owner_of_the_key() {
    let (cluster, pool) = start(3);
    for node in cluster.masters() {
        let key = key_on(&cluster, node, "k");
        let mut own = pool.pin(&key).await.unwrap();
        let _: () = own.set(&key, 1).await.unwrap();
        assert!(clients(node).contains(&id(&mut own).await));
        let mut own = pool.pin_node(&addr(node)).await.unwrap();
        assert_eq!(own.get::<_, i32>(&key).await.unwrap(), 1);
    }
    let unknown = pool
        .pin_node(&NodeAddr::new("127.0.0.1", 1))
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("127.0.0.1:1"), "{unknown}");
    assert_eq!(pool.status_by_node().len(), 3, "no pool was made for it");
}

/// What the pool does not know is looked up once more before it is refused.
#[tokio::test]
async fn a_node_that_has_come_since_is_found() {
    let (mut cluster, mut pool) = start(1);
    let _: () = pool.set("a", 1).await.unwrap();
    let index = cluster.add_node().unwrap();
    let newcomer = &cluster.nodes()[index];
    let mut own = pool.pin_node(&addr(newcomer)).await.unwrap();
    assert!(clients(newcomer).contains(&id(&mut own).await));
}

/// The pinned user is told `MOVED`, and all others of the pool go the new way at once.
#[tokio::test]
async fn moved_is_told_to_the_pinned_user_and_the_next_pin_goes_to_the_new_owner() {
    let (cluster, pool) = start(3);
    let mut own = pool.pin("{n}").await.unwrap();
    let _: () = own.set("{n}", 1).await.unwrap();
    let new_owner = &cluster.masters()[move_slot(&cluster, "n")];
    let moved = own.get::<_, i32>("{n}").await.unwrap_err();
    assert_eq!(moved.code(), Some("MOVED"), "{moved}");
    let lookups = calls(new_owner, "cluster|shards");
    let mut next = pool.pin("{n}").await.unwrap();
    assert_eq!(next.get::<_, i32>("{n}").await.unwrap(), 1);
    assert!(clients(new_owner).contains(&id(&mut next).await));
    until("the topology is looked up", || {
        let now: u64 = cluster
            .masters()
            .iter()
            .map(|node| calls(node, "cluster|shards"))
            .sum();
        now > lookups
    })
    .await;
}

/// A transaction too: it is refused as a whole, and on the new owner it goes through.
#[tokio::test]
async fn a_lock_whose_slot_has_moved_fails_and_holds_at_the_new_owner() {
    let (cluster, mut pool) = start(3);
    let _: () = pool.set("{n}", 1).await.unwrap();
    let own = pool.pin("{n}").await.unwrap();
    move_slot(&cluster, "n");
    let moved = increment(own, pool.clone(), 0).await.unwrap_err();
    assert_eq!(moved.code(), Some("MOVED"), "{moved}");
    let own = pool.pin("{n}").await.unwrap();
    assert_eq!(increment(own, pool.clone(), 1).await.unwrap(), (2, 102));
}

#[tokio::test]
async fn who_waits_for_a_pinned_connection_waits_in_line_and_is_told_why() {
    let cluster = Cluster::start(1, 0).unwrap();
    let limit = Duration::from_millis(200);
    let pool = cluster::Pool::builder(cluster.urls())
        .max_connections_per_node(1)
        .request_timeout(limit)
        .build()
        .unwrap();
    let held = pool.pin("a").await.unwrap();
    let refused = pool.pin("b").await.unwrap_err();
    assert!(refused.is_timeout(), "{refused}");
    assert!(refused.to_string().contains("1 in use"), "{refused}");
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.pin("b").await }
    });
    until("it stands in line", || {
        pool.status_by_node()[0].1.waiting == 1
    })
    .await;
    drop(held);
    drop(waiting.await.unwrap().unwrap());
    pool.close();
    let closed = pool.pin("a").await.unwrap_err();
    assert!(closed.to_string().contains("closed"), "{closed}");
}

/// What one user sets on a pinned connection stays with him.
#[tokio::test]
async fn a_pinned_connection_is_cleaned_or_replaced_as_any() {
    let (cluster, pool) = start(1);
    let node = &cluster.masters()[0];
    let mut own = pool.pin("a").await.unwrap();
    let before = id(&mut own).await;
    ask(&mut own, "WATCH a").await;
    ask(&mut own, "UNWATCH").await;
    drop(own);
    let mut own = pool.pin("a").await.unwrap();
    assert_eq!(id(&mut own).await, before);
    ask(&mut own, "READONLY").await;
    drop(own);
    assert_ne!(id(&mut pool.pin("a").await.unwrap()).await, before);
    until("it is closed", || !clients(node).contains(&before)).await;
    run::<()>(node, "PING");
}

//! The pool for a master that sentinels watch, on real ones, with real failovers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{calls, run, until};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, ErrorKind, RedisResult};
use testbed::{Node, Sentinels};
use wait_pool_redis::{Builder, ReadFrom, sentinel};

const NAME: &str = "features";

fn builder(all: &Sentinels) -> Builder<sentinel::Pool> {
    sentinel::Pool::builder(all.urls(), NAME).name("app")
}

async fn write(connection: &mut impl ConnectionLike, key: &str, value: u32) -> RedisResult<()> {
    let set = redis::cmd("SET").arg(key).arg(value).take();
    set.exec_async(connection).await
}

async fn read(connection: &mut impl ConnectionLike, key: &str) -> RedisResult<Option<u32>> {
    redis::cmd("GET").arg(key).query_async(connection).await
}

/// What `CLIENT LIST` tells of the pool's connections at a server or a sentinel, the one that listens included.
fn connections(node: &Node) -> Vec<HashMap<String, String>> {
    let list: String = run(node, "CLIENT LIST");
    let field = |field: &str| {
        let (name, value) = field.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    list.lines()
        .map(|line| line.split(' ').filter_map(field).collect())
        .filter(|client: &HashMap<String, String>| client["name"].starts_with("app"))
        .collect()
}

fn named(node: &Node) -> Vec<String> {
    let names = connections(node).into_iter();
    names
        .filter_map(|mut client| client.remove("name"))
        .collect()
}

/// Whether a sentinel is listened to.
fn tells(node: &Node) -> bool {
    named(node).iter().any(|name| name == "app:failover")
}

fn is_master(pool: &sentinel::Pool, node: &Node) -> bool {
    pool.master()
        .is_some_and(|master| master.port() == node.port())
}

/// Tries until it works: while there is no master it cannot.
async fn write_at_last(pool: &mut sentinel::Pool, key: &str, value: u32) {
    let mut last = Ok(());
    for _ in 0..400 {
        last = write(pool, key, value).await;
        if last.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never written: {last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_to_the_master_and_reads_to_replicas_if_wanted() {
    let all = Sentinels::start(NAME).unwrap();
    let mut pool = builder(&all).servers("redis://any/3").build().unwrap();
    assert_eq!(pool.master(), None);
    write(&mut pool, "a", 1).await.unwrap();
    let master = all.master().unwrap();
    assert!(is_master(&pool, master));
    let mut pipeline = redis::pipe();
    pipeline.get("a").incr("a", 1);
    let both: (u32, u32) = pipeline.query_async(&mut pool).await.unwrap();
    assert_eq!(both, (1, 2));
    let value: u32 = pool.handle().get("a").await.unwrap();
    assert_eq!((value, pool.get_db()), (2, 3));

    let mut own = pool.get().await.unwrap();
    let _: () = redis::cmd("WATCH")
        .arg("a")
        .query_async(&mut own)
        .await
        .unwrap();
    let (value,): (u32,) = redis::pipe()
        .atomic()
        .incr("a", 1)
        .query_async(&mut own)
        .await
        .unwrap();
    assert_eq!(value, 3);
    drop(own);
    let list = connections(master);
    let pools = list.iter().filter(|client| client["name"] == "app");
    assert!(
        pools.clone().count() > 0 && pools.clone().all(|client| client["db"] == "3"),
        "{list:?}"
    );

    // One connection to one sentinel listens, and nothing else is open.
    let listening = || all.sentinels().iter().flat_map(named).collect::<Vec<_>>();
    until("one that listens", || listening() == ["app:failover"]).await;

    let mut reader = builder(&all)
        .servers("redis://any/3")
        .read_from(ReadFrom::PreferReplica);
    reader = reader.name("app-reader");
    let mut reader = reader.build().unwrap();
    let follows = |node: &&Node| node.port() != master.port();
    let replicas: Vec<&Node> = all.servers().iter().filter(follows).collect();
    assert_eq!(replicas.len(), 2);
    let replicated = |node: &&Node| {
        let mut connection = node.connection().unwrap();
        redis::cmd("SELECT").arg(3).exec(&mut connection).unwrap();
        redis::cmd("GET")
            .arg("a")
            .query::<Option<u32>>(&mut connection)
            .unwrap()
            == Some(3)
    };
    until("replication", || replicas.iter().all(replicated)).await;
    let before = calls(master, "get");
    for _ in 0..10 {
        assert_eq!(read(&mut reader, "a").await.unwrap(), Some(3));
    }
    assert_eq!(calls(master, "get"), before);
    write(&mut reader, "b", 1).await.unwrap();

    // A pool that is gone leaves nothing behind.
    drop((pool, reader));
    for node in all.servers().iter().chain(all.sentinels()) {
        until("all closed", || named(node).is_empty()).await;
    }
}

/// What cannot work is told at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_name_a_wrong_password_and_nobody_there() {
    let all = Sentinels::start(NAME).unwrap();
    let mut stranger = sentinel::Pool::builder(all.urls(), "sessions")
        .request_timeout(None)
        .build()
        .unwrap();
    let error = write(&mut stranger, "a", 1).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::MasterNameNotFoundBySentinel,
        "{error}"
    );
    assert!(error.to_string().contains("sessions"), "{error}");
    let error = stranger.check_out().await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::MasterNameNotFoundBySentinel,
        "{error}"
    );

    // Servers and sentinels have users and passwords of their own.
    for server in all.servers() {
        run::<()>(server, "ACL SETUSER service on >sesame ~* +@all");
    }
    for watcher in all.sentinels() {
        run::<()>(watcher, "ACL SETUSER watcher on >mellon +@all &*");
    }
    let urls: Vec<String> = all
        .urls()
        .iter()
        .map(|url| url.replace("redis://", "redis://watcher:mellon@"))
        .collect();
    let with = |urls: &[String], servers: &str| {
        let builder = sentinel::Pool::builder(urls.to_vec(), NAME).name("app");
        builder
            .servers(servers)
            .request_timeout(None)
            .build()
            .unwrap()
    };
    let mut pool = with(&urls, "redis://service:sesame@any");
    let me: String = redis::cmd("ACL")
        .arg("WHOAMI")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!(me, "service");
    until("one that listens", || all.sentinels().iter().any(tells)).await;
    let mut list = all.sentinels().iter().flat_map(connections);
    let listening = list
        .find(|client| client["name"] == "app:failover")
        .unwrap();
    assert_eq!(listening["user"], "watcher");

    let mut wrong = with(&urls, "redis://service:wrong@any");
    let error = write(&mut wrong, "a", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
    let urls: Vec<String> = urls
        .iter()
        .map(|url| url.replace("mellon", "wrong"))
        .collect();
    let mut wrong = with(&urls, "redis://service:sesame@any");
    let error = write(&mut wrong, "a", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");

    all.sentinels()
        .iter()
        .for_each(|sentinel| sentinel.kill().unwrap());
    let mut nobody = builder(&all).request_timeout(None).build().unwrap();
    let error = write(&mut nobody, "a", 1).await.unwrap_err();
    assert!(error.is_connection_refusal(), "{error}");
    // A pool that knows its master does not need them.
    write(&mut pool, "a", 1).await.unwrap();
}

/// Announced by a sentinel: no request has to fail first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_without_a_request() {
    let all = Sentinels::start(NAME).unwrap();
    let mut pool = builder(&all).build().unwrap();
    write(&mut pool, "a", 1).await.unwrap();
    let old = all.master().unwrap();
    until("one that listens", || all.sentinels().iter().any(tells)).await;
    let new = all.fail_over().unwrap();
    until("the pool follows", || is_master(&pool, new)).await;
    until("the old connections are closed", || named(old).is_empty()).await;
    let errors = |node: &Node| run::<String>(node, "INFO errorstats").contains("READONLY");
    write(&mut pool, "a", 2).await.unwrap();
    assert_eq!(read(&mut pool, "a").await.unwrap(), Some(2));
    assert!(!errors(old), "nothing was written to the wrong one");
    let servers: Vec<u16> = pool
        .status_by_node()
        .iter()
        .map(|(addr, _)| addr.port())
        .collect();
    assert_eq!(servers, [new.port()]);
}

/// Requests fail at once while nobody listens, and go to the new master as soon as there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_is_replaced() {
    let all = Sentinels::start(NAME).unwrap();
    let mut pool = builder(&all).build().unwrap();
    write(&mut pool, "a", 1).await.unwrap();
    let other = builder(&all).build().unwrap();
    let mut own = other.get().await.unwrap();
    let old = all.master().unwrap();
    old.kill().unwrap();
    let error = write(&mut own, "a", 2).await.unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    let error = write(&mut pool, "a", 2).await.unwrap_err();
    assert!(error.is_io_error() && !error.is_timeout(), "{error}");
    write_at_last(&mut pool, "b", 2).await;
    let new = all.wait_for_another(old.port()).unwrap();
    assert!(is_master(&pool, new));
    assert_eq!(run::<u32>(new, "GET b"), 2);
    until("the other pool follows", || is_master(&other, new)).await;
    let error = write(&mut own, "c", 3).await.unwrap_err();
    assert!(
        error.to_string().contains("no longer the master"),
        "{error}"
    );
    drop(own);

    // It comes back and follows; the pool stays with the new one.
    old.restart().unwrap();
    all.wait_until_ok().unwrap();
    write(&mut pool, "d", 4).await.unwrap();
    assert_eq!(run::<u32>(new, "GET d"), 4);
    assert_eq!(calls(old, "get"), 0);
}

/// One that hangs and comes back still takes itself for the master: it gets nothing from us any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_is_replaced_and_gets_nothing_when_it_comes_back() {
    let all = Sentinels::start(NAME).unwrap();
    let limit = Duration::from_secs(20);
    let mut pool = builder(&all)
        .max_size(1)
        .request_timeout(limit)
        .build()
        .unwrap();
    write(&mut pool, "a", 1).await.unwrap();
    let old = all.master().unwrap();
    // It takes the one connection, so that the next waits in line for the old master.
    let mut own = pool.get().await.unwrap();
    let waiting = tokio::spawn({
        let mut pool = pool.clone();
        async move { write(&mut pool, "waited", 2).await }
    });
    let waiting_own = tokio::spawn({
        let pool = pool.clone();
        async move { write(&mut pool.get().await?, "waited-own", 3).await }
    });
    let in_line = || {
        pool.status_by_node()
            .iter()
            .map(|(_, status)| status.waiting)
            .sum::<usize>()
    };
    until("two in line", || in_line() == 2).await;
    let sets = calls(old, "set");
    old.stop();
    let new = all.wait_for_another(old.port()).unwrap();
    until("the pool follows", || is_master(&pool, new)).await;
    waiting.await.unwrap().unwrap();
    waiting_own.await.unwrap().unwrap();
    assert_eq!(run::<u32>(new, "GET waited"), 2);
    assert_eq!(run::<u32>(new, "GET waited-own"), 3);
    let error = write(&mut own, "own", 4).await.unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    drop(own);
    write(&mut pool, "b", 5).await.unwrap();

    old.cont();
    assert_eq!(calls(old, "set"), sets, "nothing was sent to it any more");
    until("closed", || named(old).is_empty()).await;
    all.wait_until_ok().unwrap();
    write(&mut pool, "c", 6).await.unwrap();
    assert_eq!(read(&mut pool, "c").await.unwrap(), Some(6));
    assert!(is_master(&pool, new));
}

/// The one that was named at the start is not needed later: the others are known through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_die_are_done_without() {
    let all = Sentinels::start(NAME).unwrap();
    let first = &all.sentinels()[0];
    let builder = sentinel::Pool::builder([first.url()], NAME).name("app");
    let mut pool = builder.build().unwrap();
    write(&mut pool, "a", 1).await.unwrap();
    until("it listens", || all.sentinels().iter().any(tells)).await;
    first.kill().unwrap();
    let rest = &all.sentinels()[1..];
    until("another one listens", || rest.iter().any(tells)).await;
    let new = all.fail_over().unwrap();
    until("the pool follows", || is_master(&pool, new)).await;
    write(&mut pool, "a", 2).await.unwrap();

    // One that hangs does not keep the others from telling.
    rest[0].stop();
    let mut fresh = sentinel::Pool::builder(all.urls(), NAME).request_timeout(None);
    fresh = fresh.connect_timeout(Duration::from_secs(600));
    let mut fresh = fresh.build().unwrap();
    assert_eq!(read(&mut fresh, "a").await.unwrap(), Some(2));
    rest[0].cont();
}

/// A server is the master only if it says so itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_names_a_replica_is_not_believed() {
    let all = Sentinels::start(NAME).unwrap();
    let replica = &all.servers()[1];
    for watcher in all.sentinels() {
        let monitor = format!("SENTINEL MONITOR stale 127.0.0.1 {} 2", replica.port());
        run::<()>(watcher, &monitor);
    }
    let pool = sentinel::Pool::builder(all.urls(), "stale").request_timeout(None);
    let mut pool = pool.name("app").build().unwrap();
    let error = write(&mut pool, "a", 1).await.unwrap_err();
    assert!(
        error.to_string().contains("says it is a replica"),
        "{error}"
    );
    assert_eq!(calls(replica, "set"), 0);
}

//! Credentials that change while the pool is in use.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::pin::Pin;

use common::{calls, clients, run, until};
use futures_util::stream::{self, Stream, StreamExt};
use redis::auth::{BasicAuth, StreamingCredentialsProvider};
use redis::{AsyncCommands, ErrorKind, RedisError, RedisResult};
use testbed::{Cluster, Node, Server};
use tokio::sync::watch;
use wait_pool_redis::{Pool, cluster};

/// The newest password, and every one after it; none is an error.
struct Rotated(watch::Receiver<Option<&'static str>>);

impl StreamingCredentialsProvider for Rotated {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send>> {
        let mut passwords = self.0.clone();
        passwords.mark_changed();
        let next = |mut passwords: watch::Receiver<Option<&'static str>>| async move {
            passwords.changed().await.ok()?;
            let password = *passwords.borrow_and_update();
            let missing = || RedisError::from((ErrorKind::AuthenticationFailed, "no token today"));
            let credentials = password.ok_or_else(missing);
            let credentials = credentials
                .map(|password| BasicAuth::new("service".to_owned(), password.to_owned()));
            Some((credentials, passwords))
        };
        stream::unfold(passwords, next).boxed()
    }
}

fn admit(node: &Node, password: &str) {
    run::<()>(
        node,
        &format!("ACL SETUSER service on resetpass >{password} allkeys +@all"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_and_new_ones_have_the_newest_credentials() {
    let server = Server::start().unwrap();
    admit(&server, "first");
    let (rotate, passwords) = watch::channel(Some("first"));
    // What the URL says does not count.
    let url = server.url().replace("redis://", "redis://service:never@");
    let builder = Pool::builder(url).credentials_provider(Rotated(passwords));
    let mut pool = builder.max_size(2).build().unwrap();
    let whoami = redis::cmd("ACL").arg("WHOAMI").take();
    let me: String = whoami.query_async(&mut pool).await.unwrap();
    assert_eq!(me, "service");

    // One's own connection stays open over the change, and is given the new password.
    let mut own = pool.get().await.unwrap();
    let _: () = own.set("a", 1).await.unwrap();
    let before = calls(&server, "auth");
    let open = clients(&server);
    admit(&server, "second");
    rotate.send(Some("second")).unwrap();
    until("a new AUTH on each", || {
        calls(&server, "auth") >= before + open.len() as u64
    })
    .await;
    let _: i32 = own.get("a").await.unwrap();
    drop(own);
    assert_eq!(clients(&server), open, "nothing had to be opened again");

    // The server drops them all: new connections come with the new password.
    run::<u64>(&server, "CLIENT KILL TYPE normal SKIPME yes");
    until("no connections", || clients(&server).is_empty()).await;
    let read: i32 = by_key(&mut pool, "a").await.unwrap();
    assert_eq!(read, 1);
    let me: String = whoami.query_async(&mut pool).await.unwrap();
    assert_eq!(me, "service");
    assert!(clients(&server).iter().all(|id| !open.contains(id)));

    // And one that is no longer valid shows at once for what it is.
    admit(&server, "third");
    run::<u64>(&server, "CLIENT KILL TYPE normal SKIPME yes");
    until("no connections", || clients(&server).is_empty()).await;
    let error = by_key(&mut pool, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
    rotate.send(None).unwrap();
    until_told(&mut pool, "no token today").await;
    rotate.send(Some("third")).unwrap();
    let mut read = Err(error);
    for _ in 0..100 {
        read = by_key(&mut pool, "a").await;
        if read.is_ok() {
            break;
        }
    }
    assert_eq!(read.unwrap(), 1);
}

/// `GET`, which is sent again if its connection turns out to be gone.
async fn by_key(connection: &mut impl AsyncCommands, key: &str) -> RedisResult<i32> {
    connection.get(key).await
}

/// What the provider itself has to say reaches callers.
async fn until_told(pool: &mut Pool, reason: &str) {
    for _ in 0..100 {
        let ping = redis::cmd("PING").query_async::<()>(pool).await;
        let error = ping.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
        if error.to_string().contains(reason) {
            return;
        }
    }
    panic!("never told: {reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_of_a_cluster_is_told_and_so_is_the_one_that_tells_the_topology() {
    let cluster = Cluster::start(3, 0).unwrap();
    for node in cluster.masters() {
        admit(node, "first");
        run::<()>(node, "ACL SETUSER default off");
    }
    let (_rotate, passwords) = watch::channel(Some("first"));
    let builder = cluster::Pool::builder(cluster.urls());
    let builder = builder.credentials_provider(Rotated(passwords));
    let mut pool = builder.build().unwrap();
    for node in cluster.masters() {
        let key = format!("k{}", node.port());
        let _: () = pool.set(&key, 1).await.unwrap();
    }
}

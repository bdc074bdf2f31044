//! The proxy between a client and a server, and a cluster behind proxies.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use redis::{Connection, cmd};
use testbed::{Cluster, ClusterOptions, Direction, Proxy, Server};

const PATIENCE: Duration = Duration::from_millis(200);

fn start() -> (Server, Proxy) {
    let server = Server::start().unwrap();
    let proxy = Proxy::start(server.addr().parse().unwrap()).unwrap();
    (server, proxy)
}

fn connect(url: &str) -> Connection {
    let client = redis::Client::open(url).unwrap();
    let connection = client.get_connection().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

fn incr(connection: &mut Connection) -> redis::RedisResult<i32> {
    cmd("INCR").arg("n").query(connection)
}

#[test]
fn it_passes_everything_on_and_counts() {
    let (server, proxy) = start();
    let mut one = connect(&proxy.url());
    let two = connect(&proxy.url());
    let large = "x".repeat(3_000_000);
    cmd("SET").arg("large").arg(&large).exec(&mut one).unwrap();
    let read: String = cmd("GET").arg("large").query(&mut one).unwrap();
    assert_eq!(read, large);
    assert_eq!((proxy.accepted(), proxy.open()), (2, 2));
    assert!(proxy.bytes(Direction::ToServer) > 3_000_000);
    assert!(proxy.bytes(Direction::ToClient) > 3_000_000);
    drop(two);
    until(|| proxy.open() == 1);
    assert_eq!((proxy.accepted(), proxy.most_open()), (2, 2));
    assert_eq!(server.clients().unwrap().len(), 1);
}

#[test]
fn a_delay_is_felt_in_its_direction() {
    let (server, proxy) = start();
    let mut connection = connect(&proxy.url());
    let delay = Duration::from_millis(100);
    proxy.delay(Direction::ToClient, delay);
    let begun = Instant::now();
    incr(&mut connection).unwrap();
    assert!(begun.elapsed() >= delay);
    assert_eq!(server.calls("incr").unwrap(), 1);
    proxy.delay(Direction::ToClient, Duration::from_secs(3600));
    assert!(incr(&mut connection).unwrap_err().is_timeout());
    assert_eq!(server.calls("incr").unwrap(), 2);
    proxy.delay(Direction::ToServer, Duration::from_secs(3600));
    assert!(incr(&mut connection).is_err());
    assert_eq!(server.calls("incr").unwrap(), 2);
}

#[test]
fn what_is_held_comes_later() {
    let (server, proxy) = start();
    let mut connection = connect(&proxy.url());
    proxy.silence();
    assert!(incr(&mut connection).unwrap_err().is_timeout());
    assert_eq!(server.calls("incr").unwrap(), 0);
    let mut unanswered = TcpStream::connect(proxy.addr()).unwrap();
    unanswered.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut unanswered, b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    assert!(std::io::Read::read_exact(&mut unanswered, &mut answer).is_err());
    proxy.release();
    std::io::Read::read_exact(&mut unanswered, &mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    until(|| server.calls("incr").unwrap() == 1);
}

#[test]
fn a_client_that_leaves_is_noticed_while_everything_is_held() {
    let (server, proxy) = start();
    let connection = connect(&proxy.url());
    proxy.silence();
    drop(connection);
    until(|| proxy.open() == 0);
    assert_eq!(
        server.clients().unwrap().len(),
        1,
        "the server knows nothing of it"
    );
    proxy.release();
    until(|| server.clients().unwrap().is_empty());
}

#[test]
fn connections_are_closed_or_reset() {
    let (_server, proxy) = start();
    let end = |how: &dyn Fn() -> usize| {
        let mut stream = TcpStream::connect(proxy.addr()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        until(|| proxy.open() == 1);
        assert_eq!(how(), 1);
        assert_eq!(proxy.open(), 0);
        std::io::Read::read(&mut stream, &mut [0; 1]).map_err(|error| error.kind())
    };
    assert_eq!(end(&|| proxy.cut()), Ok(0));
    assert_eq!(end(&|| proxy.reset()), Err(ErrorKind::ConnectionReset));
    incr(&mut connect(&proxy.url())).unwrap();
}

#[test]
fn an_answer_is_cut_in_the_middle() {
    let (server, proxy) = start();
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    let mut other = connect(&proxy.url());
    proxy.cut_after(12);
    std::io::Write::write_all(&mut stream, b"PING\r\nPING\r\n").unwrap();
    let mut answer = Vec::new();
    // The answers may have travelled in two pieces or one.
    let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    assert_eq!(answer, b"+PONG\r\n+PONG");
    assert!(!proxy.is_cut_pending());
    incr(&mut other).unwrap();
    proxy.cut_after(0);
    assert!(incr(&mut other).is_err());
    assert_eq!(server.calls("incr").unwrap(), 2, "it has run");
}

#[test]
fn it_refuses_and_accepts_again() {
    let (_server, proxy) = start();
    let mut before = connect(&proxy.url());
    proxy.refuse();
    let refused = TcpStream::connect(proxy.addr()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    incr(&mut before).unwrap();
    proxy.accept().unwrap();
    proxy.accept().unwrap();
    incr(&mut connect(&proxy.url())).unwrap();
}

/// As drops of what a test has do, when it ends.
#[tokio::test]
async fn it_is_at_home_in_async_tests() {
    let (server, proxy) = start();
    incr(&mut connect(&proxy.url())).unwrap();
    proxy.cut();
    drop(proxy);
    drop(server);
}

#[test]
fn clients_of_a_cluster_are_sent_to_its_proxies() {
    let cluster = Cluster::start_with(ClusterOptions::new(3, 1).proxied()).unwrap();
    let key = "foo"; // slot 12182
    let [asked, .., owner] = cluster.masters() else {
        panic!("three masters")
    };
    let url = &cluster.urls()[0];
    assert_eq!(*url, cluster.proxy(asked).url());
    let mut connection = connect(url);
    let moved = cmd("GET").arg(key).exec(&mut connection).unwrap_err();
    let told = cluster.proxy(owner).addr().to_string();
    assert_eq!(moved.redirect_node(), Some((&*told, 12_182)));
    let slots: redis::Value = cmd("CLUSTER").arg("SLOTS").query(&mut connection).unwrap();
    let slots = format!("{slots:?}");
    assert!(slots.matches("127.0.0.2").count() >= 3, "{slots}");

    // The nodes have other ways.
    cluster
        .nodes()
        .iter()
        .for_each(|node| cluster.proxy(node).silence());
    cluster.failover(&cluster.replicas()[0]).unwrap();
    let connections: u64 = cluster
        .nodes()
        .iter()
        .map(|node| cluster.proxy(node).accepted())
        .sum();
    assert_eq!(connections, 1);
}

fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

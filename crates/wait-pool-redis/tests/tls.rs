//! TLS on real servers, with certificates made for the test.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{client_list, clients, key_on, run, until};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, ClientTlsConfig, RedisResult, TlsCertificates};
use testbed::{
    Authority, Cluster, ClusterOptions, Identity, Node, SentinelOptions, Sentinels, Server,
};
use wait_pool_redis::{BuildError, Pool, Slot, cluster, sentinel};

/// Applications install it, too.
fn install_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn trusting(authority: &Authority) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: Some(authority.pem().into_bytes()),
    }
}

fn showing(authority: &Authority, identity: Identity) -> TlsCertificates {
    TlsCertificates {
        client_tls: Some(ClientTlsConfig {
            client_cert: identity.certificate.into_bytes(),
            client_key: identity.key.into_bytes(),
        }),
        ..trusting(authority)
    }
}

fn pool(server: &Server, certificates: TlsCertificates) -> Pool {
    install_cryptography();
    let builder = Pool::builder(server.tls_url().unwrap()).tls(certificates);
    builder.build().unwrap()
}

async fn ping(connection: &mut impl ConnectionLike) -> RedisResult<String> {
    redis::cmd("PING").query_async(connection).await
}

/// The ports that a server's clients have come to.
fn ports_in_use(node: &Node) -> HashSet<String> {
    let clients = client_list(node).into_iter();
    clients
        .map(|client| client["laddr"].rsplit(':').next().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn refused(outcome: RedisResult<String>, reason: &str) {
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
    assert!(!error.is_timeout(), "at once, not after a while: {error}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = Server::start_tls(&ours.server(&["127.0.0.1"]).unwrap(), &[]).unwrap();
    let mut trusted = pool(&server, trusting(&ours));
    assert_eq!(ping(&mut trusted).await.unwrap(), "PONG");
    let mut pipeline = redis::pipe();
    pipeline.set("a", 1).get("a");
    let both: (String, i32) = pipeline.query_async(&mut trusted).await.unwrap();
    assert_eq!(both.1, 1);
    let tls_port = server.tls_port().unwrap().to_string();
    assert_eq!(ports_in_use(&server), HashSet::from([tls_port]));

    drop(trusted);
    let mut mistaken = pool(&server, trusting(&theirs));
    refused(
        ping(&mut mistaken).await,
        "invalid peer certificate: UnknownIssuer",
    );
    // Nor by default: the system does not know it either.
    let system = Pool::builder(server.tls_url().unwrap()).build();
    refused(
        ping(&mut system.unwrap()).await,
        "invalid peer certificate: UnknownIssuer",
    );
    assert!(clients(&server).is_empty());
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_one() {
    let authority = Authority::new().unwrap();
    let tls = authority.server(&["127.0.0.1"]).unwrap();
    let server = Server::start_tls(&tls.with_client_certificates(), &[]).unwrap();
    refused(
        ping(&mut pool(&server, trusting(&authority))).await,
        "received fatal alert",
    );
    let stranger = Authority::new().unwrap().identity(&[]).unwrap();
    refused(
        ping(&mut pool(&server, showing(&authority, stranger))).await,
        "received fatal alert",
    );
    let known = authority.identity(&[]).unwrap();
    let mut known = pool(&server, showing(&authority, known));
    assert_eq!(ping(&mut known).await.unwrap(), "PONG");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_that_is_the_one_expected() {
    let authority = Authority::new().unwrap();
    let tls = authority.server(&["redis.test"]).unwrap();
    let server = Server::start_tls(&tls, &[]).unwrap();
    let by_address = ping(&mut pool(&server, trusting(&authority))).await;
    refused(by_address, "certificate not valid for name \"127.0.0.1\"");

    let builder = || Pool::builder(server.tls_url().unwrap()).tls(trusting(&authority));
    let mut by_name = builder().tls_server_name("redis.test").build().unwrap();
    assert_eq!(ping(&mut by_name).await.unwrap(), "PONG");
    let mut by_another = builder().tls_server_name("other.test").build().unwrap();
    refused(
        ping(&mut by_another).await,
        "certificate not valid for name \"other.test\"",
    );
}

/// Whatever happens, nothing goes over the wire in the clear.
#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told_nothing() {
    install_cryptography();
    let server = Server::start().unwrap();
    let url = server.url().replace("redis://", "rediss://:secret@");
    // It takes the beginning of the handshake for a command and waits for the rest.
    let builder = Pool::builder(url).connect_timeout(Duration::from_millis(300));
    let error = ping(&mut builder.build().unwrap()).await.unwrap_err();
    assert!(error.is_io_error(), "{error}");
    assert_eq!(common::calls(&server, "auth"), 0);
    assert_eq!(common::calls(&server, "ping"), 0);
}

async fn on_every_node(cluster: &Cluster, pool: &mut cluster::Pool) {
    for (number, node) in cluster.masters().iter().enumerate() {
        let _: () = pool.set(key_on(cluster, node, "k"), number).await.unwrap();
    }
    for (number, node) in cluster.masters().iter().enumerate() {
        let key = key_on(cluster, node, "k");
        assert_eq!(pool.get::<_, usize>(key).await.unwrap(), number);
    }
}

/// Nodes are known by their addresses, the certificate is for one name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_cluster_is_reached_over_tls() {
    install_cryptography();
    let authority = Authority::new().unwrap();
    let tls = authority.server(&["redis.test"]).unwrap();
    let tls = tls.with_client_certificates();
    let options = ClusterOptions::new(3, 0).tls(&tls);
    // A bus that speaks TLS wants certificates of both sides, which all nodes have.
    let cluster = Cluster::start_with(options).unwrap();
    let known = authority.identity(&[]).unwrap();
    let mut pool = cluster::Pool::builder([cluster.masters()[0].tls_url().unwrap()])
        .tls(showing(&authority, known))
        .tls_server_name("redis.test")
        .build()
        .unwrap();
    on_every_node(&cluster, &mut pool).await;

    // A slot moves: MOVED names the port for TLS, and is followed there.
    let (from, to) = (&cluster.masters()[0], &cluster.masters()[1]);
    let key = key_on(&cluster, from, "empty");
    let slot = Slot::of(key.as_bytes()).number();
    let id: String = run(to, "CLUSTER MYID");
    run::<()>(from, "CONFIG RESETSTAT");
    for node in cluster.masters() {
        run::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {id}"));
    }
    let _: () = pool.set(&key, "moved").await.unwrap();
    assert_eq!(run::<String>(to, &format!("GET {key}")), "moved");
    let errors: String = run(from, "INFO errorstats");
    assert!(errors.contains("errorstat_MOVED:count=1"), "{errors}");

    for node in cluster.masters() {
        let tls_port = node.tls_port().unwrap().to_string();
        assert_eq!(ports_in_use(node), HashSet::from([tls_port]));
    }
}

/// Where nodes announce names, these are what they are reached by and what their certificates are for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_nodes_announce_are_what_their_certificates_are_for() {
    install_cryptography();
    let authority = Authority::new().unwrap();
    let tls = authority.server(&["localhost"]).unwrap();
    let options = ClusterOptions::new(2, 0)
        .tls(&tls)
        .setting("cluster-announce-hostname", "localhost")
        .setting("cluster-preferred-endpoint-type", "hostname");
    let cluster = Cluster::start_with(options).unwrap();
    let url = cluster.masters()[0].tls_url().unwrap();
    let mut pool = cluster::Pool::builder([url.replace("127.0.0.1", "localhost")])
        .tls(trusting(&authority))
        .build()
        .unwrap();
    on_every_node(&cluster, &mut pool).await;
}

/// Sentinels, their announcements and the servers that they name; a failover included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_their_servers_are_reached_over_tls() {
    install_cryptography();
    let authority = Authority::new().unwrap();
    let tls = authority.server(&["redis.test"]).unwrap();
    let options = SentinelOptions::new("features").tls(&tls);
    let all = Sentinels::start_with(options).unwrap();
    let urls = all.sentinels().iter().map(|node| node.tls_url().unwrap());
    let mut pool = sentinel::Pool::builder(urls, "features")
        .name("app")
        .servers("rediss://any")
        .tls(trusting(&authority))
        .tls_server_name("redis.test")
        .build()
        .unwrap();
    let _: () = pool.set("a", 1).await.unwrap();
    let old = all.master().unwrap();
    let tls_port = old.tls_port().unwrap();
    assert_eq!(pool.master().unwrap().port(), tls_port);
    let listened_to =
        |node: &Node| run::<String>(node, "CLIENT LIST").contains("name=app:failover");
    until("it listens", || all.sentinels().iter().any(listened_to)).await;
    let new = all.fail_over().unwrap().tls_port().unwrap();
    until("the pool follows", || pool.master().unwrap().port() == new).await;
    let _: () = pool.set("a", 2).await.unwrap();
    for node in all.servers() {
        let list: String = run(node, "CLIENT LIST");
        let plain = format!("laddr=127.0.0.1:{} ", node.port());
        let ours = |line: &&str| line.contains("name=app");
        assert!(
            list.lines().filter(ours).all(|line| !line.contains(&plain)),
            "{list}"
        );
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    install_cryptography();
    let authority = Authority::new().unwrap();
    let plain = Pool::builder("redis://h").tls(trusting(&authority)).build();
    let plain = plain.unwrap_err().to_string();
    assert_eq!(plain, "tls: the URLs have to be rediss://");
    let named = Pool::builder("redis://h").tls_server_name("h").build();
    assert!(
        named
            .unwrap_err()
            .to_string()
            .starts_with("tls_server_name: ")
    );

    let secure = || Pool::builder("rediss://h");
    let none = secure().tls_server_name("a b").build().unwrap_err();
    assert!(none.to_string().starts_with("tls_server_name: "), "{none}");
    let with = |root_cert: &[u8]| TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert.to_vec()),
    };
    let empty = secure().tls(with(b"")).build().unwrap_err();
    assert_eq!(empty.to_string(), "tls: there is no certificate in PEM");
    let cut = &authority.pem().into_bytes()[..100];
    let cut = secure().tls(with(cut)).build().unwrap_err();
    assert!(matches!(cut, BuildError::Tls(_)), "{cut}");
    let keyless = Identity {
        certificate: authority.pem(),
        key: String::from("none"),
    };
    let keyless = secure().tls(showing(&authority, keyless)).build();
    assert!(matches!(keyless, Err(BuildError::Tls(_))), "{keyless:?}");
}

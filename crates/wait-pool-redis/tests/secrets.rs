//! Secrets appear nowhere: not in what is formatted, not in what is logged, not in metrics.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::fmt::{Debug, Write as _};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use common::{run, until};
use futures_util::stream::{self, Stream, StreamExt};
use metrics_util::debugging::DebuggingRecorder;
use redis::aio::ConnectionLike;
use redis::auth::{BasicAuth, StreamingCredentialsProvider};
use redis::{ClientTlsConfig, RedisResult, TlsCertificates};
use testbed::{Authority, Cluster, Node, Sentinels, Server};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};
use wait_pool_redis::{NodeAddr, Pool, cluster, sentinel};

/// Everything that has been written anywhere.
static PAGE: Mutex<String> = Mutex::new(String::new());

fn write(text: &str) {
    let mut page = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    page.push_str(text);
    page.push('\n');
}

fn shown(value: &(impl Debug + ?Sized)) {
    write(&format!("{value:?}\n{value:#?}"));
}

fn told(error: &(impl std::error::Error + ?Sized)) {
    shown(error);
    let mut cause: Option<&dyn std::error::Error> = error.source();
    write(&error.to_string());
    while let Some(error) = cause {
        write(&format!("{error}\n{error:?}\n{error:#?}"));
        cause = error.source();
    }
}

struct Tracing;

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Tracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().target().to_owned();
        event.record(&mut Fields(&mut line));
        write(&line);
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut line = attributes.metadata().name().to_owned();
        attributes.record(&mut Fields(&mut line));
        write(&line);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = String::new();
        values.record(&mut Fields(&mut line));
        write(&line);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        write(&format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// Yields a token once, then an error: redis-rs writes of it.
struct Token(&'static str);

impl StreamingCredentialsProvider for Token {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send>> {
        let token = BasicAuth::new("service".to_owned(), self.0.to_owned());
        let again = BasicAuth::new("service".to_owned(), self.0.to_owned());
        stream::iter([Ok(token), Ok(again)]).boxed()
    }
}

async fn use_it(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    let mut set = redis::cmd("SET");
    set.arg("key-of-a-person").arg("value-of-a-person");
    set.exec_async(connection).await?;
    let mut pipeline = redis::pipe();
    pipeline.get("key-of-a-person").incr("key-of-a-person", 1);
    pipeline.exec_async(connection).await
}

/// An error is expected, and looked at.
async fn fail(connection: &mut impl ConnectionLike) {
    told(&use_it(connection).await.unwrap_err());
}

async fn one_server(server: &Server) {
    let at = |login: &str| {
        Pool::builder(
            server
                .url()
                .replace("redis://", &format!("redis://{login}@")),
        )
    };
    let right = at("service:right-sesame");
    shown(&right);
    let mut right = right.build().unwrap();
    // INCR of what is no number.
    fail(&mut right).await;
    let own = right.get().await.unwrap();
    shown(&right);
    shown(&right.status());
    shown(&own);
    drop(own);
    let mut busy = at("service:right-sesame").max_size(1).build().unwrap();
    let own = busy.get().await.unwrap();
    let mut late = at("service:right-sesame")
        .max_size(1)
        .request_timeout(std::time::Duration::from_millis(50));
    late = late.name("late");
    let late = late.build().unwrap();
    let held = late.get().await.unwrap();
    told(&late.get().await.unwrap_err());
    drop((own, held));
    busy.close();
    fail(&mut busy).await;

    let mut wrong = at("service:wrong-sesame").build().unwrap();
    fail(&mut wrong).await;
    told(&wrong.get().await.unwrap_err());
    shown(&wrong);
    for token in ["right-sesame", "token-sesame"] {
        let builder = Pool::builder(server.url()).credentials_provider(Token(token));
        shown(&builder);
        let mut pool = builder.build().unwrap();
        fail(&mut pool).await;
        shown(&pool);
    }
    run::<()>(server, "CONFIG SET requirepass default-sesame");
    fail(&mut Pool::builder(server.url()).build().unwrap()).await;
}

async fn cluster(cluster: &Cluster) {
    let first = &cluster.masters()[0];
    let at = |login: &str| {
        let url = first
            .url()
            .replace("redis://", &format!("redis://{login}@"));
        cluster::Pool::builder([url])
    };
    let right = at("service:right-sesame");
    shown(&right);
    let mut right = right.build().unwrap();
    fail(&mut right).await;
    shown(&right);
    shown(&right.status());
    fail(&mut at("service:wrong-sesame").build().unwrap()).await;
    let mut told_by_one = right.clone();
    // A node that does not know the user any more.
    let last = cluster.masters().last().unwrap();
    run::<()>(last, "ACL DELUSER service");
    for number in 0..20 {
        let mut get = redis::cmd("GET");
        if let Err(error) = get.arg(number).exec_async(&mut told_by_one).await {
            told(&error);
        }
    }
}

async fn sentinels(all: &Sentinels) {
    for node in all.sentinels() {
        run::<()>(node, "ACL SETUSER watcher on >watch-sesame +@all &*");
    }
    let at = |watcher: &str, server: &str| {
        let watcher = format!("redis://{watcher}@");
        let urls = all.urls().into_iter();
        let urls: Vec<_> = urls.map(|url| url.replace("redis://", &watcher)).collect();
        let builder = sentinel::Pool::builder(urls, "features");
        builder.servers(format!("redis://{server}@any"))
    };
    let right = at("watcher:watch-sesame", "service:right-sesame");
    shown(&right);
    let mut right = right.build().unwrap();
    fail(&mut right).await;
    shown(&right);
    shown(&right.handle());
    shown(&right.get().await.unwrap());
    for (watcher, server) in [
        ("watcher:wrong-sesame", "service:right-sesame"),
        ("watcher:watch-sesame", "service:wrong-sesame"),
    ] {
        let mut wrong = at(watcher, server).build().unwrap();
        fail(&mut wrong).await;
        told(&wrong.get().await.unwrap_err());
        shown(&wrong);
    }
    let unreadable =
        at("watcher:watch-sesame", "service:right-sesame").servers("redis://a:sesame@h/x");
    shown(&unreadable);
    told(&unreadable.build().unwrap_err());
}

async fn tls(authority: &Authority, key: &str) {
    let server = authority.server(&["127.0.0.1"]).unwrap();
    let server = Server::start_tls(&server.with_client_certificates(), &[]).unwrap();
    let certificate = Authority::new().unwrap().identity(&[]).unwrap().certificate;
    let certificates = TlsCertificates {
        client_tls: Some(ClientTlsConfig {
            client_cert: certificate.into_bytes(),
            client_key: key.as_bytes().to_vec(),
        }),
        root_cert: Some(authority.pem().into_bytes()),
    };
    shown(&certificates);
    let builder = Pool::builder(
        server
            .tls_url()
            .unwrap()
            .replace("rediss://", "rediss://:tls-sesame@"),
    );
    let builder = builder.tls(certificates.clone());
    shown(&builder);
    let mut pool = builder.build().unwrap();
    // The key is not that of the certificate.
    fail(&mut pool).await;
    shown(&pool);
    let broken = ClientTlsConfig {
        client_key: key.replace("-----END", "---END").into_bytes(),
        ..certificates.client_tls.unwrap()
    };
    let broken = TlsCertificates {
        client_tls: Some(broken),
        root_cert: None,
    };
    told(&Pool::builder("rediss://h").tls(broken).build().unwrap_err());
}

fn settings() {
    for url in [
        "carrot://user:sesame@h",
        "redis://user:sesame@h/not-a-number",
        "redis://user:sesame@h:port",
        "redis://user:sesame@",
        "redis://user:sesame@h?protocol=resp9",
        "user:sesame@h",
    ] {
        told(&Pool::builder(url).build().unwrap_err());
        told(&cluster::Pool::builder([url]).build().unwrap_err());
    }
    told(
        &cluster::Pool::builder(["redis://user:sesame@h/1"])
            .build()
            .unwrap_err(),
    );
    let addr = NodeAddr::parse("h:1").unwrap();
    shown(&addr);
}

async fn refused() {
    // Nobody listens there.
    let mut pool = Pool::builder("redis://user:refused-sesame@127.0.0.1:1")
        .build()
        .unwrap();
    fail(&mut pool).await;
    let mut pool = cluster::Pool::builder(["redis://user:refused-sesame@127.0.0.1:1"])
        .build()
        .unwrap();
    fail(&mut pool).await;
    shown(&pool);
    let path = std::env::temp_dir().join("there-is-no-such-socket");
    let url = format!("unix://{}?pass=unix-sesame", path.display());
    let mut pool = Pool::builder(url).build().unwrap();
    fail(&mut pool).await;
    shown(&pool);
}

fn admit(node: &Node) {
    run::<()>(node, "ACL SETUSER service on >right-sesame ~* +@all");
}

/// One test, since what is written is collected for the whole process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_nowhere() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tracing::subscriber::set_global_default(Tracing).unwrap();
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();

    settings();
    refused().await;
    let server = Server::start().unwrap();
    admit(&server);
    one_server(&server).await;
    let nodes = Cluster::start(2, 0).unwrap();
    nodes.masters().iter().for_each(admit);
    cluster(&nodes).await;
    let all = Sentinels::start("features").unwrap();
    all.servers().iter().for_each(admit);
    sentinels(&all).await;
    let authority = Authority::new().unwrap();
    let key = authority.identity(&[]).unwrap().key;
    tls(&authority, &key).await;

    for (composite, ..) in snapshotter.snapshot().into_vec() {
        shown(composite.key());
    }
    // What is searched has all of it: each kind of source has written something.
    let has = |text: &str| PAGE.lock().unwrap().contains(text);
    until("redis-rs's words on tokens", || {
        has("redis::aio::multiplexed_connection ")
    })
    .await;
    for text in [
        "could not connect",
        "AuthenticationFailed",
        "db.client.connection",
        "NOAUTH",
    ] {
        assert!(has(text), "{text} should be there");
    }
    let body = |line: &&str| !line.starts_with("-----") && line.len() > 20;
    let secrets = key.lines().filter(body);
    let page = PAGE.lock().unwrap();
    for secret in secrets.chain(["sesame", "key-of-a-person", "value-of-a-person"]) {
        let at = page.find(secret);
        let around = at.map(|at| &page[at.saturating_sub(200)..page.len().min(at + 200)]);
        assert_eq!(around, None, "{secret}");
    }
}

//! A standalone server, and what can be done to it.

use std::time::{Duration, Instant};

use testbed::{Node, Server};

fn ping(node: &Node) -> anyhow::Result<String> {
    Ok(redis::cmd("PING").query(&mut node.connection()?)?)
}

#[test]
fn answers() {
    let server = Server::start().unwrap();
    assert_eq!(ping(&server).unwrap(), "PONG");
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
    let mut by_url = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    assert!(redis::cmd("PING").query::<String>(&mut by_url).is_ok());
}

#[test]
fn settings_win_over_ours() {
    let settings = [("maxclients", "77"), ("bind", "127.0.0.1 127.0.0.2")];
    let server = Server::start_with(&settings).unwrap();
    let mut connection = server.connection().unwrap();
    for (name, value) in settings {
        let reply: (String, String) = redis::cmd("CONFIG")
            .arg("GET")
            .arg(name)
            .query(&mut connection)
            .unwrap();
        assert_eq!(reply, (name.to_owned(), value.to_owned()));
    }
}

#[test]
fn a_bad_setting_is_told_with_the_servers_own_words() {
    let error = Server::start_with(&[("no-such-setting", "1")]).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("ended at once") && text.contains("no-such-setting"),
        "{text}"
    );
}

#[test]
fn a_stopped_server_hangs_and_goes_on() {
    let server = Server::start().unwrap();
    let mut connection = server.connection().unwrap();
    connection
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    server.stop();
    assert!(!server.is_running());
    let error = redis::cmd("PING")
        .query::<String>(&mut connection)
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    server.cont();
    assert!(server.is_running());
    assert_eq!(ping(&server).unwrap(), "PONG");
}

#[test]
fn a_killed_server_is_gone_until_it_restarts() {
    let server = Server::start().unwrap();
    let (pid, port) = (server.pid().unwrap(), server.port());
    server.kill().unwrap();
    assert_eq!(server.pid(), None);
    assert!(server.connection().is_err());
    server.kill().unwrap();
    server.stop();

    server.restart().unwrap();
    assert_ne!(server.pid(), Some(pid));
    assert_eq!(server.port(), port);
    assert_eq!(ping(&server).unwrap(), "PONG");
    server.stop();
    server.restart().unwrap();
    assert_eq!(ping(&server).unwrap(), "PONG");
}

#[test]
fn a_hanging_server_is_dropped_without_delay() {
    let server = Server::start().unwrap();
    server.stop();
    let start = Instant::now();
    drop(server);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn servers_end_one_by_one() {
    // A pipe that leaked into the second server would keep the first one's reaper waiting.
    let first = Server::start().unwrap();
    let second = Server::start().unwrap();
    drop(first);
    assert_eq!(ping(&second).unwrap(), "PONG");
}

#[test]
fn handles_go_where_tests_need_them() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Server>();
    check::<testbed::Cluster>();
}

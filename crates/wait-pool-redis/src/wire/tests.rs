//! A server by hand: what it is sent, and when, is what these tests look at.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::yield_now;

use super::*;

struct Server {
    stream: DuplexStream,
}

impl Server {
    /// A wire to a server by hand that takes so many bytes before they are read.
    fn start(room: usize) -> (Wire, Self, Guest) {
        Self::start_as(room, false)
    }

    fn start_as(room: usize, has_pushes: bool) -> (Wire, Self, Guest) {
        let (client, stream) = duplex(room);
        let (reader, writer) = tokio::io::split(client);
        let (wire, driver, guest) = Wire::new(Box::new(reader), Box::new(writer), has_pushes);
        tokio::spawn(driver);
        (wire, Self { stream }, guest)
    }

    /// What has come by now, in one piece or in several.
    fn received(&mut self) -> String {
        let mut bytes = vec![0; 1 << 16];
        match self.stream.read(&mut bytes).now_or_never() {
            Some(count) => String::from_utf8(bytes[..count.unwrap()].to_vec()).unwrap(),
            None => String::new(),
        }
    }

    async fn receive(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        self.stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    async fn say(&mut self, words: &str) {
        self.stream.write_all(words.as_bytes()).await.unwrap();
        settle().await;
    }
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

fn words(count: usize, word: &str) -> impl FnOnce(&mut Vec<u8>) {
    let all = word.repeat(count);
    move |bytes| bytes.extend_from_slice(all.as_bytes())
}

fn ask(wire: &Wire, count: usize, word: &str) -> Calling<Token> {
    let call = Call::begin((0..count as u32).collect(), std::iter::once(0..count));
    call.send(0, count as u32, wire, None, words(count, word));
    call
}

fn answer(call: &Calling<Token>) -> Option<Vec<Value>> {
    let cx = Context::from_waker(std::task::Waker::noop());
    call.poll(&cx).is_ready().then(|| call.take()).flatten()
}

/// Says when it is let go.
struct Token(Arc<Mutex<Vec<&'static str>>>, &'static str);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

fn int(number: i64) -> Value {
    Value::Int(number)
}

#[tokio::test]
async fn answers_go_to_whom_they_are_for_in_the_order_of_the_requests() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let calls: Vec<_> = (0..3).map(|n| ask(&wire, n + 1, "x")).collect();
    settle().await;
    assert_eq!(server.received(), "xxxxxx");
    server.say(":1\r\n:2\r\n:3\r").await;
    assert_eq!(answer(&calls[0]), Some(vec![int(1)]));
    assert_eq!(answer(&calls[1]), None);
    server.say("\n:4\r\n:5\r\n:6\r\n").await;
    assert_eq!(answer(&calls[1]), Some(vec![int(2), int(3)]));
    assert_eq!(answer(&calls[2]), Some(vec![int(4), int(5), int(6)]));
}

#[tokio::test]
async fn who_finds_nothing_under_way_writes_at_once_and_others_write_together() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let _first = ask(&wire, 1, "a");
    // Nobody else has run.
    assert_eq!(server.received(), "a");
    let _more: Vec<_> = ["b", "c", "d"].map(|word| ask(&wire, 1, word)).into();
    assert_eq!(server.received(), "");
    settle().await;
    assert_eq!(server.received(), "bcd");
}

#[tokio::test]
async fn what_the_socket_does_not_take_now_is_kept_in_order() {
    let (wire, mut server, _guest) = Server::start(4);
    let calls: Vec<_> = ["aaaaaa", "bbbbbb", "c"]
        .map(|word| ask(&wire, 1, word))
        .into();
    server.receive("aaaaaabbbbbbc").await;
    server.say(":1\r\n:2\r\n:3\r\n").await;
    let answers: Vec<_> = calls.iter().map(answer).collect();
    assert_eq!(answers, [1, 2, 3].map(|n| Some(vec![int(n)])));
}

#[tokio::test]
async fn what_a_server_does_not_read_has_a_bound() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let has_room = |wire: &Wire| {
        let cx = Context::from_waker(std::task::Waker::noop());
        wire.poll_room(&cx).is_ready()
    };
    // However large a request is, it is taken while there is room.
    let _large = ask(&wire, 1, &"x".repeat(3 << 20));
    assert!(!has_room(&wire));
    let mut next = tokio_test::task::spawn(std::future::poll_fn(|cx| wire.poll_room(cx)));
    assert!(next.poll().is_pending());
    let mut read = vec![0; 1 << 20];
    server.stream.read_exact(&mut read).await.unwrap();
    settle().await;
    assert!(!next.is_woken());
    server.stream.read_exact(&mut read).await.unwrap();
    settle().await;
    assert!(next.is_woken() && has_room(&wire));
    // Nobody waits for room on what has ended.
    let _another = ask(&wire, 1, &"x".repeat(3 << 20));
    assert!(next.poll().is_pending());
    wire.close();
    assert!(next.is_woken() && has_room(&wire));
}

#[tokio::test]
async fn what_is_only_told_has_its_answers_swallowed() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    wire.tell(&[]);
    wire.tell(&[redis::cmd("A"), redis::cmd("B")]);
    let call = ask(&wire, 1, "x");
    settle().await;
    assert_eq!(server.received(), "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\nx");
    server.say("-ERR\r\n+OK\r\n:1\r\n").await;
    assert_eq!(answer(&call), Some(vec![int(1)]));
}

#[tokio::test]
async fn parts_end_by_themselves_and_the_caller_is_woken_once() {
    let (one, mut at_one, _guest) = Server::start(1 << 16);
    let (two, mut at_two, _guest_two) = Server::start(1 << 16);
    let let_go = Arc::new(Mutex::new(Vec::new()));
    let call = Call::begin([1, 0, 2].into_iter().collect(), [0..2, 2..3]);
    for (part, wire, name) in [(0, &one, "one"), (1, &two, "two")] {
        call.send(part, 2 - part, wire, None, words(1, "x"));
        call.hold(part, Token(Arc::clone(&let_go), name));
    }
    let mut woken = tokio_test::task::spawn(std::future::poll_fn(|cx| call.poll(cx)));
    assert!(woken.poll().is_pending());
    at_two.say(":2\r\n").await;
    assert_eq!(*let_go.lock().unwrap(), ["two"]);
    assert!(!woken.is_woken());
    at_one.say(":1\r\n:0\r\n").await;
    assert_eq!(*let_go.lock().unwrap(), ["two", "one"]);
    assert!(woken.is_woken());
    assert!(woken.poll().is_ready());
    drop(woken);
    assert_eq!(call.take(), Some(vec![int(0), int(1), int(2)]));
}

#[tokio::test]
async fn a_dropped_request_lets_go_and_its_answer_reaches_nobody() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let let_go = Arc::new(Mutex::new(Vec::new()));
    let dropped = ask(&wire, 2, "x");
    dropped.hold(0, Token(Arc::clone(&let_go), "it"));
    let next = ask(&wire, 1, "y");
    drop(dropped);
    assert_eq!(*let_go.lock().unwrap(), ["it"]);
    settle().await;
    server.say(":1\r\n:2\r\n:3\r\n").await;
    assert_eq!(answer(&next), Some(vec![int(3)]));
}

#[tokio::test]
async fn an_error_of_the_servers_is_no_plain_answer() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let call = ask(&wire, 2, "x");
    server.say(":1\r\n-MOVED 1 a:1\r\n").await;
    assert_eq!(call.take(), None);
    let (values, ended) = call.give_up();
    assert!(matches!(ended[..], [Ended::Answered]));
    assert_eq!(values[0], int(1));
    assert!(matches!(values[1], Value::ServerError(_)));
}

#[tokio::test]
async fn what_was_not_written_is_known_not_to_have_run() {
    let (wire, mut server, _guest) = Server::start(4);
    let written = ask(&wire, 1, "aaaa");
    let begun = ask(&wire, 1, "bbbb");
    let waiting = ask(&wire, 1, "cccc");
    settle().await;
    // Room for half of the second.
    server.receive("aa").await;
    settle().await;
    drop(server);
    settle().await;
    let sent = |call: Calling<Token>| match &call.give_up().1[..] {
        [Ended::Lost(lost)] => {
            assert!(lost.error.is_connection_dropped(), "{:?}", lost.error);
            lost.sent
        }
        other => panic!("{other:?}"),
    };
    assert_eq!([written, begun, waiting].map(sent), [true, true, false]);
    assert!(wire.is_closed());
    assert_eq!([ask(&wire, 1, "d")].map(sent), [false]);
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_told_and_disturbs_nobody() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let now = tokio::time::Instant::now().into_std();
    let until = |ms| Some(now + Duration::from_millis(ms));
    let calls = [300, 100, 200].map(|ms| {
        let call: Calling<Token> = Call::begin([0].into_iter().collect(), std::iter::once(0..1));
        call.send(0, 1, &wire, until(ms), words(1, "x"));
        call
    });
    let let_go = Arc::new(Mutex::new(Vec::new()));
    calls[1].hold(0, Token(Arc::clone(&let_go), "it"));
    let cx = Context::from_waker(std::task::Waker::noop());
    let ended = || calls.each_ref().map(|call| call.poll(&cx).is_ready());
    for (ms, expected) in [
        (99, [false, false, false]),
        (2, [false, true, false]),
        (100, [false, true, true]),
    ] {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        settle().await;
        assert_eq!(ended(), expected);
    }
    assert_eq!(*let_go.lock().unwrap(), ["it"]);
    server.say(":1\r\n:2\r\n:3\r\n").await;
    let [first, second, _] = calls;
    assert_eq!(answer(&first), Some(vec![int(1)]));
    assert!(matches!(second.give_up().1[..], [Ended::Late]));
}

#[tokio::test]
async fn a_garbled_reply_ends_the_connection() {
    let (wire, mut server, _guest) = Server::start(1 << 16);
    let calls = [ask(&wire, 1, "x"), ask(&wire, 1, "y")];
    settle().await;
    server.say("?\r\n").await;
    for call in calls {
        assert!(matches!(call.give_up().1[..], [Ended::Lost(_)]));
    }
    assert!(wire.is_closed());
}

#[tokio::test]
async fn it_ends_with_its_task_and_at_once_if_closed() {
    let (wire, mut server, guest) = Server::start(1 << 16);
    let call = ask(&wire, 1, "x");
    assert_eq!(server.received(), "x");
    wire.close();
    settle().await;
    assert!(matches!(call.give_up().1[..], [Ended::Lost(_)]));
    assert_eq!(server.stream.read(&mut [0; 1]).await.unwrap(), 0);
    drop(guest);

    let (wire, _server, guest) = Server::start(1 << 16);
    drop(guest);
    assert!(wire.is_closed());
}

async fn redis_rs(guest: Guest, protocol: ProtocolVersion) -> MultiplexedConnection {
    let info = RedisConnectionInfo::default()
        .set_protocol(protocol)
        .set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let made = MultiplexedConnection::new_with_config(&info, guest, config).await;
    let (connection, driver) = made.unwrap();
    tokio::spawn(driver);
    connection
}

fn ping(connection: &MultiplexedConnection) -> tokio::task::JoinHandle<Value> {
    let mut connection = connection.clone();
    tokio::spawn(async move {
        let ping: Cmd = redis::cmd("PING");
        ping.query_async(&mut connection).await.unwrap()
    })
}

#[tokio::test]
async fn redis_rs_has_its_turn_among_the_others() {
    let (wire, mut server, guest) = Server::start(1 << 16);
    let connection = redis_rs(guest, ProtocolVersion::RESP2).await;
    let before = ask(&wire, 1, "a");
    let between = ping(&connection);
    settle().await;
    let after = ask(&wire, 1, "b");
    settle().await;
    assert_eq!(server.received(), "a*1\r\n$4\r\nPING\r\nb");
    server.say(":1\r\n*2\r\n:2\r").await;
    server.say("\n$1\r\nx\r\n:3\r\n").await;
    assert_eq!(answer(&before), Some(vec![int(1)]));
    let text = Value::BulkString(b"x".to_vec());
    assert_eq!(between.await.unwrap(), Value::Array(vec![int(2), text]));
    assert_eq!(answer(&after), Some(vec![int(3)]));
}

#[tokio::test]
async fn redis_rs_gets_what_nobody_has_asked_for() {
    let (wire, mut server, mut guest) = Server::start_as(1 << 16, true);
    let call = ask(&wire, 2, "a");
    let push = ">2\r\n$1\r\nm\r\n:9\r\n";
    server
        .say(&format!(":1\r\n{push}:2\r\n-ERR nobody\r\n"))
        .await;
    assert_eq!(answer(&call), Some(vec![int(1), int(2)]));
    let mut passed_on = vec![0; 100];
    let count = guest.read(&mut passed_on).await.unwrap();
    let expected = format!("{push}-ERR nobody\r\n");
    assert_eq!(String::from_utf8_lossy(&passed_on[..count]), expected);
}

#[tokio::test]
async fn a_command_is_sent_when_it_is_whole() {
    let (wire, mut server, mut guest) = Server::start(1 << 16);
    guest.write_all(b"*1\r\n$4\r\nPI").await.unwrap();
    let _other = ask(&wire, 1, "a");
    settle().await;
    assert_eq!(server.received(), "a");
    guest.write_all(b"NG\r\n").await.unwrap();
    settle().await;
    assert_eq!(server.received(), "*1\r\n$4\r\nPING\r\n");
}

#[tokio::test]
async fn a_subscription_is_answered_by_pushes() {
    for (has_pushes, answer_to_it) in [(true, ">1\r\n:0\r\n"), (false, "*1\r\n:0\r\n")] {
        let (wire, mut server, mut guest) = Server::start_as(1 << 16, has_pushes);
        guest
            .write_all(b"*2\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n")
            .await
            .unwrap();
        let call = ask(&wire, 1, "a");
        settle().await;
        server.say(&format!("{answer_to_it}:1\r\n")).await;
        assert_eq!(answer(&call), Some(vec![int(1)]), "{has_pushes}");
    }
}

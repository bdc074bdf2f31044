//! Subscriptions on connections of one's own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::moving::move_slot;
use common::{calls, clients, run, until};
use futures_util::StreamExt;
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Cmd, PushInfo, PushKind, RedisResult, Value};
use testbed::{Cluster, Node, Server};
use wait_pool_redis::{Builder, Connection, Pool, PushMessages, Slot, cluster};

const RESP3: &str = "?protocol=resp3";
/// For what comes at once if it comes at all.
const LIMIT: Duration = Duration::from_secs(20);

fn pool(server: &Server, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    let url = format!("{}/{RESP3}", server.url());
    set(Pool::builder(url)).build().unwrap()
}

fn start(masters: usize) -> (Cluster, cluster::Pool) {
    let cluster = Cluster::start(masters, 0).unwrap();
    let urls = cluster.urls();
    let urls = urls.iter().map(|url| format!("{url}/{RESP3}"));
    let pool = cluster::Pool::builder(urls).build().unwrap();
    (cluster, pool)
}

fn words(words: &str) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg(words.split(' ').collect::<Vec<_>>());
    cmd
}

async fn id(own: &mut Connection) -> u64 {
    words("CLIENT ID").query_async(own).await.unwrap()
}

/// Asks for many things that differ: each has to get its own answer.
async fn answers_are_its_own(own: &mut Connection) {
    for n in 0..20 {
        let said: i32 = words(&format!("ECHO {n}")).query_async(own).await.unwrap();
        assert_eq!(said, n);
    }
}

/// The next message, without the confirmations before it.
async fn message(messages: &mut PushMessages) -> PushInfo {
    let confirmed = |kind: &PushKind| {
        matches!(
            kind,
            PushKind::Subscribe | PushKind::PSubscribe | PushKind::SSubscribe
        )
    };
    loop {
        let next = tokio::time::timeout(LIMIT, messages.recv()).await;
        let next = next.unwrap().unwrap();
        if !confirmed(&next.kind) {
            return next;
        }
    }
}

fn texts(push: &PushInfo) -> Vec<String> {
    let text = |value: &Value| redis::from_redis_value(value.clone()).unwrap();
    push.data.iter().map(text).collect()
}

/// How many clients are subscribed to a channel.
fn subscribers(node: &Node, channel: &str) -> i32 {
    let (_, count): (String, i32) = run(node, &format!("PUBSUB NUMSUB {channel}"));
    count
}

#[tokio::test]
async fn what_is_published_comes_in_order() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    let mut own = pool.get().await.unwrap();
    let mut messages = own.push_messages().unwrap();
    own.subscribe(&["a", "b"]).await.unwrap();
    own.psubscribe("c*").await.unwrap();
    for n in 0..100 {
        let channel = ["a", "b", "c7", "d"][n % 4];
        let heard: i32 = pool.publish(channel, n).await.unwrap();
        assert_eq!(heard, i32::from(channel != "d"));
        // Its own requests go on beside the messages.
        answers_are_its_own(&mut own).await;
    }
    for n in (0..100).filter(|n| n % 4 != 3) {
        let message = message(&mut messages).await;
        let number = n.to_string();
        match n % 4 {
            2 => {
                assert_eq!(message.kind, PushKind::PMessage);
                assert_eq!(texts(&message), ["c*", "c7", &number]);
            }
            channel => {
                assert_eq!(message.kind, PushKind::Message);
                assert_eq!(texts(&message), [["a", "b"][channel], &number]);
            }
        }
    }
    own.unsubscribe("a").await.unwrap();
    assert_eq!(pool.publish::<_, _, i32>("a", 1).await.unwrap(), 0);
    assert_eq!(pool.publish::<_, _, i32>("b", 1).await.unwrap(), 1);
}

#[tokio::test]
async fn sharded_channels_are_heard_at_the_owner_of_their_slot() {
    let (cluster, mut pool) = start(3);
    for channel in ["news", "weather", "sports"] {
        let mut own = pool.pin(channel).await.unwrap();
        let mut messages = own.push_messages().unwrap();
        own.ssubscribe(channel).await.unwrap();
        for n in 0..20 {
            let heard: i32 = pool.spublish(channel, n).await.unwrap();
            assert_eq!(heard, 1);
        }
        for n in 0..20 {
            let message = message(&mut messages).await;
            assert_eq!(message.kind, PushKind::SMessage);
            assert_eq!(texts(&message), [channel, &n.to_string()]);
        }
    }
    // Elsewhere it is refused.
    let owner = cluster.slot_owner(Slot::of(b"news").number()).unwrap();
    let other = cluster
        .masters()
        .iter()
        .find(|node| node.port() != owner.port());
    let addr = wait_pool_redis::NodeAddr::new("127.0.0.1", other.unwrap().port());
    let mut own = pool.pin_node(&addr).await.unwrap();
    let refused = own.ssubscribe("news").await.unwrap_err();
    assert_eq!(refused.code(), Some("MOVED"), "{refused}");
    answers_are_its_own(&mut own).await;
    // What is published in the whole cluster is heard at any node.
    let mut messages = own.push_messages().unwrap();
    own.subscribe("everywhere").await.unwrap();
    let _: i32 = pool.publish("everywhere", 7).await.unwrap();
    assert_eq!(texts(&message(&mut messages).await), ["everywhere", "7"]);
}

/// redis-rs takes the first confirmation for the answer, and all others for those of the next requests.
#[tokio::test]
async fn commands_that_name_several_channels_do_not_mix_up_answers() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder);
    let mut own = pool.get().await.unwrap();
    for command in [
        "SUBSCRIBE a b c",
        "PSUBSCRIBE d* e*",
        "SSUBSCRIBE f g h",
        "UNSUBSCRIBE a b",
        "SUNSUBSCRIBE f",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SUNSUBSCRIBE",
        // Of nothing: one confirmation each.
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SUNSUBSCRIBE",
        "UNSUBSCRIBE x y",
    ] {
        // At once, so that an answer is awaited while the confirmations come.
        let mut other = own.clone();
        let command = words(command);
        let both = async {
            tokio::join!(
                command.query_async::<()>(&mut own),
                answers_are_its_own(&mut other)
            )
        };
        let (done, ()) = tokio::time::timeout(LIMIT, both).await.unwrap();
        done.unwrap();
        answers_are_its_own(&mut own).await;
    }
    let mut pipeline = redis::pipe();
    pipeline.cmd("SUBSCRIBE").arg("a").ignore();
    pipeline.cmd("ECHO").arg("between");
    pipeline.cmd("UNSUBSCRIBE").arg("a").ignore();
    let said: Vec<String> = pipeline.query_async(&mut own).await.unwrap();
    assert_eq!(said, ["between"]);
    answers_are_its_own(&mut own).await;
    assert!(
        own.req_packed_command(&words("SUBSCRIBE"))
            .await
            .is_ok_and(|value| { matches!(value, Value::ServerError(_)) })
    );
    answers_are_its_own(&mut own).await;
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_before_it_is_sent() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut own = pool.get().await.unwrap();
    let before = id(&mut own).await;
    for command in [
        "MONITOR",
        "CLIENT REPLY OFF",
        "CLIENT REPLY SKIP",
        "PSYNC ? -1",
    ] {
        let refused = words(command)
            .query_async::<()>(&mut own)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("no longer match"), "{refused}");
    }
    for (commands, reason) in [
        (&["SUBSCRIBE a b"][..], "one channel"),
        (&["GET a", "SUNSUBSCRIBE"], "one channel"),
        (&["MULTI", "SUBSCRIBE a"], "transaction"),
        (&["MONITOR"], "no longer match"),
    ] {
        let mut pipeline = redis::pipe();
        for command in commands {
            pipeline.add_command(words(command));
        }
        let refused = pipeline.query_async::<()>(&mut own).await.unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    let mut atomic = redis::pipe();
    atomic.atomic().cmd("SUBSCRIBE").arg("a");
    let refused = atomic.query_async::<()>(&mut own).await.unwrap_err();
    assert!(refused.to_string().contains("transaction"), "{refused}");
    drop(own);
    let mut own = pool.get().await.unwrap();
    assert_eq!(
        id(&mut own).await,
        before,
        "nothing has happened to the connection"
    );

    words("MULTI").query_async::<()>(&mut own).await.unwrap();
    let refused = own.subscribe("a").await.unwrap_err();
    assert!(refused.to_string().contains("transaction"), "{refused}");
    words("DISCARD").query_async::<()>(&mut own).await.unwrap();
    words("HELLO 2")
        .query_async::<Value>(&mut own)
        .await
        .unwrap();
    let refused = own.subscribe("a").await.unwrap_err();
    assert!(refused.to_string().contains("HELLO"), "{refused}");
    assert_eq!(calls(&server, "subscribe"), 0);
    assert_eq!(calls(&server, "monitor"), 0);
}

/// There a subscription would never be answered, and its messages would be taken for answers.
#[tokio::test]
async fn without_resp3_subscriptions_are_refused_and_told_what_they_need() {
    let server = Server::start().unwrap();
    let pool = Pool::builder(server.url()).build().unwrap();
    let mut own = pool.get().await.unwrap();
    let refused = own.push_messages().unwrap_err();
    assert!(refused.to_string().contains("protocol=resp3"), "{refused}");
    for refused in [
        own.subscribe("a").await.unwrap_err(),
        own.ssubscribe("a").await.unwrap_err(),
        words("PSUBSCRIBE a")
            .query_async::<()>(&mut own)
            .await
            .unwrap_err(),
        redis::pipe()
            .cmd("SUBSCRIBE")
            .arg("a")
            .query_async::<()>(&mut own)
            .await
            .unwrap_err(),
    ] {
        assert!(refused.to_string().contains("protocol=resp3"), "{refused}");
    }
    assert_eq!(calls(&server, "subscribe"), 0);
    answers_are_its_own(&mut own).await;
}

/// G12: whatever way a subscriber ends.
#[tokio::test]
async fn the_next_user_hears_nothing_of_the_last_ones_subscriptions() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(1));
    for exit in ["return", "unsubscribe", "panic", "abort"] {
        let user = {
            let pool = pool.clone();
            async move {
                let mut own = pool.get().await.unwrap();
                own.subscribe("a").await.unwrap();
                let _messages = own.push_messages().unwrap();
                match exit {
                    "unsubscribe" => own.unsubscribe("a").await.unwrap(),
                    "panic" => panic!("on purpose"),
                    "abort" => std::future::pending().await,
                    _ => {}
                }
                id(&mut own).await
            }
        };
        let task = tokio::spawn(user);
        if exit == "abort" {
            until("it is subscribed", || subscribers(&server, "a") == 1).await;
            task.abort();
        }
        let last = task.await;
        let mut own = pool.get().await.unwrap();
        let mut messages = own.push_messages().unwrap();
        let now = id(&mut own).await;
        assert!(
            last.is_err() || last.is_ok_and(|last| last != now),
            "{exit}"
        );
        until("nobody is subscribed", || subscribers(&server, "a") == 0).await;
        run::<i32>(&server, "PUBLISH a stray");
        answers_are_its_own(&mut own).await;
        let nothing = tokio_test::task::spawn(messages.recv()).poll().is_pending();
        assert!(nothing, "{exit}");
    }
    let _: i32 = pool.publish("a", 1).await.unwrap();
    assert_eq!(clients(&server).len(), 1);
}

/// The server says so, and without a request under way nothing is lost.
#[tokio::test]
async fn a_slot_that_moves_away_ends_its_sharded_subscriptions() {
    let (cluster, mut pool) = start(3);
    let mut own = pool.pin("news").await.unwrap();
    let mut messages = own.push_messages().unwrap();
    own.ssubscribe("news").await.unwrap();
    let new = move_slot(&cluster, "news");
    let told = message(&mut messages).await;
    assert_eq!(told.kind, PushKind::SUnsubscribe);
    assert_eq!(texts(&told)[0], "news");
    answers_are_its_own(&mut own).await;
    let moved = own.ssubscribe("news").await.unwrap_err();
    assert_eq!(moved.code(), Some("MOVED"), "{moved}");
    // And where it has gone to it goes on.
    let mut own = pool.pin("news").await.unwrap();
    assert!(clients(&cluster.masters()[new]).contains(&id(&mut own).await));
    let mut messages = own.push_messages().unwrap();
    own.ssubscribe("news").await.unwrap();
    assert_eq!(pool.spublish::<_, _, i32>("news", 7).await.unwrap(), 1);
    assert_eq!(texts(&message(&mut messages).await), ["news", "7"]);
}

/// redis-rs takes the end of the subscription for the answer to whatever is under way. Nobody is given a wrong one.
#[tokio::test]
async fn a_subscription_that_ends_under_a_request_fails_it_and_mixes_up_nothing() {
    let (cluster, pool) = start(3);
    let owner = cluster.slot_owner(Slot::of(b"news").number()).unwrap();
    // What waits stays where it is: it has no key in the slot that moves.
    let list = common::key_where("list", |slot| {
        slot != Slot::of(b"news")
            && cluster.slot_owner(slot.number()).unwrap().port() == owner.port()
    });
    let mut own = pool.pin("news").await.unwrap();
    let before = id(&mut own).await;
    let mut messages = own.push_messages().unwrap();
    own.ssubscribe("news").await.unwrap();
    let waiting = tokio::spawn({
        let (mut own, list) = (own.clone(), list.clone());
        async move { own.blpop::<_, (String, i32)>(list, 0.0).await }
    });
    until("it waits at the server", || {
        let list: String = run(owner, "CLIENT LIST");
        list.contains("cmd=blpop")
    })
    .await;
    move_slot(&cluster, "news");
    assert_eq!(message(&mut messages).await.kind, PushKind::SUnsubscribe);
    let failed = waiting.await.unwrap().unwrap_err();
    assert!(failed.is_connection_dropped(), "{failed}");
    assert!(
        failed.to_string().contains("sharded subscription"),
        "{failed}"
    );
    let said: RedisResult<String> = words("ECHO mine").query_async(&mut own).await;
    assert!(said.unwrap_err().is_connection_dropped());
    drop((own, messages));
    let addr = wait_pool_redis::NodeAddr::new("127.0.0.1", owner.port());
    let mut next = pool.pin_node(&addr).await.unwrap();
    assert_ne!(id(&mut next).await, before);
    answers_are_its_own(&mut next).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_ends_the_stream() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut own = pool.get().await.unwrap();
    let mut messages = own.push_messages().unwrap();
    own.subscribe("a").await.unwrap();
    run::<i32>(&server, "PUBLISH a last");
    let id = id(&mut own).await;
    run::<i32>(&server, &format!("CLIENT KILL ID {id}"));
    assert_eq!(texts(&message(&mut messages).await), ["a", "last"]);
    assert_eq!(message(&mut messages).await.kind, PushKind::Disconnection);
    let end = tokio::time::timeout(LIMIT, messages.recv()).await;
    assert!(end.unwrap().is_none());
    let gone = own.push_messages().unwrap_err();
    assert!(gone.is_connection_dropped(), "{gone}");
    drop((own, messages));
    answers_are_its_own(&mut pool.get().await.unwrap()).await;
}

#[tokio::test]
async fn a_stream_keeps_its_connection_and_the_latest_one_hears() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut own = pool.get().await.unwrap();
    let mut first = own.push_messages().unwrap();
    own.subscribe("a").await.unwrap();
    let mut second = own.push_messages().unwrap();
    drop(own);
    assert_eq!(pool.status().in_use, 1);
    run::<i32>(&server, "PUBLISH a 1");
    assert_eq!(texts(&message(&mut second).await), ["a", "1"]);
    assert_eq!(first.next().await.unwrap().kind, PushKind::Subscribe);
    assert!(first.next().await.is_none() && !first.is_overrun());
    drop(first);
    assert_eq!(pool.status().in_use, 1);
    drop(second);
    assert_eq!(pool.status().in_use, 0);
    until("nobody is subscribed", || subscribers(&server, "a") == 0).await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_keeps_a_working_connection() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(2));
    let mut own = pool.get().await.unwrap();
    own.subscribe("a").await.unwrap();
    let mut messages = own.push_messages().unwrap();
    let mut flood = redis::pipe();
    for n in 0..20_000 {
        flood.publish("a", n);
    }
    let heard: Vec<i32> = flood.query_async(&mut pool).await.unwrap();
    assert!(heard.iter().all(|heard| *heard == 1));
    answers_are_its_own(&mut own).await;
    assert!(messages.is_overrun());
    let mut expected = 0;
    while let Some(message) = messages.next().await {
        assert_eq!(texts(&message), ["a", &expected.to_string()]);
        expected += 1;
    }
    assert_eq!(expected, 16_384);
    let mut messages = own.push_messages().unwrap();
    run::<i32>(&server, "PUBLISH a again");
    assert_eq!(texts(&message(&mut messages).await), ["a", "again"]);
}

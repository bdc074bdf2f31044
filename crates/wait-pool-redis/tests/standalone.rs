//! The pool for one server, on a real one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{calls, clients, run, until};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, FromRedisValue, RedisError, RedisResult};
use testbed::Server;
use tokio::task::JoinSet;
use wait_pool_redis::{BuildError, Builder, Pool};

fn pool(server: &Server, set: impl FnOnce(Builder<Pool>) -> Builder<Pool>) -> Pool {
    set(Pool::builder(server.url())).build().unwrap()
}

/// `AsyncCommands::get`: on the pool itself, `get` takes a connection.
async fn read<T: FromRedisValue>(pool: &mut Pool, key: &str) -> RedisResult<T> {
    pool.get(key).await
}

#[tokio::test]
async fn commands_pipelines_and_async_commands_run_on_the_handle() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    let _: () = redis::cmd("SET")
        .arg("a")
        .arg(1)
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!(read::<i32>(&mut pool, "a").await.unwrap(), 1);
    let (a, b, c): (i32, Option<i32>, i32) = redis::pipe()
        .incr("a", 1)
        .get("b")
        .set("c", 5)
        .ignore()
        .get("c")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!((a, b, c), (2, None, 5));
    let atomic: (i32, i32) = redis::pipe()
        .atomic()
        .incr("a", 1)
        .get("a")
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!(atomic, (3, 3));
    for n in 0..50 {
        let _: () = pool.sadd("set", n).await.unwrap();
    }
    let mut members = pool.sscan::<_, i32>("set").await.unwrap();
    let mut seen = 0;
    while members.next_item().await.is_some() {
        seen += 1;
    }
    assert_eq!(seen, 50);
}

/// G1, counted at the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_waits_at_the_bound_and_everybody_is_served() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(3).max_leases(2));
    let mut crowd = JoinSet::new();
    for number in 0..200 {
        let mut pool = pool.clone();
        crowd.spawn(async move {
            for round in 0..20 {
                let key = format!("{number}:{round}");
                let _: () = pool.set(&key, &key).await.unwrap();
                let value: String = read(&mut pool, &key).await.unwrap();
                assert_eq!(value, key);
            }
        });
    }
    let mut most = 0;
    while !crowd.is_empty() {
        tokio::select! {
            _ = tokio::time::sleep(Duration::from_millis(5)) => {
                most = most.max(clients(&server).len());
            }
            done = crowd.join_next() => done.unwrap().unwrap(),
        }
    }
    assert_eq!(most, 3, "connections at the server");
    let status = pool.status();
    assert_eq!((status.size, status.idle, status.waiting), (3, 3, 0));
}

#[tokio::test]
async fn each_position_of_a_pipeline_has_its_own_result() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    let results: Vec<RedisResult<i32>> = redis::pipe()
        .set("text", "x")
        .ignore()
        .incr("number", 1)
        .incr("text", 1)
        .incr("number", 1)
        .ignore_errors()
        .query_async(&mut pool)
        .await
        .unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(
        (results[0].as_ref().unwrap(), results[2].as_ref().unwrap()),
        (&1, &2)
    );
    assert!(results[1].is_err());
}

/// G12 on the shared handle: what would change the connection for others is refused.
#[tokio::test]
async fn commands_for_a_connection_of_ones_own_are_refused_before_anything_is_sent() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    for words in [
        "SELECT 1",
        "WATCH a",
        "MULTI",
        "SUBSCRIBE c",
        "CLIENT REPLY OFF",
    ] {
        let mut cmd = redis::Cmd::new();
        for word in words.split(' ') {
            cmd.arg(word);
        }
        let error = cmd.query_async::<()>(&mut pool).await.unwrap_err();
        assert!(error.to_string().contains("Pool::get()"), "{error}");
        let name = words.split(' ').next().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
    let mut pipeline = redis::pipe();
    pipeline.set("a", 1).cmd("SELECT").arg(1);
    assert!(pipeline.query_async::<()>(&mut pool).await.is_err());
    assert_eq!(calls(&server, "set"), 0);
    assert!(clients(&server).is_empty());
}

/// G12 on one's own connection: what one user leaves behind never reaches the next.
#[tokio::test]
async fn a_connection_with_session_state_is_replaced() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    {
        let mut own = pool.get().await.unwrap();
        let _: () = redis::cmd("SELECT")
            .arg(3)
            .query_async(&mut own)
            .await
            .unwrap();
        let _: () = own.set("where", 3).await.unwrap();
    }
    let mut other = pool.get().await.unwrap();
    let found: Option<i32> = other.get("where").await.unwrap();
    assert_eq!(found, None, "the next user is in database 0");
    let id: u64 = redis::cmd("CLIENT")
        .arg("ID")
        .query_async(&mut other)
        .await
        .unwrap();
    drop(other);
    let mut again = pool.get().await.unwrap();
    let same: u64 = redis::cmd("CLIENT")
        .arg("ID")
        .query_async(&mut again)
        .await
        .unwrap();
    assert_eq!(id, same, "a clean connection is used again");
}

#[tokio::test]
async fn a_lock_watched_on_ones_own_connection_holds() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    let _: () = pool.set("stock", 1).await.unwrap();
    let mut own = pool.get().await.unwrap();
    let _: () = redis::cmd("WATCH")
        .arg("stock")
        .query_async(&mut own)
        .await
        .unwrap();
    let _: () = pool.set("stock", 2).await.unwrap();
    let done: Option<()> = redis::pipe()
        .atomic()
        .set("stock", 9)
        .query_async(&mut own)
        .await
        .unwrap();
    assert!(done.is_none(), "somebody wrote in between");
    assert_eq!(read::<i32>(&mut pool, "stock").await.unwrap(), 2);
}

#[tokio::test]
async fn a_blocking_command_that_was_dropped_takes_nothing_from_the_list() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(1));
    let mut own = pool.get().await.unwrap();
    let blocked = own.blpop::<_, (String, String)>("list", 0.0);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), blocked)
            .await
            .is_err()
    );
    drop(own);
    until("the connection is closed", || clients(&server).is_empty()).await;
    let _: () = pool.rpush("list", "element").await.unwrap();
    assert_eq!(pool.llen::<_, i32>("list").await.unwrap(), 1);
}

/// G4, as in the leak of March 2023: the answer to a dropped command must never be another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_dropped_command_reaches_nobody_else() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1).max_leases(8));
    for number in 0..20 {
        let _: () = pool.clone().set(number, number).await.unwrap();
    }
    for round in 0..20 {
        run::<()>(&server, "CLIENT PAUSE 20 ALL");
        let mut crowd = JoinSet::new();
        for number in 0..20 {
            let mut pool = pool.clone();
            crowd.spawn(async move {
                let patience = Duration::from_millis((number + round) % 7 * 5);
                let mut pipeline = redis::pipe();
                pipeline.get(number).get(number);
                let request = pipeline.query_async::<(u64, u64)>(&mut pool);
                if let Ok(values) = tokio::time::timeout(patience, request).await {
                    assert_eq!(values.unwrap(), (number, number));
                }
            });
        }
        while let Some(done) = crowd.join_next().await {
            done.unwrap();
        }
    }
    until("all places are free", || pool.status().holders == 0).await;
    assert_eq!(clients(&server).len(), 1, "and the connection was kept");
}

#[tokio::test]
async fn a_deadline_ends_the_request_and_not_the_connection() {
    let server = Server::start().unwrap();
    let limit = Duration::from_millis(100);
    let mut pool = pool(&server, |builder| {
        builder.max_size(1).request_timeout(limit)
    });
    let _: () = pool.set("a", 1).await.unwrap();
    let before = clients(&server);
    server.stop();
    let error = read::<i32>(&mut pool, "a").await.unwrap_err();
    server.cont();
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("request_timeout"), "{error}");
    until("it answers again", || !clients(&server).is_empty()).await;
    assert_eq!(read::<i32>(&mut pool, "a").await.unwrap(), 1);
    assert_eq!(clients(&server), before);
}

#[tokio::test]
async fn a_caller_that_waits_in_vain_is_told_why() {
    let server = Server::start().unwrap();
    let limit = Duration::from_millis(100);
    let pool = pool(&server, |builder| {
        builder
            .name("orders")
            .max_size(1)
            .request_timeout(limit)
            .wait_timeout(limit)
    });
    let _own = pool.get().await.unwrap();
    for error in [
        pool.check_out().await.unwrap_err(),
        read::<Option<i32>>(&mut pool.clone(), "a")
            .await
            .unwrap_err(),
    ] {
        assert!(error.is_timeout());
        for part in ["orders", "1 in use", "standalone.rs"] {
            assert!(
                error.to_string().contains(part),
                "{part:?} is not in {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_at_once() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    server.kill().unwrap();
    let begun = std::time::Instant::now();
    let error = read::<i32>(&mut pool, "a").await.unwrap_err();
    assert!(error.is_connection_refusal(), "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "not at the deadline"
    );
    let own = RedisError::from(pool.get().await.unwrap_err());
    assert!(own.is_connection_refusal(), "{own}");
}

#[tokio::test]
async fn a_restarted_server_is_found_again_and_reads_are_repeated() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(2));
    let _: () = pool.set("a", 1).await.unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    // The pool's connection is dead and does not know: a read is sent once more.
    assert_eq!(read::<Option<i32>>(&mut pool, "a").await.unwrap(), None);
    assert_eq!(pool.status().size, 1);
}

/// One lost connection tells of the others: they are looked at before they are used.
#[tokio::test]
async fn a_restart_costs_one_write_at_most_however_many_connections_it_ends() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(8).max_connecting(8));
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(pool.get().await.unwrap());
    }
    drop(held);
    assert_eq!(pool.status().idle, 8);
    server.kill().unwrap();
    server.restart().unwrap();
    let mut failed = 0;
    for n in 0..20 {
        let mut own = pool.get().await.unwrap();
        let written: RedisResult<()> = own.set(n, n).await;
        failed += usize::from(written.is_err());
        drop(own);
        let written: RedisResult<()> = pool.clone().set(n, n).await;
        failed += usize::from(written.is_err());
    }
    assert_eq!(failed, 1);
}

/// The server ignores a command without words, and would answer everybody else one too late.
#[tokio::test]
async fn a_command_without_words_is_refused() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(1));
    let mut pipeline = redis::pipe();
    pipeline.get("a").add_command(redis::Cmd::new());
    let mut own = pool.get().await.unwrap();
    for error in [
        own.req_packed_command(&redis::Cmd::new())
            .await
            .unwrap_err(),
        pipeline.query_async::<()>(&mut own).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("empty command"), "{error}");
    }
    drop(own);
    for error in [
        pool.req_packed_command(&redis::Cmd::new())
            .await
            .unwrap_err(),
        pipeline.query_async::<()>(&mut pool).await.unwrap_err(),
        redis::pipe()
            .query_async::<()>(&mut pool)
            .await
            .unwrap_err(),
    ] {
        assert!(error.to_string().contains("empty command"), "{error}");
    }
    for n in 0..10 {
        let mut echo = redis::cmd("ECHO");
        assert_eq!(echo.arg(n).query_async::<i32>(&mut pool).await.unwrap(), n);
    }
}

#[tokio::test]
async fn requests_on_ones_own_connection_end_at_the_request_timeout() {
    let server = Server::start().unwrap();
    let limit = Duration::from_millis(100);
    let pool = pool(&server, |builder| {
        builder.max_size(1).request_timeout(limit)
    });
    let mut own = pool.get().await.unwrap();
    // Longer than the limit, by its own words.
    let nothing: Option<(String, String)> = own.blpop("list", 0.2).await.unwrap();
    assert!(nothing.is_none());
    server.stop();
    let error = own.set::<_, _, ()>("a", 1).await.unwrap_err();
    server.cont();
    assert!(
        error.is_timeout() && error.to_string().contains("request_timeout"),
        "{error}"
    );
    drop(own);
    assert_eq!(
        pool.status().size,
        0,
        "its answer may yet come: nobody else gets it"
    );
}

#[test]
fn outside_of_a_runtime_requests_are_refused() {
    let server = Server::start().unwrap();
    let mut warm = pool(&server, |builder| builder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { warm.set::<_, _, ()>("a", 1).await.unwrap() });
    let mut request = tokio_test::task::spawn(warm.set::<_, _, ()>("a", 1));
    let error = tokio_test::assert_ready_err!(request.poll());
    assert!(
        error.to_string().contains("outside of a tokio runtime"),
        "{error}"
    );
}

/// G9: what may have run is not sent again unless it only reads.
#[tokio::test]
async fn a_write_whose_connection_is_lost_is_not_repeated() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder.max_size(1));
    let _: () = pool.set("n", 0).await.unwrap();
    server.stop();
    let mut other = pool.clone();
    let write = tokio::spawn(async move { other.incr::<_, _, i32>("n", 1).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.kill().unwrap();
    server.restart().unwrap();
    let error = write.await.unwrap().unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    assert_eq!(read::<Option<i32>>(&mut pool, "n").await.unwrap(), None);
}

#[tokio::test]
async fn a_closed_pool_says_so() {
    let server = Server::start().unwrap();
    let mut pool = pool(&server, |builder| builder);
    let _: () = pool.set("a", 1).await.unwrap();
    pool.close();
    assert!(pool.is_closed());
    let error = read::<i32>(&mut pool, "a").await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    until("its connections are closed", || clients(&server).is_empty()).await;
}

#[tokio::test]
async fn a_taken_connection_is_no_longer_the_pools() {
    let server = Server::start().unwrap();
    let pool = pool(&server, |builder| builder.max_size(1));
    let mut taken = wait_pool_redis::Connection::take(pool.get().await.unwrap());
    assert_eq!(pool.status().size, 0);
    let mut own = pool.get().await.unwrap();
    let _: () = taken.set("a", 1).await.unwrap();
    assert_eq!(own.get::<_, i32>("a").await.unwrap(), 1);
}

#[tokio::test]
async fn the_database_of_the_url_is_used() {
    let server = Server::start().unwrap();
    let mut third = Pool::builder(format!("{}/3", server.url()))
        .build()
        .unwrap();
    let _: () = third.set("a", 1).await.unwrap();
    assert_eq!(third.get_db(), 3);
    let mut none = pool(&server, |builder| builder);
    assert_eq!(read::<Option<i32>>(&mut none, "a").await.unwrap(), None);
}

/// A password is shown nowhere.
#[tokio::test]
async fn secrets_are_not_shown() {
    let server = Server::start().unwrap();
    run::<()>(&server, "CONFIG SET requirepass open-sesame");
    let address = server.url().replace("redis://", "");
    let builder = Pool::builder(format!("redis://:open-sesame@{address}"));
    let mut shown = vec![format!("{builder:?}")];
    let mut right = builder.build().unwrap();
    let _: () = right.set("a", 1).await.unwrap();
    shown.push(format!("{right:?} {:?}", right.get().await.unwrap()));
    let mut wrong = Pool::builder(format!("redis://:close-sesame@{address}"))
        .build()
        .unwrap();
    let error = read::<i32>(&mut wrong, "a").await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed);
    assert!(
        error.to_string().to_lowercase().contains("authentication"),
        "{error}"
    );
    shown.push(format!("{error} {error:?} {wrong:?}"));
    for text in shown {
        assert!(!text.contains("sesame"), "{text}");
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    let error = Pool::builder("redis://h").max_size(0).build().unwrap_err();
    assert!(error.to_string().contains("max_size"), "{error}");
    let zero = Duration::ZERO;
    let error = Pool::builder("redis://h")
        .request_timeout(zero)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("request_timeout"), "{error}");
    let error = Pool::builder("carrot://h").build().unwrap_err();
    assert!(matches!(error, BuildError::Url(_)));
}

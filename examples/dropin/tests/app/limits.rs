//! Limits, hooks and what happens when things do not go well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_redis::redis::{self, AsyncCommands, AsyncConnectionConfig, RedisResult};
use deadpool_redis::{
    BuildError, Hook, HookError, Manager, Metrics, Pool, PoolBuilder, PoolError, Runtime, Status,
    TimeoutType, Timeouts,
};

use super::Journal;

/// Every variant, as an application that tells its users what happened.
fn told(error: &PoolError) -> &'static str {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => "all in use",
        PoolError::Timeout(TimeoutType::Create) => "slow to connect",
        PoolError::Timeout(TimeoutType::Recycle) => "slow to recycle",
        PoolError::Backend(error) if error.is_connection_refusal() => "nobody there",
        PoolError::Backend(_) => "redis",
        PoolError::Closed => "closed",
        PoolError::NoRuntimeSpecified => "no runtime",
        PoolError::PostCreateHook(HookError::Message(_)) => "hook",
        PoolError::PostCreateHook(HookError::Backend(_)) => "hook's redis",
    }
}

fn builder(url: &str) -> PoolBuilder {
    let manager: Manager = Manager::new(url).unwrap();
    Pool::builder(manager).runtime(Runtime::Tokio1)
}

fn outcome<T>(result: Result<T, PoolError>) -> &'static str {
    match result {
        Ok(_) => "served",
        Err(error) => told(&error),
    }
}

async fn client_id(connection: &mut deadpool_redis::Connection) -> RedisResult<i64> {
    redis::cmd("CLIENT").arg("ID").query_async(connection).await
}

pub(super) async fn run(journal: &mut Journal, url: &str) {
    waits(journal, url).await;
    sizes(journal, url).await;
    hooks(journal, url).await;
    sessions(journal, url).await;
    nobody(journal).await;
}

async fn waits(journal: &mut Journal, url: &str) {
    let pool: Pool = builder(url)
        .max_size(2)
        .wait_timeout(Some(Duration::from_millis(50)))
        .create_timeout(Some(Duration::from_secs(10)))
        .recycle_timeout(Some(Duration::from_secs(10)))
        .build()
        .unwrap();
    let Timeouts {
        wait,
        create,
        recycle,
    } = pool.timeouts();
    journal.note("timeouts", (wait, create, recycle));
    let now = Timeouts::wait_millis(0);
    journal.note(
        "at once, nothing open yet",
        outcome(pool.timeout_get(&now).await),
    );
    let one = pool.get().await.unwrap();
    let _two = pool.timeout_get(&now).await.unwrap();
    journal.note("all in use", outcome(pool.get().await));
    journal.note("all in use, at once", outcome(pool.timeout_get(&now).await));
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { outcome(pool.timeout_get(&Timeouts::new()).await) }
    });
    while pool.status().waiting == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    journal.note("waiting", pool.status().waiting);
    drop(one);
    journal.note("the waiter", waiter.await.unwrap());

    let slow = AsyncConnectionConfig::new().set_response_timeout(None);
    let manager = Manager::new_with_config(url, slow).unwrap();
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    let mut connection = pool.get().await.unwrap();
    let nothing: Option<(String, String)> = connection.blpop("empty", 0.6).await.unwrap();
    journal.note("blpop without a limit", nothing);
    let pool = builder(url).max_size(1).build().unwrap();
    let mut connection = pool.get().await.unwrap();
    let nothing: RedisResult<Option<(String, String)>> = connection.blpop("empty", 5.0).await;
    journal.note(
        "blpop with the default limit",
        nothing.unwrap_err().is_timeout(),
    );
}

async fn sizes(journal: &mut Journal, url: &str) {
    let pool = builder(url).max_size(3).build().unwrap();
    let figures = |status: Status| {
        (
            status.max_size,
            status.size,
            status.available,
            status.waiting,
        )
    };
    journal.note("new", figures(pool.status()));
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    journal.note("two in use", figures(pool.status()));
    drop(held);
    journal.note("two idle", figures(pool.status()));
    let kept = pool.retain(|_, metrics: Metrics| metrics.age() < Duration::from_secs(600));
    journal.note("retained", (kept.retained, kept.removed.len()));
    let mut kept = pool.retain(|_, metrics| metrics.last_used() > Duration::from_secs(600));
    journal.note("removed", (kept.retained, kept.removed.len()));
    let mut removed = kept.removed.remove(0);
    let still: i64 = removed.incr("removed", 1).await.unwrap();
    journal.note("a removed one works", still);
    journal.note("none left", figures(pool.status()));

    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    pool.resize(1);
    journal.note("shrunk", pool.status().max_size);
    drop(held);
    journal.note("after the return", figures(pool.status()));
    pool.resize(4);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    journal.note("grown", figures(pool.status()));
    drop(held);

    let weak = pool.weak();
    journal.note("weak", weak.upgrade().is_some());
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut all = Vec::new();
            while let Ok(one) = pool.get().await {
                all.push(one);
            }
            outcome(pool.get().await)
        }
    });
    while pool.status().waiting == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    journal.note("open", pool.is_closed());
    pool.close();
    journal.note("closed for who waits", waiter.await.unwrap());
    journal.note("closed for the next", outcome(pool.get().await));
    journal.note("closed", (pool.is_closed(), pool.status().max_size));
    journal.note(
        "manager",
        format!("{:?}", pool.manager()).contains("Manager"),
    );
    drop(pool);
    journal.note("gone", weak.upgrade().is_none());
}

async fn hooks(journal: &mut Journal, url: &str) {
    let created = Arc::new(AtomicUsize::new(0));
    let recycled = Arc::new(AtomicUsize::new(0));
    let pool = builder(url)
        .max_size(1)
        .post_create(Hook::async_fn({
            let created = Arc::clone(&created);
            move |connection, metrics| {
                let (created, count) = (Arc::clone(&created), metrics.recycle_count);
                Box::pin(async move {
                    let name = redis::cmd("CLIENT").arg("SETNAME").arg("hooked").take();
                    let () = name
                        .query_async(connection)
                        .await
                        .map_err(HookError::Backend)?;
                    created.fetch_add(1 + count, Ordering::Relaxed);
                    Ok(())
                })
            }
        }))
        .pre_recycle(Hook::sync_fn(|_, metrics| match metrics.recycle_count {
            0 | 1 => Ok(()),
            _ => Err(HookError::message("used up")),
        }))
        .post_recycle(Hook::sync_fn({
            let recycled = Arc::clone(&recycled);
            move |_, _| {
                recycled.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }))
        .build()
        .unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let mut connection = pool.get().await.unwrap();
        let name: String = redis::cmd("CLIENT")
            .arg("GETNAME")
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(name, "hooked");
        ids.push(client_id(&mut connection).await.unwrap());
    }
    journal.note("used three times", ids[0] == ids[2] && ids[2] != ids[3]);
    let (created, recycled) = (
        created.load(Ordering::Relaxed),
        recycled.load(Ordering::Relaxed),
    );
    journal.note("created, recycled", (created, recycled));

    let refusing = |hook: Hook| builder(url).max_size(1).post_create(hook).build().unwrap();
    let message = refusing(Hook::sync_fn(|_, _| Err(HookError::message("no"))));
    journal.note("hook says no", outcome(message.get().await));
    let backend = refusing(Hook::async_fn(|connection, _| {
        Box::pin(async move {
            let unknown = redis::cmd("NOSUCHCOMMAND").take();
            unknown
                .query_async(connection)
                .await
                .map_err(HookError::Backend)
        })
    }));
    journal.note("hook's command fails", outcome(backend.get().await));
}

/// Nothing of one user's session reaches the next.
async fn sessions(journal: &mut Journal, url: &str) {
    let pool = builder(url).max_size(1).build().unwrap();
    let mut connection = pool.get().await.unwrap();
    let first = client_id(&mut connection).await.unwrap();
    drop(connection);
    let mut connection = pool.get().await.unwrap();
    let second = client_id(&mut connection).await.unwrap();
    journal.note("the same connection again", first == second);
    let () = redis::cmd("WATCH")
        .arg("watched")
        .query_async(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let mut other = builder(url).build().unwrap().get().await.unwrap();
    let () = other.set("watched", 1).await.unwrap();
    let mut connection = pool.get().await.unwrap();
    let written: redis::Value = redis::pipe()
        .atomic()
        .set("unwatched", 1)
        .query_async(&mut connection)
        .await
        .unwrap();
    journal.note("not watched any more", written != redis::Value::Nil);
    let dropped = redis::cmd("PING").arg("wrong").take();
    {
        let wrong = dropped.query_async::<String>(&mut connection);
        let _ = tokio::time::timeout(Duration::ZERO, wrong).await;
    }
    drop(connection);
    let right = redis::cmd("PING").arg("right").take();
    let answer: String = right
        .query_async(&mut pool.get().await.unwrap())
        .await
        .unwrap();
    journal.note("its own answer", answer);
}

async fn nobody(journal: &mut Journal) {
    // Nothing listens at the port of a listener that is gone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pool = builder(&format!("redis://127.0.0.1:{port}"))
        .build()
        .unwrap();
    journal.note("nobody there", outcome(pool.get().await));

    // A listener that never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("redis://127.0.0.1:{port}");
    let pool = builder(&url).create_timeout(Some(Duration::from_millis(50)));
    let pool = pool.build().unwrap();
    journal.note("slow to connect", outcome(pool.get().await));
    let refusal: BuildError = BuildError::NoRuntimeSpecified;
    journal.note("a build error", !refusal.to_string().is_empty());
    let error = PoolError::from(redis::RedisError::from(std::io::Error::other("away")));
    journal.note("from redis", told(&error));
}

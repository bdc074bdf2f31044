//! What is to be done before a connection is used may fail or hang, and who does it must be there.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::Instant;
use wait_pool::{AcquireError, ConnectError, Hook};

use crate::common::{Backend, Connection, Connector, Gate, Refused, runtime};
use crate::{Log, is_timeout, ms, secs};

struct Count(Arc<AtomicUsize>);

#[async_trait::async_trait]
impl Hook<Connector> for Count {
    async fn call(&self, _: &mut Connection) -> Result<(), Refused> {
        self.0.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// Fails after so long.
struct Fails(Duration);

#[async_trait::async_trait]
impl Hook<Connector> for Fails {
    async fn call(&self, _: &mut Connection) -> Result<(), Refused> {
        tokio::time::sleep(self.0).await;
        Err(Refused("hook"))
    }
}

struct Hangs;

#[async_trait::async_trait]
impl Hook<Connector> for Hangs {
    async fn call(&self, _: &mut Connection) -> Result<(), Refused> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_connections_are_all_refused_is_heard_of() {
    let (backend, log) = (Backend::new(Gate::Ok), Log::default());
    let pool = backend.pool().max_size(1).before_use(Fails(ms(1)));
    let pool = pool.listener(log.clone()).build().unwrap();
    let refused = pool.get().await.map(drop).unwrap_err();
    let AcquireError::Connect(refused) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(*refused, ConnectError::Failed(Refused("hook"))));
    let told = log.take();
    assert_eq!(told.last().unwrap(), "failed: ConnectionError");
    let count = |word: &str| told.iter().filter(|event| event.starts_with(word)).count();
    assert_eq!((count("failed"), count("out"), count("in")), (1, 2, 2));
    assert_eq!((pool.status().size, backend.live()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_is_given_up_like_a_check() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).check_timeout(secs(1));
    let pool = pool.before_use(Hangs).build().unwrap();
    let begun = Instant::now();
    let hangs = tokio::time::timeout(secs(60 * 60), pool.get()).await;
    let hangs = hangs.unwrap().map(drop).unwrap_err();
    let AcquireError::Connect(hangs) = hangs else {
        panic!("{hangs:?}");
    };
    assert!(matches!(*hangs, ConnectError::TimedOut(after) if after == secs(1)));
    assert!(begun.elapsed() < secs(3), "{:?}", begun.elapsed());
    assert_eq!((pool.status().size, backend.live()), (0, 0));
}

/// Each refusal takes its time: there would be one for each connection there may be.
#[tokio::test(start_paused = true)]
async fn a_caller_is_told_when_its_time_is_up_between_two_refusals() {
    let (backend, log) = (Backend::new(Gate::Ok), Log::default());
    let pool = backend.pool().max_size(100).wait_timeout(secs(1));
    let pool = pool.before_use(Fails(ms(300))).listener(log.clone());
    let pool = pool.build().unwrap();
    let begun = Instant::now();
    assert!(is_timeout(&pool.get().await));
    assert!(begun.elapsed() < secs(2), "{:?}", begun.elapsed());
    let told = log.take();
    let failed: Vec<_> = told
        .iter()
        .filter(|event| event.starts_with("failed"))
        .collect();
    assert_eq!(failed, ["failed: Timeout"]);
    assert_eq!((pool.status().size, pool.status().waiting), (0, 0));
}

/// The runtime that the connection was taken in exists, and nobody drives it any more.
#[test]
fn what_is_done_after_use_is_done_where_the_connection_was_given_back() {
    let (backend, calls) = (Backend::new(Gate::Ok), Arc::new(AtomicUsize::new(0)));
    let pool = backend.pool().max_size(1);
    let pool = pool.after_release(Count(Arc::clone(&calls)));
    let pool = pool.build().unwrap();
    let (idle, driven) = (runtime(), runtime());
    let held = idle.block_on(pool.get()).unwrap();
    driven.block_on(async {
        drop(held);
        drop(pool.get().await.unwrap());
    });
    assert!(calls.load(SeqCst) > 0);
    assert_eq!(backend.attempts(), 1);
    drop(idle);
}

//! Every contestant serves everybody and keeps to its bound, so what is measured is a pool.

use std::time::Duration;

use anyhow::ensure;

use super::case::{Case, Crowd, Memory, Runtime, Setting, compare};
use super::connection::Connector;
use super::contestant::{Contestant, Entry, Limit, Setup, lineup, lineup_of_policies};
use super::sample::Sample;

const NAMES: [&str; 7] = [
    "wait-pool",
    "deadpool",
    "bb8",
    "mobc",
    "asyncband",
    "sqlx",
    "semaphore+vec",
];

/// What every pool has to do, as a case of its own.
struct Duties {
    setting: Setting,
}

const TASKS: usize = 40;
const CHECKOUTS: usize = 10;

impl Case for Duties {
    const UNIT: &'static str = "checkouts";
    const LOWER_IS_BETTER: bool = false;

    fn name(&self) -> &'static str {
        "duties"
    }

    fn setting(&self) -> Setting {
        self.setting
    }

    fn measure<C: Contestant>(&self) -> anyhow::Result<Sample> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()?;
        runtime.block_on(async {
            let served = everybody_is_served::<C>(self.setting).await?;
            a_full_pool_lets_wait::<C>().await?;
            Ok((served as f64).into())
        })
    }
}

async fn everybody_is_served<C: Contestant>(setting: Setting) -> anyhow::Result<usize> {
    let connector = Connector::default();
    let limit = match setting.timeouts {
        true => Limit::Usual,
        false => Limit::Never,
    };
    let pool = C::open(connector.clone(), Setup { size: 16, limit }).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut served = 0;
                while served < CHECKOUTS && checkout(&pool).await {
                    served += 1;
                }
                served
            })
        })
        .collect();
    let mut served = 0;
    for task in tasks {
        served += task.await?;
    }
    let peak = connector.peak();
    ensure!((1..=16).contains(&peak), "{peak} connections were open");
    Ok(served)
}

async fn checkout<C: Contestant>(pool: &C) -> bool {
    let Ok(mut held) = pool.acquire().await else {
        return false;
    };
    tokio::task::yield_now().await;
    held.touch();
    true
}

/// At the bound callers give up after the limit, and are served once a connection is back.
async fn a_full_pool_lets_wait<C: Contestant>() -> anyhow::Result<()> {
    let limit = Limit::Of(Duration::from_millis(20));
    let pool = C::open(Connector::default(), Setup { size: 1, limit }).await;
    let held = pool.acquire().await;
    ensure!(held.is_ok(), "the first caller is not served");
    ensure!(pool.acquire().await.is_err(), "two have one connection");
    drop(held);
    ensure!(checkout(&pool).await, "what is given back serves nobody");
    Ok(())
}

#[test]
fn every_contestant_serves_and_keeps_to_its_bound() {
    for timeouts in [true, false] {
        let runtime = Runtime::MultiThread;
        let case = Duties {
            setting: Setting { runtime, timeouts },
        };
        let report = compare(&case, &lineup(), 1).unwrap();
        let names: Vec<_> = report.results.iter().map(|result| result.name).collect();
        assert_eq!(names, NAMES);
        for result in &report.results {
            assert_eq!(result.median, (TASKS * CHECKOUTS) as f64, "{}", result.name);
            assert!(result.version.is_some(), "{}", result.name);
        }
    }
}

#[test]
fn wait_pool_overtakes_nobody() {
    let runtime = Runtime::CurrentThread;
    let timeouts = true;
    let case = Crowd {
        setting: Setting { runtime, timeouts },
        name: "64-over-16",
        tasks: 64,
        time: Duration::from_millis(5),
        fairness: true,
    };
    let entries: Vec<Entry<Crowd>> = lineup_of_policies().into_iter().take(1).collect();
    let report = compare(&case, &entries, 1).unwrap();
    assert_eq!(report.results[0].name, "wait-pool");
    assert!(report.results[0].median > 0.0);
    assert_eq!(report.results[0].extras["out_of_order"], 0.0);
    assert_eq!(report.results[0].extras["never_served"], 0.0);
}

#[test]
fn waiters_take_memory() {
    let runtime = Runtime::CurrentThread;
    let timeouts = true;
    let case = Memory {
        setting: Setting { runtime, timeouts },
    };
    let report = compare(&case, &lineup(), 1).unwrap();
    for result in &report.results {
        let sane = 100.0..10_000.0;
        assert!(
            sane.contains(&result.median),
            "{}: {}",
            result.name,
            result.median
        );
    }
}

/// What `docs/performance.md` says of allocations.
#[test]
fn our_own_checkouts_allocate_nothing() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let pool = wait_pool::Pool::builder(Connector::default())
            .max_size(1)
            .build()?;
        let free = async || {
            for _ in 0..1_000 {
                drop(pool.get().await?);
                drop(pool.lease().await?);
            }
            anyhow::Ok(())
        };
        let waiting = async || {
            for _ in 0..1_000 {
                let held = pool.get().await?;
                let (next, ()) = futures_util::join!(pool.get(), async { drop(held) });
                drop(next?);
            }
            anyhow::Ok(())
        };
        // Room for the first in each store is made once.
        free().await?;
        waiting().await?;
        assert_eq!(count(free()).await?, 0, "served at once");
        assert_eq!(count(waiting()).await?, 0, "served after a wait");
        Ok(())
    })
}

/// How often a future allocates, which must not have to wait for anybody else.
async fn count(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<u64> {
    let mut work = std::pin::pin!(work);
    let mut allocations = 0;
    let outcome = std::future::poll_fn(|cx| {
        let mut polled = std::task::Poll::Pending;
        let info = allocation_counter::measure(|| polled = work.as_mut().poll(cx));
        allocations += info.count_total;
        polled
    });
    outcome.await?;
    Ok(allocations)
}

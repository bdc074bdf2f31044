//! `memory-per-waiter`: what it takes to stand in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::Context as _;
use tokio::task::yield_now;

use super::{Case, Setting, check_bound};
use crate::pools::connection::Connector;
use crate::pools::contestant::{Contestant, Setup};
use crate::pools::sample::Sample;

/// Those who wait.
const WAITERS: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Memory {
    /// On one thread: only what that thread allocates is counted.
    pub(crate) setting: Setting,
}

impl Case for Memory {
    const UNIT: &'static str = "bytes";
    const LOWER_IS_BETTER: bool = true;

    fn name(&self) -> &'static str {
        "memory-per-waiter"
    }

    fn setting(&self) -> Setting {
        self.setting
    }

    fn measure<C: Contestant>(&self) -> anyhow::Result<Sample> {
        let connector = Connector::default();
        let setup = Setup {
            size: 16,
            limit: self.setting.limit(),
        };
        let runtime = self.setting.runtime.build()?;
        let pool = runtime.block_on(C::open(connector.clone(), setup));
        let mut held = Vec::new();
        for _ in 0..setup.size {
            let connection = runtime.block_on(pool.acquire());
            held.push(connection.ok().context("gave up")?);
        }
        // The runtime's own queues grow with its tasks; they do it before the count begins.
        runtime.block_on(fill(|| async {}));

        let asking = Arc::new(AtomicUsize::new(0));
        let allocated = allocation_counter::measure(|| {
            runtime.block_on(async {
                fill(|| {
                    let (pool, asking) = (pool.clone(), Arc::clone(&asking));
                    async move {
                        asking.fetch_add(1, Relaxed);
                        if let Ok(mut connection) = pool.acquire().await {
                            connection.touch();
                        }
                        asking.fetch_sub(1, Relaxed);
                    }
                })
                .await;
            });
        });
        let waiting = asking.load(Relaxed);
        anyhow::ensure!(waiting == WAITERS, "{waiting} wait, not {WAITERS}");
        // Some give connections back in a task.
        let entered = runtime.enter();
        drop(held);
        drop(entered);
        check_bound(&connector, setup)?;
        Ok((allocated.bytes_current as f64 / WAITERS as f64).into())
    }
}

/// Spawns the tasks and lets all of them run until they wait or end.
async fn fill<F>(task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for _ in 0..WAITERS {
        drop(tokio::spawn(task()));
    }
    // A turn of the runtime ends after some tasks, not after all.
    for _ in 0..WAITERS {
        yield_now().await;
    }
}

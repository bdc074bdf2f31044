//! `uncontended`: one task takes a connection and gives it back, over and over.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Case, Setting, check_bound, open_all};
use crate::pools::connection::Connector;
use crate::pools::contestant::{Contestant, GaveUp, Setup};
use crate::pools::sample::Sample;

/// So many in a row between two looks at the clock.
const BATCH: u32 = 256;

#[derive(Debug)]
pub(crate) struct Uncontended {
    pub(crate) setting: Setting,
    pub(crate) time: Duration,
}

impl Case for Uncontended {
    const UNIT: &'static str = "ns";
    const LOWER_IS_BETTER: bool = true;

    fn name(&self) -> &'static str {
        "uncontended"
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
        let time = self.time;
        let runtime = self.setting.runtime.build()?;
        let ns = runtime.block_on(async {
            let pool: C = open_all(&connector, setup).await?;
            // A task, because that is where pools are used; the outermost future is on no worker.
            let task = tokio::spawn(async move { checkouts(&pool, time).await });
            task.await?.ok().context("gave up")
        })?;
        check_bound(&connector, setup)?;
        Ok(ns.into())
    }
}

/// Nanoseconds for each.
async fn checkouts<C: Contestant>(pool: &C, time: Duration) -> Result<f64, GaveUp> {
    let start = Instant::now();
    let mut done = 0;
    loop {
        for _ in 0..BATCH {
            pool.acquire().await?.touch();
        }
        done += u64::from(BATCH);
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(elapsed.as_secs_f64() * 1e9 / done as f64);
        }
    }
}

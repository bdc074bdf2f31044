//! `goodput-2x`: twice as many requests come as can be served, and nobody waits for ever. What is
//! done for those who have left already is lost.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{Case, Runtime, Setting, check_bound, open_all};
use crate::pools::connection::Connector;
use crate::pools::contestant::{Contestant, Limit, Setup};
use crate::pools::sample::Sample;
use crate::stats::quantile;

const CONNECTIONS: u16 = 4;
/// How long each request uses its connection.
const USE: Duration = Duration::from_millis(10);
/// Two come in the time in which one can be served: 10 ms / 4 connections / 2.
const EVERY: Duration = Duration::from_micros(1_250);
/// A request that is not done by then, counted from when it came, is of no use to anybody.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Goodput {
    /// Until the line is as long as it gets.
    pub(crate) before: Duration,
    pub(crate) time: Duration,
}

impl Case for Goodput {
    const UNIT: &'static str = "percent";
    const LOWER_IS_BETTER: bool = false;

    fn name(&self) -> &'static str {
        "goodput-2x"
    }

    fn setting(&self) -> Setting {
        Setting {
            runtime: Runtime::MultiThread,
            timeouts: true,
        }
    }

    fn measure<C: Contestant>(&self) -> anyhow::Result<Sample> {
        let connector = Connector::default();
        let setup = Setup {
            size: CONNECTIONS,
            limit: Limit::Of(PATIENCE),
        };
        let runtime = self.setting().runtime.build()?;
        let sample = runtime.block_on(async {
            let pool: C = open_all(&connector, setup).await?;
            self.load(pool).await
        })?;
        check_bound(&connector, setup)?;
        Ok(sample)
    }
}

impl Goodput {
    async fn load<C: Contestant>(&self, pool: C) -> anyhow::Result<Sample> {
        let requests = |time: Duration| (time.as_nanos() / EVERY.as_nanos()) as usize;
        let (before, offered) = (requests(self.before), requests(self.time));
        let mut arrivals = interval(EVERY);
        // Late arrivals come all the same, and their time counts from when they were due.
        arrivals.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut tasks = Vec::new();
        for _ in 0..before + offered {
            let (arrived, pool) = (arrivals.tick().await, pool.clone());
            tasks.push(tokio::spawn(async move { request(&pool, arrived).await }));
        }
        let mut served = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            let took = task.await?.filter(|&took| took <= PATIENCE);
            if number >= before {
                served.extend(took.map(|took| took.as_secs_f64() * 1e3));
            }
        }
        served.sort_by(f64::total_cmp);
        let latency = |share, key| Some((key, quantile(&served, share)?));
        let latencies = [latency(0.5, "p50_ms"), latency(0.99, "p99_ms")];
        Ok(Sample {
            value: served.len() as f64 / offered as f64 * 100.0,
            extras: latencies.into_iter().flatten().collect(),
        })
    }
}

/// How long it took, if a connection was there in time.
async fn request<C: Contestant>(pool: &C, arrived: Instant) -> Option<Duration> {
    let mut held = pool.acquire().await.ok()?;
    held.touch();
    sleep(USE).await;
    drop(held);
    Some(arrived.elapsed())
}

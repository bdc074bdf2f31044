//! Puts the features in, and takes them out again, through wait-pool's pipelines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use redis::Pipeline;
use tokio::task::JoinSet;
use wait_pool_redis::cluster::Pool;

use super::failure::told;
use super::features::{self, COUNT};
use super::phase::runtime;
use super::pooled;
use super::progress::Progress;
use super::site::Site;
use super::words::count;
use crate::interrupt;

const PER_PIPELINE: u32 = 250;
const AT_ONCE: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Every so many-th feature is looked at to see whether all are there.
const SAMPLE: usize = 97;

/// Puts every feature in.
pub(super) fn load(site: &Site) -> anyhow::Result<()> {
    all(site, "load", "loaded", true, |pipe, n| {
        pipe.cmd("SET")
            .arg(features::key(n))
            .arg(features::value(n))
            .ignore();
    })
    .context("cannot load the features")
}

/// Takes every feature out, also after an interrupt.
pub(super) fn remove(site: &Site) -> anyhow::Result<()> {
    all(site, "clean up", "removed", false, |pipe, n| {
        pipe.cmd("UNLINK").arg(features::key(n)).ignore();
    })
    .with_context(|| {
        format!(
            "keys may be left in the cluster: {} and up",
            features::key(0)
        )
    })
}

/// Whether the features are there already, from a run that left them.
pub(super) fn are_there(site: &Site) -> anyhow::Result<bool> {
    let sample: Vec<u32> = (0..COUNT).step_by(SAMPLE).collect();
    runtime()?.block_on(async {
        let mut pool = pooled::pool(site, TIMEOUT)?;
        let mut pipe = redis::pipe();
        for &n in &sample {
            pipe.cmd("GET").arg(features::key(n));
        }
        let values: Vec<Option<String>> = pipe.query_async(&mut pool).await.map_err(told)?;
        Ok(sample.iter().zip(values).all(|(&n, value)| {
            value.is_some_and(|value| features::fits(&value, n, &features::key(n)))
        }))
    })
}

/// Sends a command for each feature.
fn all(
    site: &Site,
    name: &'static str,
    done: &'static str,
    heeds_interrupt: bool,
    add: fn(&mut Pipeline, u32),
) -> anyhow::Result<()> {
    let all = format!("{} features {done}", count(COUNT.into()));
    let progress = Progress::start(name, &all, COUNT.into());
    let start = Instant::now();
    runtime()?.block_on(async {
        let pool = pooled::pool(site, TIMEOUT)?;
        let next = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            tasks.spawn(share(pool.clone(), Arc::clone(&next), heeds_interrupt, add));
        }
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                task = tasks.join_next() => match task {
                    Some(result) => result.context("a task panicked")??,
                    None => return anyhow::Ok(()),
                },
                _ = tick.tick() => {
                    let sent = next.load(Ordering::Relaxed).min(COUNT).into();
                    progress.at(sent, format!("{} {done}", count(sent)));
                }
            }
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    progress.done(&format!(
        "{all} in {seconds:.1} s, in pipelines over all nodes"
    ));
    Ok(())
}

/// Sends one pipeline after the other until there are no features left.
async fn share(
    mut pool: Pool,
    next: Arc<AtomicU32>,
    heeds_interrupt: bool,
    add: fn(&mut Pipeline, u32),
) -> anyhow::Result<()> {
    loop {
        if heeds_interrupt && interrupt::asked() {
            bail!("interrupted");
        }
        let first = next.fetch_add(PER_PIPELINE, Ordering::Relaxed);
        if first >= COUNT {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for n in first..COUNT.min(first + PER_PIPELINE) {
            add(&mut pipe, n);
        }
        pipe.exec_async(&mut pool).await.map_err(told)?;
    }
}

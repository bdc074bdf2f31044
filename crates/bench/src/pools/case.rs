//! What is measured: a case in one setting, for any contestant.

mod crowd;
mod goodput;
mod memory;
mod uncontended;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, ensure};
use tokio::runtime::{Builder, Runtime as TokioRuntime};

use super::connection::Connector;
use super::contestant::{Contestant, Entry, Limit, Setup};
use super::sample::Sample;
use crate::progress::Progress;
use crate::report;
use crate::stats::spread;

pub(crate) use self::crowd::Crowd;
pub(crate) use self::goodput::Goodput;
pub(crate) use self::memory::Memory;
pub(crate) use self::uncontended::Uncontended;

/// A case in one setting.
pub(crate) trait Case: Sized {
    const UNIT: &'static str;
    const LOWER_IS_BETTER: bool;

    fn name(&self) -> &'static str;

    fn setting(&self) -> Setting;

    /// One sample of one contestant, in a runtime of its own.
    fn measure<C: Contestant>(&self) -> anyhow::Result<Sample>;
}

/// Where and how a case runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) runtime: Runtime,
    pub(crate) timeouts: bool,
}

/// The two kinds of runtime that tokio has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    CurrentThread,
    /// With two workers.
    MultiThread,
}

/// Has all contestants measured, one after the other, several times. Each round begins with another
/// one, so that nobody always follows the same neighbour.
pub(crate) fn compare<K: Case>(
    case: &K,
    entries: &[Entry<K>],
    rounds: usize,
) -> anyhow::Result<report::Case> {
    let Setting { runtime, timeouts } = case.setting();
    let progress = Progress::start(
        &format!("{}, {}", case.name(), case.setting()),
        rounds * entries.len(),
    );
    let mut samples = vec![Vec::new(); entries.len()];
    for round in 0..rounds {
        for turn in 0..entries.len() {
            let index = (round + turn) % entries.len();
            let entry = &entries[index];
            progress.turn(entry.name);
            let sample = (entry.measure)(case).with_context(|| {
                format!("{} in {}, {}", entry.name, case.name(), case.setting())
            })?;
            samples[index].push(sample);
            progress.sample();
        }
    }
    let results = entries.iter().zip(&samples);
    let results = results
        .map(|(entry, samples)| outcome(entry, samples, timeouts))
        .collect::<Option<_>>();
    Ok(report::Case {
        case: case.name(),
        runtime: runtime.name(),
        timeouts,
        unit: K::UNIT,
        lower_is_better: K::LOWER_IS_BETTER,
        rounds,
        results: results.context("no rounds")?,
    })
}

fn outcome<K>(entry: &Entry<K>, samples: &[Sample], timeouts: bool) -> Option<report::Outcome> {
    let value = spread(samples.iter().map(|sample| sample.value).collect())?;
    let mut extras: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for &(key, extra) in samples.iter().flat_map(|sample| &sample.extras) {
        extras.entry(key).or_default().push(extra);
    }
    let extras = extras
        .into_iter()
        .filter_map(|(key, all)| Some((key, spread(all)?.median)));
    Some(report::Outcome {
        name: entry.name,
        version: entry.version,
        timeout: match timeouts {
            true => entry.usual,
            false => entry.never,
        },
        median: value.median,
        min: value.min,
        max: value.max,
        extras: extras.collect(),
    })
}

/// A pool whose connections are all open and back in it.
async fn open_all<C: Contestant>(connector: &Connector, setup: Setup) -> anyhow::Result<C> {
    let pool = C::open(connector.clone(), setup).await;
    let mut all = Vec::new();
    for _ in 0..setup.size {
        let held = pool.acquire().await;
        all.push(held.ok().context("gave up while the pool was opened")?);
    }
    drop(all);
    settle().await;
    Ok(pool)
}

/// Lets tasks that pools have spawned come to an end; some take connections back in one.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
}

/// No figure of a pool counts that has opened more than it was allowed to.
fn check_bound(connector: &Connector, setup: Setup) -> anyhow::Result<()> {
    let (peak, size) = (connector.peak(), usize::from(setup.size));
    ensure!(peak <= size, "{peak} connections were open, {size} allowed");
    Ok(())
}

impl Setting {
    fn limit(self) -> Limit {
        match self.timeouts {
            true => Limit::Usual,
            false => Limit::Never,
        }
    }
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current_thread",
            Self::MultiThread => "multi_thread",
        }
    }

    fn build(self) -> anyhow::Result<TokioRuntime> {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        Ok(builder.worker_threads(2).enable_time().build()?)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.runtime.name())?;
        if !self.timeouts {
            f.write_str(", no timeout")?;
        }
        Ok(())
    }
}

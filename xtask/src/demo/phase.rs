//! A phase: one client under an even load.
//!
//! Every phase is alike. It begins with no connection open and without a warm-up, so what opening
//! costs is in the figures; it has a runtime of its own; its callers ask for the same features in
//! the same order; and the next one begins when the servers have seen its connections go.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use super::census::{Census, Counted};
use super::crowd::{Crowd, Reader, STAGES, Stages};
use super::features::{self, Draw};
use super::progress::Progress;
use super::site::Site;
use super::tally::{Figures, Tally};
use super::words::{count, counted, micros, percent, rate};

/// How many requests are under way at any time.
pub(super) const CALLERS: usize = 256;
/// Every client gives up a request after so long.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Which phase it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// How the client does it, in a few words.
    pub(super) how: &'static str,
    /// Most connections it may have.
    pub(super) cap: Option<u64>,
}

/// What came of a phase.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) name: &'static str,
    pub(super) how: &'static str,
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// Most connections at the same time, as the servers saw it, over all nodes.
    pub(super) peak_connections: u64,
    pub(super) connection_cap: Option<u64>,
    /// How many were opened in all.
    pub(super) connections_opened: u64,
}

/// Where phases take place.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) site: &'a Site,
    pub(super) census: Census,
}

impl<'a> Bench<'a> {
    /// Gets ready to count connections.
    pub(super) fn new(site: &'a Site) -> anyhow::Result<Self> {
        Ok(Self {
            site,
            census: Census::start(site)?,
        })
    }

    /// Runs a phase for so long with the client that `open` makes.
    pub(super) fn run<R: Reader>(
        &self,
        phase: Phase,
        time: Duration,
        open: impl AsyncFnOnce() -> anyhow::Result<R>,
    ) -> anyhow::Result<Outcome> {
        let progress = Progress::start(phase.name, phase.how, millis(time));
        let load = async {
            let reader = open().await?;
            let crowd = Crowd::start(&reader, draws());
            let began = crowd.began();
            crowd.watch(&progress, time).await?;
            let done = crowd.finish().await?;
            Ok(total(&done).figures(began.elapsed()))
        };
        let (figures, counted) = self.measure(load)?;
        let outcome = Outcome::new(phase, figures, counted);
        progress.done(&outcome.line());
        Ok(outcome)
    }

    /// Runs something in a runtime of its own, and counts its connections meanwhile.
    pub(super) fn measure<T>(
        &self,
        load: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Counted)> {
        self.census.begin()?;
        let runtime = runtime()?;
        let result = runtime.block_on(load);
        let counted = self.census.end();
        // With the runtime every task ends, and with the tasks every connection.
        runtime.shutdown_timeout(REQUEST_TIMEOUT);
        let result = result?;
        self.census.settle()?;
        Ok((result, counted?))
    }
}

impl Outcome {
    /// Puts together what is known of a phase.
    pub(super) fn new(phase: Phase, figures: Figures, counted: Counted) -> Self {
        Self {
            name: phase.name,
            how: phase.how,
            figures,
            peak_connections: counted.peak,
            connection_cap: phase.cap,
            connections_opened: counted.opened,
        }
    }

    /// The figures in one line.
    pub(super) fn line(&self) -> String {
        let figures = &self.figures;
        let share = match figures.errors {
            0 => String::new(),
            errors => format!(" ({})", percent(errors, figures.requests)),
        };
        format!(
            "{:>7}/s   p50 {:<6}  p99 {:<6}  p99.9 {:<6}  {:>5} connections   {}{share}",
            rate(figures.requests_per_s),
            micros(figures.p50_us),
            micros(figures.p99_us),
            micros(figures.p999_us),
            count(self.peak_connections),
            counted(figures.errors, "error"),
        )
    }
}

/// A runtime as a service would have it.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// What the callers of an even load draw.
fn draws() -> impl Iterator<Item = Draw> {
    let all: Arc<[u32]> = (0..features::COUNT).collect();
    (0..CALLERS as u64).map(move |seed| Draw::new(Arc::clone(&all), seed))
}

/// All callers and stages together.
pub(super) fn total(done: &[Stages]) -> Tally {
    let mut total = Tally::new();
    for tally in done.iter().flat_map(|stages: &[Tally; STAGES]| stages) {
        total.merge(tally);
    }
    total
}

/// As a bar's length.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

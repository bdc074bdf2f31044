//! One run: the cluster is started, used, broken, and looked at.

use std::collections::BTreeMap;
use std::fs;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::breakage::Stage;
use crate::client::Client;
use crate::report::{Count, Leaked, Report};
use crate::script::{Fault, Script};
use crate::sockets;
use crate::watch::{Watched, watch};
use crate::work::{Seen, prepare, work};

/// How long everything is left alone at the beginning and at the end.
const CALM: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(8);

/// How many connections of its own a client may have to each node, to ask for the topology.
const CONTROL: usize = 1;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For how long faults come.
    pub time: Duration,
    /// Which script.
    pub seed: u64,
    /// How many tasks use the cluster.
    pub tasks: usize,
}

/// Runs a script against a client.
///
/// # Errors
/// If the cluster does not start, or does not do what the script says. What the client does wrong is no error but in
/// the report.
pub fn run<C: Client>(options: Options, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Report> {
    let stage = Stage::start()?;
    let panics = count_panics();
    let seen = Arc::new(Seen::default());
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let files = open_files()?;
    // Where connections cannot be counted, none would be too many.
    sockets::by_port()?;
    let idle_tasks = runtime.metrics().num_alive_tasks();
    let client = runtime.block_on(C::open(stage.urls()))?;
    runtime.block_on(prepare(&client))?;
    let mut tasks = JoinSet::new();
    for number in 0..options.tasks {
        let work = work(client.clone(), Arc::clone(&seen), number as u64);
        tasks.spawn_on(work, runtime.handle());
    }
    let broken = thread::scope(|scope| {
        let watched = scope.spawn(|| watch(&seen));
        let broken = break_it(&stage, &client, &seen, options, tell);
        seen.is_over.store(true, Relaxed);
        let watched = watched.join().expect("it only looks");
        broken.map(|broken| (broken, watched))
    });
    let (broken, watched) = broken?;
    runtime.block_on(async { while tasks.join_next().await.is_some() {} });

    let mut report = broken.report(options, &watched, &seen);
    C::NAME.clone_into(&mut report.client);
    if let Some(cap) = client.cap_per_node() {
        let peaks = || watched.peaks.values();
        report.connection_cap = (cap + CONTROL) * peaks().len();
        report.nodes_above_cap = peaks().filter(|peak| **peak > cap + CONTROL).count();
    }
    let held = || client.held().map_or(0, |held| held.in_use + held.waiting);
    let waiters = until_none(held);
    drop(client);
    report.leaked = Leaked {
        connections: until_none(|| stage.open()),
        tasks: until_none(|| runtime.metrics().num_alive_tasks() - idle_tasks),
        waiters,
        file_descriptors: until_none(|| open_files().unwrap_or_default().saturating_sub(files)),
    };
    for key in seen.ledger.keys() {
        let value = stage.number(&key)?;
        if !seen.ledger.allows(&key, value) {
            report.ledger_violations += 1;
            let entry = seen.ledger.show(&key);
            report.remarks.push(format!("{key} is {value}: {entry}"));
        }
    }
    report.panics = panics.load(Relaxed);
    Ok(report)
}

/// What has been broken, and when.
struct Broken {
    faults: BTreeMap<Fault, u64>,
    begun: Instant,
    first: Instant,
    last: Instant,
}

/// Follows the script until the time is over.
fn break_it(
    stage: &Stage,
    client: &impl Client,
    seen: &Seen,
    options: Options,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Broken> {
    let begun = Instant::now();
    thread::sleep(CALM);
    let first = Instant::now();
    let mut faults = BTreeMap::new();
    for step in Script::new(options.seed) {
        if first.elapsed() + step.pause >= options.time {
            break;
        }
        thread::sleep(step.pause);
        let (name, answered) = (step.fault.name(), seen.answered.load(Relaxed));
        let time = Instant::now();
        let performed = stage.perform(step, client, &seen.ledger);
        performed.with_context(|| format!("{name} of {}", step.whom))?;
        let (took, answered) = (time.elapsed(), seen.answered.load(Relaxed) - answered);
        tell(&format!(
            "{:>6.1} s  {name}, {:.1} s, {answered} answers meanwhile",
            first.elapsed().as_secs_f64(),
            took.as_secs_f64(),
        ));
        *faults.entry(step.fault).or_default() += 1;
    }
    let last = Instant::now();
    thread::sleep(AFTER);
    Ok(Broken {
        faults,
        begun,
        first,
        last,
    })
}

impl Broken {
    fn report(&self, options: Options, watched: &Watched, seen: &Seen) -> Report {
        let count = |(fault, count): (&Fault, &u64)| Count {
            kind: fault.name(),
            count: *count,
        };
        Report {
            seed: options.seed,
            seconds: options.time.as_secs(),
            requests: seen.answered.load(Relaxed),
            dropped: seen.dropped.load(Relaxed),
            errors: seen.errors.load(Relaxed) - seen.undocumented.load(Relaxed),
            longest_darkness_s: watched.longest_darkness(),
            faults: self.faults.iter().map(count).collect(),
            foreign_replies: seen.foreign.load(Relaxed),
            hangs: seen.hangs.load(Relaxed),
            undocumented_errors: seen.undocumented.load(Relaxed),
            peak_connections: watched.peak_connections,
            // The first moments are for opening connections.
            recovered_within_s: watched.recovery(self.begun + CALM / 3, self.first, self.last),
            remarks: seen.remarks(),
            ..Report::default()
        }
    }
}

/// What is left of something that has to become none, after some seconds at most.
fn until_none(left: impl Fn() -> usize) -> usize {
    let end = Instant::now() + Duration::from_secs(10);
    while left() > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    left()
}

fn open_files() -> anyhow::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// Counts the panics of all threads from now on.
fn count_panics() -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let before = panic::take_hook();
    let counted = Arc::clone(&count);
    panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Relaxed);
        before(info);
    }));
    count
}

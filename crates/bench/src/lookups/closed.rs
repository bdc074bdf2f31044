//! The closed loop: so many callers, each of whom asks again as soon as he has his answer.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fastrand::Rng;
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use tokio::runtime::{Builder, Runtime};

use super::contestant::Contestant;
use super::data::{Keys, draw, draw_large, wrong};
use super::sample::Sample;
use super::site::Site;

/// How often connections are counted.
const LOOK: Duration = Duration::from_millis(50);
/// How long callers may take to come to their end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) callers: usize,
    /// How many more there are, each of whose requests is for ten values of a mebibyte. How long those take does not
    /// count.
    pub(crate) large: usize,
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// Where a measurement is.
const WARM_UP: u8 = 0;
const MEASURED: u8 = 1;
const OVER: u8 = 2;

/// What callers share.
#[derive(Debug, Default)]
struct Course {
    phase: AtomicU8,
    errors: AtomicU64,
    first_error: OnceLock<String>,
    wrong_values: AtomicU64,
}

/// Two workers, as many as the machine that this was written for has processors.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// One sample, in a runtime of its own.
pub(crate) fn measure<C: Contestant>(
    site: &Site,
    closed: Closed,
    open: impl Future<Output = anyhow::Result<C>>,
) -> anyhow::Result<Sample> {
    site.wait_until_left()?;
    let runtime = runtime()?;
    let contestant = Arc::new(runtime.block_on(open)?);
    let course = Arc::new(Course::default());
    let callers: Vec<_> = (0..closed.callers)
        .map(|number| {
            let (contestant, course) = (Arc::clone(&contestant), Arc::clone(&course));
            runtime.spawn(call(contestant, course, number as u64, draw))
        })
        .collect();
    let large: Vec<_> = (0..closed.large)
        .map(|number| {
            let (contestant, course) = (Arc::clone(&contestant), Arc::clone(&course));
            runtime.spawn(call(contestant, course, number as u64, draw_large))
        })
        .collect();

    let mut sample = Sample::default();
    look_until(site, Instant::now() + closed.warm_up, &mut sample)?;
    let (work, cpu) = (site.work()?, cpu_seconds()?);
    let begun = Instant::now();
    course.phase.store(MEASURED, Relaxed);
    look_until(site, begun + closed.time, &mut sample)?;
    // In the same order as before, so that both take in as much of what is not measured.
    let (worked, used) = (site.work()?, cpu_seconds()?);
    course.phase.store(OVER, Relaxed);
    let time = begun.elapsed();

    let ended = async {
        let mut latencies = Vec::new();
        for caller in callers {
            latencies.push(caller.await?);
        }
        let mut of_large = 0;
        for caller in large {
            of_large += caller.await?.len();
        }
        anyhow::Ok((latencies, of_large))
    };
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, ended).await });
    drop(contestant);
    runtime.shutdown_timeout(PATIENCE);

    let mut histogram = Histogram::<u64>::new(3)?;
    let (latencies, of_large) = ended??;
    for latency in latencies.into_iter().flatten() {
        histogram.record(latency)?;
    }
    let requests = histogram.len() as f64;
    sample.failure = course.first_error.get().cloned();
    ensure!(
        requests > 0.0,
        "no request was answered: {}",
        sample.failure.as_deref().unwrap_or("nothing went wrong")
    );
    let each = |total: f64| total / requests;
    sample.errors = course.errors.load(Relaxed);
    sample.wrong_values = course.wrong_values.load(Relaxed);
    sample.latencies(&histogram);
    sample.figures.extend([
        ("requests_per_s", requests / time.as_secs_f64()),
        ("client_cpu_us_per_request", each((used - cpu) * 1e6)),
        (
            "server_cpu_us_per_request",
            each((worked.cpu_seconds - work.cpu_seconds) * 1e6),
        ),
        (
            "server_reads_per_request",
            each((worked.reads - work.reads) as f64),
        ),
        (
            "server_writes_per_request",
            each((worked.writes - work.writes) as f64),
        ),
    ]);
    if closed.large > 0 {
        let large_per_s = of_large as f64 / time.as_secs_f64();
        sample.figures.push(("large_requests_per_s", large_per_s));
    }
    Ok(sample)
}

/// One caller. Returns in nanoseconds how long each request took that ended in time and was answered;
/// errors and wrong values count whenever they happen.
async fn call<C: Contestant>(
    contestant: Arc<C>,
    course: Arc<Course>,
    seed: u64,
    draw: fn(&mut Rng) -> Keys,
) -> Vec<u64> {
    let mut random = Rng::with_seed(seed);
    let mut latencies = Vec::new();
    loop {
        let keys = draw(&mut random);
        let begun = Instant::now();
        let answer = contestant.request(&keys).await;
        let latency = begun.elapsed();
        match &answer {
            Ok(values) => match wrong(&keys, values) {
                0 => {}
                wrong => _ = course.wrong_values.fetch_add(wrong as u64, Relaxed),
            },
            Err(error) => {
                course.errors.fetch_add(1, Relaxed);
                course.first_error.get_or_init(|| format!("{error:#}"));
                // Whoever fails at once must not keep the processor from the others.
                tokio::task::yield_now().await;
            }
        }
        match course.phase.load(Relaxed) {
            MEASURED if answer.is_ok() => {
                latencies.push(latency.as_nanos() as u64);
            }
            WARM_UP | MEASURED => {}
            _ => return latencies,
        }
    }
}

/// Sleeps until then, and looks now and again how many connections there are.
fn look_until(site: &Site, end: Instant, sample: &mut Sample) -> anyhow::Result<()> {
    loop {
        sample.peak_connections = sample.peak_connections.max(site.connections()?);
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(LOOK));
    }
}

/// The time that this process has had on processors. Servers are processes of their own.
pub(crate) fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

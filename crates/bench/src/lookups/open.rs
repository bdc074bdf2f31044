//! The open loop: requests come when they come, whether or not those before them are answered.
//!
//! Each is counted from when it was to come, not from when somebody got round to sending it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hdrhistogram::Histogram;

use super::closed::runtime;
use super::contestant::Contestant;
use super::data::{draw, wrong};
use super::sample::Sample;
use super::site::Site;

/// Who is answered within this time is served.
pub(crate) const IN_TIME: Duration = Duration::from_millis(50);
/// How many requests may be under way.
const UNDER_WAY: usize = 20_000;
/// The shortest sleep between requests; those that are due meanwhile come together.
const NAP: Duration = Duration::from_micros(100);
/// For the answers of those who came last.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// Requests in a second, at the times of a Poisson process.
    pub(crate) rate: f64,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// What became of a request: the nanoseconds until its answer, or one of these.
const UNANSWERED: u64 = u64::MAX;
const FAILED: u64 = u64::MAX - 1;
const NOT_STARTED: u64 = u64::MAX - 2;

/// The requests in the order of their coming.
#[derive(Debug)]
struct Course {
    fates: Vec<AtomicU64>,
    under_way: AtomicUsize,
    wrong_values: AtomicU64,
    first_error: OnceLock<String>,
}

/// One sample, in a runtime of its own.
pub(crate) fn measure<C: Contestant>(site: &Site, open: &Open) -> anyhow::Result<Sample> {
    site.wait_until_left()?;
    let runtime = runtime()?;
    let contestant = Arc::new(runtime.block_on(C::open(site.urls()))?);
    let mut random = Rng::with_seed(open.seed);
    let times = times(open, &mut random);
    let course = Arc::new(Course {
        fates: times.iter().map(|_| AtomicU64::new(UNANSWERED)).collect(),
        under_way: AtomicUsize::new(0),
        wrong_values: AtomicU64::new(0),
        first_error: OnceLock::new(),
    });

    let begun = Instant::now();
    for (number, &time) in times.iter().enumerate() {
        let due = begun + time;
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early.max(NAP));
        }
        if course.under_way.load(Relaxed) >= UNDER_WAY {
            course.fates[number].store(NOT_STARTED, Relaxed);
            continue;
        }
        course.under_way.fetch_add(1, Relaxed);
        let keys = draw(&mut random);
        let (contestant, course) = (Arc::clone(&contestant), Arc::clone(&course));
        runtime.spawn(async move {
            let answer = contestant.request(&keys).await;
            let fate = match answer {
                Ok(values) => match wrong(&keys, &values) {
                    0 => due.elapsed().as_nanos() as u64,
                    wrong => {
                        course.wrong_values.fetch_add(wrong as u64, Relaxed);
                        FAILED
                    }
                },
                Err(error) => {
                    course.first_error.get_or_init(|| format!("{error:#}"));
                    FAILED
                }
            };
            course.fates[number].store(fate, Relaxed);
            course.under_way.fetch_sub(1, Relaxed);
        });
    }
    thread::sleep(AFTERWARDS);
    let warm_up = times.partition_point(|&time| time < open.warm_up);
    let fates: Vec<_> = course.fates[warm_up..]
        .iter()
        .map(|fate| fate.load(Relaxed))
        .collect();
    drop(contestant);
    runtime.shutdown_timeout(AFTERWARDS);
    Ok(Sample {
        wrong_values: course.wrong_values.load(Relaxed),
        failure: course.first_error.get().cloned(),
        ..judge(&fates)?
    })
}

/// When requests come: with gaps that know nothing of each other.
fn times(open: &Open, random: &mut Rng) -> Vec<Duration> {
    let end = (open.warm_up + open.time).as_secs_f64();
    let mut now = 0.0;
    let mut times = Vec::new();
    loop {
        now -= (1.0 - random.f64()).ln() / open.rate;
        if now >= end {
            return times;
        }
        times.push(Duration::from_secs_f64(now));
    }
}

fn judge(fates: &[u64]) -> anyhow::Result<Sample> {
    let count = |fate| fates.iter().filter(|each| **each == fate).count() as f64;
    let mut sample = Sample {
        errors: count(FAILED) as u64,
        ..Sample::default()
    };
    let mut histogram = Histogram::<u64>::new(3)?;
    let mut served = 0;
    for &nanos in fates.iter().filter(|fate| **fate < NOT_STARTED) {
        histogram.record(nanos)?;
        served += u64::from(u128::from(nanos) <= IN_TIME.as_nanos());
    }
    sample.latencies(&histogram);
    sample.figures.extend([
        ("goodput", served as f64 / fates.len().max(1) as f64),
        ("not_started", count(NOT_STARTED)),
        ("unanswered", count(UNANSWERED)),
    ]);
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_come_as_the_rate_says() {
        let open = Open {
            rate: 20_000.0,
            warm_up: Duration::from_secs(1),
            time: Duration::from_secs(1),
            seed: 1,
        };
        let times = times(&open, &mut Rng::with_seed(open.seed));
        // The standard deviation is 200.
        assert!((39_000..41_000).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted());
        let gaps = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64());
        let long = gaps.filter(|gap| *gap > 1.0 / open.rate).count();
        // One gap in e is longer than the mean.
        let share = long as f64 / times.len() as f64;
        assert!((0.35..0.39).contains(&share), "{share}");
    }

    #[test]
    fn only_the_right_and_timely_are_served() {
        let late = IN_TIME.as_nanos() as u64 + 1;
        let fates = [1_000, late, FAILED, NOT_STARTED, UNANSWERED];
        let sample = judge(&fates).unwrap();
        assert_eq!(sample.errors, 1);
        for expected in [("goodput", 0.2), ("not_started", 1.0), ("unanswered", 1.0)] {
            assert!(
                sample.figures.contains(&expected),
                "{expected:?}: {sample:?}"
            );
        }
        let longest = sample.figures.iter().find(|(name, _)| *name == "p999_us");
        assert!(longest.unwrap().1 > 50_000.0);
    }
}

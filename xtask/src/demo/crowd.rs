//! The callers: a fixed number of them, each with one request under way at any time.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinHandle;
use tokio::time;

use super::failure::Failure;
use super::features::{self, Draw};
use super::progress::Progress;
use super::tally::Tally;
use super::words::{count, counted, rate};
use crate::interrupt;

/// How many stages a load has at most.
pub(super) const STAGES: usize = 3;

const TICK: Duration = Duration::from_millis(100);
/// No request takes longer: every client has a time limit of its own.
const PATIENCE: Duration = Duration::from_secs(15);

/// One way to read features.
pub(super) trait Reader: Clone + Send + Sync + 'static {
    /// The values of these keys, in their order.
    fn read(
        &self,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Option<String>>, Failure>> + Send;
}

/// What one caller, or several of them, did in each stage.
pub(super) type Stages = [Tally; STAGES];

/// The callers at work.
#[derive(Debug)]
pub(super) struct Crowd {
    callers: Vec<JoinHandle<Stages>>,
    course: Arc<Course>,
    start: Instant,
}

/// What the callers look at, and what they write on, as they go.
#[derive(Debug, Default)]
struct Course {
    stage: AtomicUsize,
    over: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Crowd {
    /// Sets one caller to work for each `Draw`.
    pub(super) fn start<R: Reader>(reader: &R, draws: impl Iterator<Item = Draw>) -> Self {
        let course = Arc::new(Course::default());
        let callers = draws
            .map(|draw| tokio::spawn(call(reader.clone(), draw, Arc::clone(&course))))
            .collect();
        Self {
            callers,
            course,
            start: Instant::now(),
        }
    }

    /// When they began.
    pub(super) fn began(&self) -> Instant {
        self.start
    }

    /// Shows how they get on, for so long.
    pub(super) async fn watch(&self, progress: &Progress, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            time::sleep(left.min(TICK)).await;
            if interrupt::asked() {
                bail!("interrupted");
            }
            let elapsed = self.start.elapsed();
            let answered = self.course.answered.load(Ordering::Relaxed);
            let failed = self.course.failed.load(Ordering::Relaxed);
            let message = format!(
                "{} requests, {}/s, {}",
                count(answered),
                rate(answered as f64 / elapsed.as_secs_f64()),
                counted(failed, "error")
            );
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            progress.at(millis, message);
        }
    }

    /// What ends from now on belongs to this stage.
    pub(super) fn enter(&self, stage: usize) {
        self.course.stage.store(stage, Ordering::SeqCst);
    }

    /// Lets each end its request, and returns what each did.
    pub(super) async fn finish(self) -> anyhow::Result<Vec<Stages>> {
        self.course.over.store(true, Ordering::SeqCst);
        let deadline = time::Instant::now() + PATIENCE;
        let mut done = Vec::with_capacity(self.callers.len());
        for caller in self.callers {
            let stages = time::timeout_at(deadline, caller)
                .await
                .with_context(|| format!("a request is without an answer after {PATIENCE:?}"))?;
            done.push(stages.context("a caller panicked")?);
        }
        Ok(done)
    }
}

async fn call<R: Reader>(reader: R, mut draw: Draw, course: Arc<Course>) -> Stages {
    let mut stages = array::from_fn(|_| Tally::new());
    while !course.over.load(Ordering::Relaxed) {
        let wanted = draw.next();
        let keys = wanted.map(features::key);
        let start = Instant::now();
        let result = reader.read(&keys).await;
        let time = start.elapsed();
        let wrong = result.map(|values| wrong_values(&wanted, &keys, &values));
        let stage: &mut Tally = &mut stages[course.stage.load(Ordering::SeqCst)];
        match wrong {
            Ok(0) => {
                stage.answered(time);
                course.answered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Ok(wrong) => stage.wrong(wrong),
            Err(failure) => stage.failed(failure),
        }
        course.failed.fetch_add(1, Ordering::Relaxed);
        // A client that fails at once never waits for anything; the others have to get their turn.
        tokio::task::yield_now().await;
    }
    stages
}

/// How many of the values are missing, too many, or not those of their keys.
fn wrong_values(wanted: &[u32], keys: &[String], values: &[Option<String>]) -> u64 {
    let fits = |((n, key), value): &((&u32, &String), &Option<String>)| {
        value
            .as_ref()
            .is_some_and(|value| features::fits(value, **n, key))
    };
    let right = wanted.iter().zip(keys).zip(values).filter(fits).count();
    wanted.len().max(values.len()).abs_diff(right) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_counted() {
        let wanted = [1, 2, 3];
        let keys = wanted.map(features::key);
        let right: Vec<_> = wanted.map(|n| Some(features::value(n))).into();
        let of = |values: &[Option<String>]| wrong_values(&wanted, &keys, values);
        assert_eq!(of(&right), 0);
        assert_eq!(of(&right[..2]), 1);
        assert_eq!(of(&[right.clone(), right.clone()].concat()), 3);
        let mut values = right.clone();
        values.swap(0, 2);
        assert_eq!(of(&values), 2);
        values[1] = None;
        assert_eq!(of(&values), 3);
    }
}

//! Steps that run one after the other, with a header and a time each and a table at the end.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use crate::interrupt;

/// The steps so far.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    outcome: Outcome,
    seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// The error of a step that can tell nothing here: it is noted as skipped, not as failed.
#[derive(Debug)]
pub(crate) struct CannotTell(pub(crate) String);

impl fmt::Display for CannotTell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CannotTell {}

impl Steps {
    /// Runs a step. A failed one does not keep the others from telling their findings.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> anyhow::Result<()>) {
        println!("\n── {name} ──");
        let start = Instant::now();
        let result = step();
        interrupt::end_if_asked();
        let time = start.elapsed();
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                println!("{error:#}");
                if error.is::<CannotTell>() {
                    Outcome::Skipped
                } else {
                    Outcome::Failed
                }
            }
        };
        println!("── {name}: {}, {} ──", outcome.word(), seconds(time));
        self.done.push(Step {
            name,
            outcome,
            seconds: time.as_secs_f64(),
        });
    }

    /// Notes a step that cannot run here.
    pub(crate) fn skip(&mut self, name: &'static str, why: &str) {
        println!("\n── {name}: skipped, {why} ──");
        self.done.push(Step {
            name,
            outcome: Outcome::Skipped,
            seconds: 0.0,
        });
    }

    /// Prints the table; an error if a step failed.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        println!();
        for step in &self.done {
            println!(
                "{:<14} {:<8} {:>8.1} s",
                step.name,
                step.outcome.word(),
                step.seconds
            );
        }
        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|step| step.outcome == Outcome::Failed)
            .map(|step| step.name)
            .collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        println!("all is well");
        Ok(())
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(result: anyhow::Result<()>, outcome: Outcome, all_is_well: bool) {
        let mut steps = Steps::default();
        steps.run("a step", || result);
        assert_eq!(steps.done[0].outcome, outcome);
        assert_eq!(steps.finish().is_ok(), all_is_well);
    }

    #[test]
    fn outcomes() {
        check(Ok(()), Outcome::Passed, true);
        check(Err(anyhow::anyhow!("wrong")), Outcome::Failed, false);
        let cannot_tell = CannotTell("nothing to tell it by".to_owned());
        let from_below = anyhow::anyhow!("not found").context(cannot_tell);
        check(Err(from_below), Outcome::Skipped, true);
    }
}

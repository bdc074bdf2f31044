//! What a request costs in system calls, as `strace` counts them.
//!
//! A traced program is slow at system calls, so this says nothing of times, and is a run of its own. The
//! contestant runs alone in a program that is started for it; start and end are taken off by running it twice,
//! with few requests and with many.

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::closed::runtime;
use super::contestant::{Contestant, Entry, lineup};
use super::fixed::Fixed;
use super::sample::Sample;
use super::site::Site;

const FEW: usize = 50;
const MANY: usize = 350;
/// How many ask at once: nobody shares a call with another, and many do.
const CALLERS: [(&str, usize); 2] = [("system_calls_of_1", 1), ("system_calls_of_64", 64)];

/// What the traced program takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Traced {
    #[arg(long, hide = true)]
    contestant: Option<String>,
    #[arg(long, hide = true, default_value_t = 0)]
    each: usize,
    #[arg(long, hide = true, default_value_t = 1)]
    callers: usize,
    #[arg(long, hide = true)]
    url: Vec<String>,
}

impl Traced {
    /// Serves as the traced program, if this is one.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        let Some(title) = &self.contestant else {
            return Ok(false);
        };
        let lineup = lineup();
        let entry = lineup.iter().find(|entry| entry.title() == *title);
        let fixed = Fixed {
            callers: self.callers,
            each: self.each,
        };
        (entry.context("no such contestant")?.fixed)(self.url.clone(), fixed)?;
        Ok(true)
    }
}

/// The traced program: as the closed loop, but with an end.
pub(crate) fn serve<C: Contestant>(urls: Vec<String>, fixed: Fixed) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let contestant = Arc::new(C::open(urls).await?);
        fixed.serve(&contestant).await
    })
}

/// Whether there is an `strace` that may trace.
pub(crate) fn can_be_counted() -> bool {
    let mut strace = Command::new("strace");
    let output = strace.args(["-o", "/dev/null", "true"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// The means of many requests.
pub(crate) fn measure(site: &Site, entry: &Entry) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    for (name, callers) in CALLERS {
        let few = traced(site, entry, Fixed { callers, each: FEW })?;
        let many = traced(
            site,
            entry,
            Fixed {
                callers,
                each: MANY,
            },
        )?;
        let requests = (MANY - FEW) * callers;
        sample.figures.push((name, (many - few) / requests as f64));
    }
    Ok(sample)
}

fn traced(site: &Site, entry: &Entry, fixed: Fixed) -> anyhow::Result<f64> {
    let counts = tempfile::NamedTempFile::new()?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(counts.path());
    strace.arg(std::env::current_exe()?).arg("redis");
    strace.arg(format!("--contestant={}", entry.title()));
    strace.arg(format!("--callers={}", fixed.callers));
    strace.arg(format!("--each={}", fixed.each));
    for url in site.urls() {
        strace.arg(format!("--url={url}"));
    }
    let output = strace.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "under strace: {said}");
    total(&std::fs::read_to_string(counts.path())?)
}

/// The calls in the last line: `100.00 0.123456 5 1234 12 total`, where the errors may be missing.
fn total(counts: &str) -> anyhow::Result<f64> {
    let line = counts.lines().find(|line| line.ends_with("total"));
    let calls = line.and_then(|line| line.split_whitespace().nth(3));
    Ok(calls.context("strace counts in another way")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        let counts = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000006           6         1           read
 40.00    0.000004           2         2         1 write
------ ----------- ----------- --------- --------- ----------------
100.00    0.000010           3        20         1 total
";
        assert_eq!(total(counts).unwrap(), 20.0);
        let counts = counts.replace("         1 total", "           total");
        assert_eq!(total(&counts).unwrap(), 20.0);
        assert!(total("read 12\n").is_err());
    }
}

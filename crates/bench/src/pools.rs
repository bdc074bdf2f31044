//! `core`: pools beside each other, with connections that cost nothing.
//!
//! All in one process, in turns; see `docs/benchmarks.md` for the method.

mod case;
mod connection;
mod contestant;
mod sample;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use self::case::{Case, Crowd, Goodput, Memory, Runtime, Setting, Uncontended, compare};
use self::contestant::{lineup, lineup_of_policies};
use crate::markdown::Part;
use crate::progress::print;
use crate::report::Report;
use crate::{chart, markdown, table};

/// What `core` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Less than a minute; the figures are good for a look only
    #[arg(long)]
    quick: bool,
    /// Write the figures there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the figures there, as core.svg
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Write the tables there; into a file that has a place marked for them, only there
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// How long it all takes.
#[derive(Clone, Copy, Debug)]
struct Effort {
    rounds: usize,
    uncontended: Duration,
    crowd: Duration,
    large_crowd: Duration,
    memory_rounds: usize,
    goodput_rounds: usize,
    goodput: Duration,
}

const QUICK: Effort = Effort {
    rounds: 3,
    uncontended: Duration::from_millis(40),
    crowd: Duration::from_millis(50),
    large_crowd: Duration::from_millis(100),
    memory_rounds: 1,
    goodput_rounds: 1,
    goodput: Duration::from_millis(700),
};

const FULL: Effort = Effort {
    rounds: 7,
    uncontended: Duration::from_millis(200),
    crowd: Duration::from_millis(200),
    large_crowd: Duration::from_millis(300),
    memory_rounds: 3,
    goodput_rounds: 3,
    goodput: Duration::from_secs(3),
};

/// In these the line has grown to the patience of those who stand in it.
const BEFORE_GOODPUT: Duration = Duration::from_millis(500);

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let effort = if args.quick { QUICK } else { FULL };
    let report = measure(args.quick, effort)?;
    if let Some(path) = &args.json {
        report.write(path)?;
    }
    if let Some(directory) = &args.svg {
        chart::write(&report, directory)?;
    }
    if let Some(path) = &args.markdown {
        let text = table::document(&report);
        let figures = Part {
            mark: "figures",
            text,
        };
        markdown::write(&[figures], path)?;
    }
    Ok(())
}

fn measure(quick: bool, effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report {
        quick,
        cases: Vec::new(),
    };
    let settings = [Runtime::CurrentThread, Runtime::MultiThread]
        .map(|runtime| [true, false].map(|timeouts| Setting { runtime, timeouts }));
    let settings = settings.as_flattened();

    each(&mut report, settings, effort.rounds, |setting| {
        Uncontended {
            setting,
            time: effort.uncontended,
        }
    })?;
    each(&mut report, settings, effort.rounds, |setting| Crowd {
        setting,
        name: "64-over-16",
        tasks: 64,
        time: effort.crowd,
        fairness: false,
    })?;
    each(&mut report, settings, effort.rounds, |setting| Crowd {
        setting,
        name: "10000-over-16",
        tasks: 10_000,
        time: effort.large_crowd,
        fairness: true,
    })?;
    // One thread's allocations are counted.
    each(
        &mut report,
        &settings[..2],
        effort.memory_rounds,
        |setting| Memory { setting },
    )?;

    let goodput = Goodput {
        before: BEFORE_GOODPUT,
        time: effort.goodput,
    };
    let case = compare(&goodput, &lineup_of_policies(), effort.goodput_rounds)?;
    show(&[&case]);
    report.cases.push(case);
    Ok(report)
}

/// Measures a case in each setting and shows it.
fn each<K: Case>(
    report: &mut Report,
    settings: &[Setting],
    rounds: usize,
    case: impl Fn(Setting) -> K,
) -> anyhow::Result<()> {
    let first = report.cases.len();
    for &setting in settings {
        report
            .cases
            .push(compare(&case(setting), &lineup(), rounds)?);
    }
    show(&report.cases[first..].iter().collect::<Vec<_>>());
    Ok(())
}

fn show(cases: &[&crate::report::Case]) {
    if let Some(first) = cases.first() {
        print(&format!(
            "\n{}\n{}\n",
            table::title(first),
            table::terminal(cases)
        ));
    }
}

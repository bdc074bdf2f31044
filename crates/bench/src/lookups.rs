//! `redis`: lookups on a cluster, by clients beside each other.
//!
//! All in one process, in turns; see `docs/benchmarks.md` for the method.

mod allocations;
mod chart;
mod closed;
mod contestant;
mod data;
mod fixed;
mod open;
mod plan;
mod report;
mod sample;
mod server_limit;
mod site;
mod sweep;
mod system_calls;
mod table;
#[cfg(test)]
mod tests;
mod turns;

use std::path::PathBuf;

use self::plan::Plan;
use self::system_calls::Traced;
use crate::markdown;

/// What `redis` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A few minutes; the figures are good for a look only
    #[arg(long)]
    quick: bool,
    /// Write the figures there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the figures there, as redis-*.svg
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Write the tables there; into a file that has places marked for them, only there
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// What to measure
    #[arg(long, value_name = "PART,…", value_delimiter = ',', value_enum,
          default_values = ["closed", "open", "large", "allocations"])]
    parts: Vec<Part>,
    /// The pool at other settings than its own, and nothing else
    #[arg(long, conflicts_with = "parts")]
    sweep: bool,
    /// Only contestants with one of these in their names
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// How many callers there are in the closed loop
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values = ["1", "16", "64", "256", "1024"])]
    levels: Vec<usize>,
    /// How many samples are taken of each figure
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long each sample takes
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    #[command(flatten)]
    traced: Traced,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// So many callers, each of whom asks again when he is answered
    Closed,
    /// Requests that come when they come
    Open,
    /// Small requests beside those for large values
    Large,
    /// What a request allocates
    Allocations,
    /// What a request costs in system calls; needs strace
    SystemCalls,
    /// The pool at other settings than its own
    Sweep,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.traced.run()? {
        return Ok(());
    }
    let plan = Plan::new(args)?;
    let report = plan.measure()?;
    if let Some(path) = &args.json {
        report.write(path)?;
    }
    if let Some(directory) = &args.svg {
        chart::write(&report, directory)?;
    }
    if let Some(path) = &args.markdown {
        markdown::write(&table::texts(&report), path)?;
    }
    Ok(())
}

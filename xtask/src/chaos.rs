//! `chaos`: a cluster that is being broken while it is used.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chaos::{Options, Ours};

/// What `chaos` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how long faults come
    #[arg(long, value_name = "N", default_value_t = 120)]
    seconds: u64,
    /// Which script of faults; by chance unless given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How many tasks use the cluster
    #[arg(long, value_name = "N", default_value_t = 64)]
    tasks: usize,
    /// Write what came of it there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let options = Options {
        time: Duration::from_secs(args.seconds),
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        tasks: args.tasks,
    };
    println!("seed {}", options.seed);
    let report = chaos::run::<Ours>(options, &|line| println!("{line}"))?;
    print!("{report}");
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !report.is_clean() {
        bail!("that is not as it should be");
    }
    Ok(())
}

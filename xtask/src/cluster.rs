//! `cluster up` and `cluster down`: a cluster to play with, which outlives the command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use testbed::{Cluster, Detached};

use crate::report;

/// What `cluster` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Start a cluster that stays until `cluster down`
    Up {
        /// How many masters
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
        masters: u8,
        /// How many replicas each master has
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=5))]
        replicas: u8,
        /// Write where the nodes are there, as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Stop it
    Down,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let state = crate::root().join("target/testbed-cluster.json");
    match args {
        Args::Up {
            masters,
            replicas,
            json,
        } => {
            let record = up(&state, usize::from(*masters), usize::from(*replicas))?;
            report::write(json.as_deref(), &record)
        }
        Args::Down => down(&state),
    }
}

fn up(state: &Path, masters: usize, replicas: usize) -> anyhow::Result<Detached> {
    if let Some(record) = read(state)? {
        if testbed::is_detached_running(&record) {
            describe(&record);
            bail!("that cluster is up already; `cargo xtask cluster down` stops it");
        }
        // It died of something else, such as a reboot.
        testbed::stop_detached(&record)?;
    }
    let cluster = Cluster::start(masters, replicas)?;
    let record = cluster.record();
    // Only what is written down may be left running.
    fs::create_dir_all(state.parent().unwrap_or(state))?;
    report::write(Some(state), &record)?;
    cluster.detach()?;
    describe(&record);
    println!("\nstop it with  cargo xtask cluster down");
    Ok(record)
}

fn down(state: &Path) -> anyhow::Result<()> {
    let Some(record) = read(state)? else {
        println!("no cluster is up");
        return Ok(());
    };
    let stopped = testbed::stop_detached(&record)?;
    fs::remove_file(state)?;
    println!("stopped {} servers", stopped.killed);
    if stopped.gone > 0 {
        println!("{} had ended before", stopped.gone);
    }
    Ok(())
}

fn describe(record: &Detached) {
    println!("{}, {} nodes:", record.server, record.nodes.len());
    for node in &record.nodes {
        println!("  {}", node.url());
    }
    if let Some(node) = record.nodes.first() {
        println!("\nconnect with  redis-cli -c -p {}", node.port);
    }
}

fn read(state: &Path) -> anyhow::Result<Option<Detached>> {
    if !state.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(state)?;
    let record = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; stop its servers by hand", state.display()))?;
    Ok(Some(record))
}

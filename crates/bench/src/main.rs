//! wait-pool beside its rivals: `cargo xtask bench <verb>`.
//!
//! A crate of its own, so that nothing but this program depends on the rivals.

mod chart;
mod lookups;
mod markdown;
mod pools;
mod progress;
mod report;
mod stats;
mod table;
mod versions;
mod words;

use clap::Parser;

/// Measures wait-pool beside its rivals
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", arg_required_else_help = true)]
enum Verb {
    /// The pools by themselves, with connections that cost nothing
    Core(pools::Args),
    /// Lookups on a cluster, by clients beside each other
    Redis(lookups::Args),
}

fn main() -> anyhow::Result<()> {
    match Verb::parse() {
        Verb::Core(args) => pools::run(&args),
        Verb::Redis(args) => lookups::run(&args),
    }
}

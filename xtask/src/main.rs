//! The project's tasks: `cargo xtask <verb>`.

mod bench;
mod chaos;
mod ci;
mod cluster;
mod demo;
mod gen_commands;
mod instructions;
mod interrupt;
mod loom;
mod public_api;
mod report;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use xshell::Shell;

/// The project's tasks
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
enum Verb {
    /// Show what this project is for, on a real cluster that is started for it
    Demo(demo::Args),
    /// Measure wait-pool beside its rivals
    Bench(bench::Args),
    /// Break a cluster in every way while it is used, and look at what comes of it
    Chaos(chaos::Args),
    /// Run every test, those on real servers included
    Test(test::Args),
    /// Run the models of what threads do to each other, in every order
    Loom(loom::Args),
    /// Run everything a change has to pass
    Ci(ci::Args),
    /// Start or stop a cluster to play with
    #[command(subcommand)]
    Cluster(cluster::Args),
    /// Make the table of commands from a server's own words
    GenCommands {
        /// Write nothing; fail if the table is not what the server says
        #[arg(long)]
        check: bool,
    },
    /// Compare what the published crates offer with their `public-api.txt`
    PublicApi(public_api::Args),
    /// Count the instructions of checkouts and requests, and compare them with what they took
    Instructions(instructions::Args),
    /// Check the project's own rules: sizes, imports, links and the like
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    interrupt::watch();
    let result = match Verb::parse() {
        Verb::Demo(args) => demo::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Chaos(args) => chaos::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Loom(args) => loom::run(&args),
        Verb::Ci(args) => ci::run(&args),
        Verb::Cluster(args) => cluster::run(&args),
        Verb::GenCommands { check } => gen_commands::run(check),
        Verb::PublicApi(args) => public_api::run(&args),
        Verb::Instructions(args) => instructions::run(&args),
        Verb::Tidy(args) => tidy::run(&args),
    };
    interrupt::end_if_asked();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the project.
fn root() -> PathBuf {
    // Cargo says it at run time too, for a program that was built elsewhere.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    Path::new(&own)
        .parent()
        .expect("xtask is a directory of the project")
        .to_owned()
}

/// A shell in the root of the project.
fn shell() -> anyhow::Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(root());
    Ok(sh)
}

/// The cargo that runs us.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

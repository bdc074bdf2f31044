//! `test`: every test, those on real servers included.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::ensure;
use xshell::{Shell, cmd};

use crate::{cargo, interrupt};

/// What `test` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Server programs (Redis or Valkey, any version): what runs on servers is run once on each
    /// of them, and nothing else
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    servers: Vec<PathBuf>,
    /// Only tests with this in their names, or any other arguments of the test runner; doc tests
    /// are left out then
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::let_programs_end_first();
    if !args.servers.is_empty() {
        return on_each(&args.servers, &args.filter);
    }
    let start = Instant::now();
    // Once, before many tests find out that there is none.
    let server = testbed::server_binary()?;
    println!("server: {server}");

    let sh = crate::shell()?;
    let runner = tests(&sh, &["--workspace"], &args.filter)?;
    let mut ran = runner.to_owned();
    if args.filter.is_empty() {
        // The runners leave these out.
        let cargo = cargo();
        cmd!(sh, "{cargo} test --workspace --all-features --locked --doc").run()?;
        ran.push_str(" and doc tests");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("\nall passed: {ran}, with {server}, in {seconds:.1} s");
    Ok(())
}

/// Runs what talks to servers on one after the other, and says at the end which of them failed.
fn on_each(servers: &[PathBuf], filter: &[String]) -> anyhow::Result<()> {
    for server in servers {
        ensure!(server.is_file(), "there is no {}", server.display());
    }
    let sh = crate::shell()?;
    let mut failed = Vec::new();
    for server in servers {
        println!("\nserver: {}", server.display());
        let _on = sh.push_env("REDIS_SERVER", std::path::absolute(server)?);
        let packages = ["--package", "wait-pool-redis", "--package", "testbed"];
        if let Err(error) = tests(&sh, &packages, filter) {
            eprintln!("{error:#}");
            failed.push(server.as_path());
        }
    }
    let failed: Vec<_> = failed.into_iter().map(Path::display).collect();
    ensure!(failed.is_empty(), "failed on {failed:?}");
    println!("\nall passed on each of {} servers", servers.len());
    Ok(())
}

fn tests(sh: &Shell, packages: &[&str], filter: &[String]) -> anyhow::Result<&'static str> {
    let cargo = cargo();
    let all = [packages, &["--all-features", "--locked"]].concat();
    let nextest = cmd!(sh, "{cargo} nextest --version")
        .quiet()
        .ignore_stderr()
        .read();
    if nextest.is_ok() {
        cmd!(sh, "{cargo} nextest run {all...} {filter...}").run()?;
        return Ok("nextest");
    }
    cmd!(sh, "{cargo} test {all...} --tests -- {filter...}").run()?;
    Ok("cargo test")
}

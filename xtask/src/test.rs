//! `test`: every test, those on real servers included.

use std::time::Instant;

use xshell::{Shell, cmd};

use crate::{cargo, interrupt};

/// What `test` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only tests with this in their names, or any other arguments of the test runner; doc tests
    /// are left out then
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::let_programs_end_first();
    let start = Instant::now();
    // Once, before many tests find out that there is none.
    let server = testbed::server_binary()?;
    println!("server: {server}");

    let sh = crate::shell()?;
    let runner = tests(&sh, &args.filter)?;
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

fn tests(sh: &Shell, filter: &[String]) -> anyhow::Result<&'static str> {
    let cargo = cargo();
    let all = ["--workspace", "--all-features", "--locked"];
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

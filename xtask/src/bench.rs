//! `bench`: wait-pool beside its rivals. The program that measures is a crate of its own, so that
//! the rivals are built only for it.

use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::workspace::Workspace;
use crate::{cargo, interrupt};

/// Brings in the rival of `redis` that is no feature, for its cost.
const WITH_GLIDE: &str = "--cfg bench_glide";

/// What `bench` takes.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What to measure, `core` or `redis`, and its options; --help tells all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::let_programs_end_first();
    // Where the caller is: that is what the paths he gives are relative to.
    let sh = Shell::new()?;
    let (cargo, args) = (cargo(), &args.args);
    let program = ["--release", "--locked", "--package", "bench"];
    let run = if args.first().is_some_and(|verb| verb == "redis") {
        let rivals = ["--features", "rivals-redis"];
        // Apart, or the flags would have everything else built anew each time.
        let target = Workspace::read(&sh)?.target_directory.join("bench-redis");
        cmd!(
            sh,
            "{cargo} run {program...} {rivals...} --target-dir {target} -- {args...}"
        )
        .env("RUSTFLAGS", WITH_GLIDE)
    } else {
        cmd!(sh, "{cargo} run {program...} -- {args...}")
    };
    Ok(run.quiet().run()?)
}

//! `bench`: wait-pool beside its rivals. The program that measures is a crate of its own, so that
//! the rivals are built only for it.

use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::{cargo, interrupt};

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
    let mut program = vec!["--release", "--locked", "--package", "bench"];
    if args.first().is_some_and(|verb| verb == "redis") {
        // Nothing else needs its rivals, which take minutes to build.
        program.extend(["--features", "rivals-redis,rival-glide"]);
    }
    cmd!(sh, "{cargo} run {program...} -- {args...}")
        .quiet()
        .run()?;
    Ok(())
}

//! `bench`: wait-pool beside its rivals. The program that measures is a crate of its own, so that
//! the rivals are built only for it.

use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::{cargo, interrupt};

/// What `bench` takes.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What to measure, `core` for example, and its options; --help tells all
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
    cmd!(sh, "{cargo} run {program...} -- {args...}")
        .quiet()
        .run()?;
    Ok(())
}

//! `loom`: the models of what threads do to each other in wait-pool, in every order.

use xshell::cmd;

use crate::workspace::Workspace;
use crate::{cargo, interrupt};

/// Has the models compiled, and what threads meet in replaced by loom's.
const FLAGS: &str = "--cfg wait_pool_loom -D warnings";

/// What `loom` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only models whose names begin so, as `close`, `lease::leases`
    #[arg(default_value = "")]
    name: String,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::let_programs_end_first();
    let sh = crate::shell()?;
    let cargo = cargo();
    // Apart, or the flags would have everything else built anew each time.
    let target = Workspace::read(&sh)?.target_directory.join("loom");
    let models = ["--package", "wait-pool", "--lib", "--release", "--locked"];
    // What a failed model says is lost otherwise: its threads cannot be taken down in an orderly way.
    let runner = [&format!("models::{}", args.name), "--nocapture"];
    let test = cmd!(
        sh,
        "{cargo} test {models...} --target-dir {target} -- {runner...}"
    );
    Ok(test.env("RUSTFLAGS", FLAGS).run()?)
}

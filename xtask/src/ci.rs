//! `ci`: everything a change has to pass.

use std::path::PathBuf;

use xshell::cmd;

use crate::steps::Steps;
use crate::{cargo, gen_commands, instructions, interrupt, loom, public_api, report, test, tidy};

/// What `ci` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the steps, their outcomes and times there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::let_programs_end_first();
    let sh = crate::shell()?;
    let cargo = cargo();
    let mut steps = Steps::default();
    steps.run(
        "fmt",
        || Ok(cmd!(sh, "{cargo} fmt --all -- --check").run()?),
    );
    steps.run("tidy", || tidy::run(&tidy::Args::default()));
    steps.run("clippy", || {
        let all = ["--workspace", "--all-targets", "--all-features", "--locked"];
        Ok(cmd!(sh, "{cargo} clippy {all...} -- -D warnings").run()?)
    });
    steps.run("gen-commands", || gen_commands::run(true));
    steps.run("test", || test::run(&test::Args::default()));
    steps.run("loom", || loom::run(&loom::Args::default()));
    steps.run("doc", || {
        let all = ["--workspace", "--no-deps", "--all-features", "--locked"];
        let doc = cmd!(sh, "{cargo} doc {all...}").env("RUSTDOCFLAGS", "-D warnings");
        Ok(doc.run()?)
    });
    steps.run("public-api", || {
        public_api::run(&public_api::Args::default())
    });
    steps.run("instructions", || {
        instructions::run(&instructions::Args::default())
    });
    if cmd!(sh, "{cargo} deny --version")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok()
    {
        // Advisories change from day to day; a change is judged by itself.
        let kinds = ["licenses", "bans", "sources"];
        steps.run("deny", || {
            Ok(cmd!(sh, "{cargo} deny --all-features check {kinds...}").run()?)
        });
    } else {
        steps.skip("deny", "cargo-deny is not installed");
    }
    report::write(args.json.as_deref(), &steps)?;
    steps.finish()
}

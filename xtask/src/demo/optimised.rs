//! The demo measures, so it has to run as an optimised build; `cargo xtask` itself is a quick one.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// Whether this build is the one to measure with.
pub(super) const IS: bool = !cfg!(debug_assertions);

/// Becomes the optimised build of the same program, with the same arguments.
///
/// The process stays the same one, so that signals still go to the right place.
pub(super) fn become_it() -> anyhow::Result<()> {
    println!("building the demo with optimisations; the first time this takes a while");
    let error = Command::new(crate::cargo())
        .args(["run", "--release", "--package", "xtask", "--manifest-path"])
        .arg(crate::root().join("Cargo.toml"))
        .arg("--")
        .args(env::args_os().skip(1))
        .exec();
    Err(error).context("cannot run cargo")
}

//! A crate's public items, as rustdoc sees them: macros expanded, names and re-exports resolved.
//!
//! Only a nightly rustdoc admits that it can write JSON; a stable one does it when told to be one. The form changes
//! between versions. Where the Rust at hand writes one that cannot be read, [`KNOWN`] is asked.

use std::path::Path;

use anyhow::Context as _;
use public_api::Builder;
use xshell::{Cmd, Shell, cmd};

use crate::steps::CannotTell;

/// A Rust whose JSON can be read.
const KNOWN: &str = "1.95.0";

/// The Rust at hand, or another by its version.
#[derive(Debug, Clone, Copy)]
struct Rust<'a> {
    sh: &'a Shell,
    other: Option<&'static str>,
}

/// A line for each item, and the version of the Rust that listed them.
pub(super) fn items(sh: &Shell, package: &str, target: &Path) -> anyhow::Result<(String, String)> {
    let own = Rust { sh, other: None };
    let version = own.version()?;
    let unread = match own.list(package, target)? {
        Ok(items) => return Ok((items, version)),
        Err(unread) => unread,
    };
    println!("what Rust {version} lists cannot be read ({unread}); asking Rust {KNOWN}");
    let other = Some(KNOWN);
    let known = Rust { sh, other };
    let no_rust = || CannotTell(format!("Rust {KNOWN} is not there and cannot be installed"));
    let version = known.version().with_context(no_rust)?;
    Ok((known.list(package, target)??, version))
}

impl<'a> Rust<'a> {
    fn cargo(self) -> Cmd<'a> {
        match self.other {
            Some(version) => cmd!(self.sh, "rustup run --install {version} cargo"),
            None => self.sh.cmd(crate::cargo()),
        }
    }

    fn version(self) -> anyhow::Result<String> {
        let said = self.cargo().arg("--version").quiet().read()?;
        let version = said.split(' ').nth(1).context("cargo tells no version")?;
        Ok(version.to_owned())
    }

    /// The outer error is rustdoc's, the inner one that of reading what it wrote.
    fn list(self, package: &str, target: &Path) -> anyhow::Result<public_api::Result<String>> {
        let doc = self.cargo().args(["rustdoc", "--quiet", "--locked"]);
        let doc = doc.args(["--lib", "--all-features", "--package", package]);
        // A directory of its own: dependencies are built otherwise where unstable features may be used.
        let doc = doc.arg("--target-dir").arg(target).arg("--");
        let doc = doc.args(["-Z", "unstable-options", "--output-format", "json"]);
        doc.env("RUSTC_BOOTSTRAP", "1").quiet().run()?;

        let json = format!("doc/{}.json", package.replace('-', "_"));
        // What every type has tells nothing; auto traits are held by tests.
        let api = Builder::from_rustdoc_json(target.join(json))
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .build();
        Ok(api.map(|api| api.to_string()))
    }
}

//! Finds a program that is not the project's, or has it installed.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::install;

/// Where Homebrew puts programs; not everybody's PATH has them.
const BREW: [&str; 2] = ["/opt/homebrew/bin", "/usr/local/bin"];
/// Debian keeps PostgreSQL's programs in `VERSION/bin` below this, and on nobody's PATH.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// A program that the project needs and does not build, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What people call it.
    pub title: &'static str,
    /// The variable that names the program to use.
    pub variable: &'static str,
    /// What it may be called.
    pub names: &'static [&'static str],
    /// Debian's packages, the first that can be had wins.
    pub apt: &'static [&'static str],
    /// Homebrew's packages.
    pub brew: &'static [&'static str],
}

impl Program {
    /// The one that the variable names, else the first of its names on `PATH`, else one that the
    /// system's package manager installs now.
    ///
    /// # Errors
    /// If the variable names no file, or there is none and it cannot be installed; the message says what to do.
    pub fn find(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = self.named() {
            return find(&[&path.to_string_lossy()])
                .context("there is no such file")
                .with_context(|| format!("{} is set to {}", self.variable, path.display()));
        }
        if let Some(path) = find(self.names) {
            return Ok(path);
        }
        install::install(self, || find(self.names).is_some())?;
        let Some(path) = find(self.names) else {
            bail!("the package was installed, but {self} is not on PATH");
        };
        Ok(path)
    }

    /// The value of the variable.
    pub(crate) fn named(&self) -> Option<PathBuf> {
        let path = env::var_os(self.variable).filter(|path| !path.is_empty());
        path.map(PathBuf::from)
    }

    /// What to do where it can neither be found nor installed.
    pub(crate) fn advice(&self) -> String {
        let Self {
            title, variable, ..
        } = self;
        let packages = self.apt.join(" or ");
        format!("install {title} (packages {packages}) or set {variable} to the path of {self}")
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names.join(" or "))
    }
}

/// The first of `names` that exists, on `PATH` unless it is a path itself.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(DEBIAN_POSTGRES)
        .into_iter()
        .flatten()
        .flatten();
    let dirs: Vec<PathBuf> = env::split_paths(&path)
        .chain(BREW.iter().map(PathBuf::from))
        .chain(versions.map(|version| version.path().join("bin")))
        .collect();
    names.iter().find_map(|name| {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| path.is_file());
        }
        dirs.iter()
            .map(|dir| dir.join(name))
            .find(|path| path.is_file())
    })
}

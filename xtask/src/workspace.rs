//! What cargo tells of the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::cargo;

/// The part of `cargo metadata` that matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    /// The registries it may go to; all of them if there is no list.
    publish: Option<Vec<String>>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

impl Workspace {
    pub(crate) fn read(sh: &Shell) -> anyhow::Result<Self> {
        let cargo = cargo();
        let metadata = cmd!(sh, "{cargo} metadata --no-deps --locked --format-version 1");
        Ok(serde_json::from_str(&metadata.quiet().read()?)?)
    }
}

impl Package {
    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }
}

#[cfg(test)]
impl Package {
    /// One called `a`, with the rest of its fields.
    pub(crate) fn of_json(rest: &str) -> Self {
        let json = format!(r#"{{"name": "a", "manifest_path": "a/Cargo.toml", {rest}}}"#);
        serde_json::from_str(&json).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_unless_forbidden() {
        let of = |publish| Package::of_json(&format!(r#""features": {{}}, "publish": {publish}"#));
        assert!(of("null").is_published());
        assert!(of(r#"["a registry"]"#).is_published());
        assert!(!of("[]").is_published());
    }
}

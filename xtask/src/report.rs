//! What the verbs write for machines.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Writes `value` to the file that `--json` named, if any.
pub(crate) fn write(path: Option<&Path>, value: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

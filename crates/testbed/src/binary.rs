//! The server program and its version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, ensure};

use crate::program::Program;

/// Old releases of Debian have no Valkey, coming ones may have no Redis.
const SERVER: Program = Program {
    title: "Redis or Valkey",
    variable: "REDIS_SERVER",
    names: &["redis-server", "valkey-server"],
    apt: &["redis-server", "valkey-server"],
    brew: &["redis", "valkey"],
};

/// A `redis-server` or `valkey-server` program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Where it is.
    pub path: PathBuf,
    /// `redis` or `valkey`.
    pub name: &'static str,
    /// Its own version, such as `7.0.15`.
    pub version: String,
}

impl Binary {
    /// Asks the program at `path` what it is.
    fn inspect(path: &Path) -> anyhow::Result<Self> {
        let output = Command::new(path)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run {}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (name, version) = parse_version(&text).with_context(|| {
            format!(
                "{} is no Redis or Valkey server: it says {:?}",
                path.display(),
                text.lines().next().unwrap_or_default()
            )
        })?;
        Ok(Self {
            path: path.to_owned(),
            name,
            version,
        })
    }

    /// The first number of the version.
    #[must_use]
    pub fn major(&self) -> u32 {
        let digits = self.version.split('.').next().unwrap_or_default();
        digits.parse().unwrap_or_default()
    }
}

impl std::fmt::Display for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} ({})",
            self.name,
            self.version,
            self.path.display()
        )
    }
}

/// The server program to use: the one `REDIS_SERVER` names, else the first of `redis-server` and
/// `valkey-server` on `PATH`, else one that the system's package manager installs now.
///
/// # Errors
/// If `REDIS_SERVER` names something else, or there is no server and none could be installed; the
/// message says what to do.
pub fn server_binary() -> anyhow::Result<Binary> {
    static FOUND: Mutex<Option<Binary>> = Mutex::new(None);
    let mut found = FOUND
        .lock()
        .expect("nothing panics while looking for the server");
    if let Some(binary) = &*found {
        return Ok(binary.clone());
    }
    let binary = look()?;
    Ok(found.insert(binary).clone())
}

fn look() -> anyhow::Result<Binary> {
    let binary = Binary::inspect(&SERVER.find()?);
    match SERVER.named() {
        Some(path) => {
            binary.with_context(|| format!("{} is set to {}", SERVER.variable, path.display()))
        }
        None => binary,
    }
}

/// Reads `Redis server v=7.0.15 sha=…` and `Valkey server v=8.1.1 sha=…`.
fn parse_version(text: &str) -> anyhow::Result<(&'static str, String)> {
    let name = if text.starts_with("Valkey ") {
        "valkey"
    } else {
        "redis"
    };
    let version = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="))
        .context("no version in it")?;
    ensure!(text.contains(" server "), "not a server");
    Ok((name, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(
            parse_version(redis).unwrap(),
            ("redis", "7.0.15".to_owned())
        );
        let valkey = "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(
            parse_version(valkey).unwrap(),
            ("valkey", "8.1.1".to_owned())
        );
        assert!(parse_version("GNU bash, version 5.2").is_err());
    }

    #[test]
    fn major_is_the_first_number() {
        let binary = |version: &str| Binary {
            path: PathBuf::new(),
            name: "redis",
            version: version.to_owned(),
        };
        assert_eq!(binary("7.0.15").major(), 7);
        assert_eq!(binary("255.255.255").major(), 255);
        assert_eq!(binary("unstable").major(), 0);
    }
}

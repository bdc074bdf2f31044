//! What `demo` takes.

use std::path::PathBuf;
use std::time::Duration;

use redis::ConnectionInfo;

/// What `demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Short phases: under half a minute in all
    #[arg(long)]
    quick: bool,
    /// Write the figures there, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Use this cluster instead of one of our own; repeat it to name more of its nodes
    #[arg(long, value_name = "URL", value_parser = url)]
    pub(super) url: Vec<ConnectionInfo>,
    /// Allow writing to the cluster of `--url`: the features go in, and out again at the end
    #[arg(long, requires = "url")]
    pub(super) write: bool,
    /// Leave the features there, for later runs without `--write`
    #[arg(long, requires = "write")]
    pub(super) keep: bool,
}

impl Args {
    /// How long a phase of even load takes.
    pub(super) fn phase(&self) -> Duration {
        if self.quick {
            Duration::from_millis(2500)
        } else {
            Duration::from_secs(10)
        }
    }

    /// How long a node is watched before it is stopped, and again after it goes on.
    pub(super) fn around_stop(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 2 })
    }
}

fn url(text: &str) -> Result<ConnectionInfo, redis::RedisError> {
    text.parse()
}

//! Servers that outlive the process that started them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use serde::{Deserialize, Serialize};

use crate::node::{connect, process_id};
use crate::reaper::raw;

/// Where a [detached](crate::Cluster::detach) cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// The directory that holds everything of it.
    pub dir: PathBuf,
    /// The server program, for people.
    pub server: String,
    /// Its processes.
    pub nodes: Vec<DetachedNode>,
}

/// One process of a [`Detached`] cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetachedNode {
    /// Its port on loopback.
    pub port: u16,
    /// Its process id.
    pub pid: u32,
}

impl DetachedNode {
    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Whether `pid` still is the server it was, and not a stranger with the same number.
    fn is_ours(&self, dir: &Path) -> bool {
        // A server works in its own directory. That can be seen of one that hangs, too.
        if Path::new("/proc/self/cwd").exists() {
            let cwd = fs::read_link(format!("/proc/{}/cwd", self.pid)).unwrap_or_default();
            let own = dir.join(self.port.to_string()).display().to_string();
            let cwd = cwd.display().to_string();
            return cwd.strip_suffix(" (deleted)").unwrap_or(&cwd) == own;
        }
        let pid = connect(self.port).and_then(|mut connection| process_id(&mut connection));
        pid.is_ok_and(|pid| pid == self.pid)
    }
}

/// What [`stop_detached`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that were killed.
    pub killed: usize,
    /// Processes that had gone before.
    pub gone: usize,
}

/// Whether any process of the cluster is still there.
#[must_use]
pub fn is_detached_running(record: &Detached) -> bool {
    record.nodes.iter().any(|node| node.is_ours(&record.dir))
}

/// Kills the processes of the record that are still the servers they were, and removes the
/// directory.
///
/// # Errors
/// If a process does not end, or the directory cannot be removed.
pub fn stop_detached(record: &Detached) -> anyhow::Result<Stopped> {
    let (ours, gone): (Vec<&DetachedNode>, Vec<_>) = record
        .nodes
        .iter()
        .partition(|node| node.is_ours(&record.dir));
    for node in &ours {
        killpg(raw(node.pid), Signal::SIGKILL)
            .with_context(|| format!("cannot kill process {}", node.pid))?;
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while ours.iter().any(|node| node.is_ours(&record.dir)) {
        if Instant::now() >= deadline {
            bail!("the servers do not end");
        }
        thread::sleep(crate::node::POLL);
    }
    // The record comes from a file: nothing but a directory of ours is removed on its word.
    let name = record.dir.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("wait-pool-testbed.") && record.dir.exists() {
        fs::remove_dir_all(&record.dir)
            .with_context(|| format!("cannot remove {}", record.dir.display()))?;
    }
    Ok(Stopped {
        killed: ours.len(),
        gone: gone.len(),
    })
}

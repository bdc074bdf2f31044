//! Starts and ends the process of a server so that none is ever unknown to its reaper.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use nix::sys::signal::{self, Signal};

use crate::reaper::{Reaper, raw};

/// Starts a program in `dir`, its words to be found in [`log`].
pub(crate) fn launch(reaper: &Reaper, dir: &Path, command: &[&str]) -> anyhow::Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join(LOG))?;
    // The shell waits for a line before it becomes the server. If we die before the reaper
    // knows the process, the line never comes and the shell ends.
    let mut child = Command::new("sh")
        .args([
            "-c",
            r#"read -r go && exec "$@" </dev/null"#,
            "testbed-gate",
        ])
        .args(command)
        .current_dir(dir)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start sh")?;
    let mut gate = child.stdin.take().expect("stdin is piped");
    let opened = reaper
        .add(child.id())
        .and_then(|()| gate.write_all(b"go\n").context("the new process is gone"));
    if let Err(error) = opened {
        drop(gate);
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

/// Kills a process if it is still there, and waits for its end.
pub(crate) fn end(reaper: &Reaper, child: &mut Child) -> anyhow::Result<()> {
    let pid = child.id();
    if child.try_wait()?.is_none() {
        // The group, for the sake of a forked helper.
        signal::killpg(raw(pid), Signal::SIGKILL)?;
        child.wait()?;
    }
    reaper.remove(pid)
}

/// The end of what the program in `dir` has said.
pub(crate) fn log(dir: &Path) -> String {
    let log = fs::read_to_string(dir.join(LOG)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// Whether it has said that its port belongs to somebody else.
pub(crate) fn is_port_taken(log: &str) -> bool {
    log.contains("ddress already in use")
}

const LOG: &str = "server.log";

//! The one cleaning path: a shell process that outlives this one if need be.
//!
//! A destructor does not run when a process is killed, and a signal handler cannot run everything.
//! The end of a pipe always comes. So the servers' process ids are told to a child whose standard
//! input is a pipe from here (see `reaper.sh`); it ignores signals and sits in a process group of
//! its own, where a terminal's Ctrl-C or a test runner's kill does not reach it.
//!
//! A process id is announced before the server itself may start ([`crate::node`]), and withdrawn
//! only after the process is gone, so that there is no moment at which a server is unknown.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// Every reaper of this process.
static REAPERS: Mutex<Vec<Weak<Reaper>>> = Mutex::new(Vec::new());

/// Ends all servers that this process has started, and returns when they are gone.
///
/// For the handler of an interrupt, just before it ends the process. Without it they end all the
/// same, a moment after the process.
pub fn stop_all() {
    let reapers = std::mem::take(&mut *locked(&REAPERS));
    for reaper in reapers.iter().filter_map(Weak::upgrade) {
        reaper.finish();
    }
}

/// The reaper process and the directory it owns.
#[derive(Debug)]
pub(crate) struct Reaper {
    dir: PathBuf,
    process: Mutex<Option<Process>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    orders: ChildStdin,
    /// What it has been told to kill.
    pids: Vec<u32>,
}

impl Reaper {
    /// Starts a reaper, which makes its directory.
    pub(crate) fn start() -> anyhow::Result<Arc<Self>> {
        let mut child = Command::new("sh")
            // By way of a variable, so that lists of processes stay legible.
            .env("TESTBED_REAPER", include_str!("reaper.sh"))
            .args(["-c", r#"eval "$TESTBED_REAPER""#, "testbed-reaper"])
            .arg(std::env::temp_dir())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        let orders = child.stdin.take().expect("stdin is piped");
        let answer = child.stdout.take().expect("stdout is piped");
        let mut dir = String::new();
        BufReader::new(answer).read_line(&mut dir)?;
        // Canonical, because it is compared with what the system says of the processes in it.
        let dir = fs::canonicalize(dir.trim_end_matches('\n')).with_context(|| {
            format!(
                "cannot make a temporary directory in {}",
                std::env::temp_dir().display()
            )
        })?;
        let pids = Vec::new();
        let process = Mutex::new(Some(Process {
            child,
            orders,
            pids,
        }));
        let reaper = Arc::new(Self { dir, process });
        let mut reapers = locked(&REAPERS);
        reapers.retain(|other| other.strong_count() > 0);
        reapers.push(Arc::downgrade(&reaper));
        Ok(reaper)
    }

    /// The directory that goes with the reaper.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// From now on `pid`'s process group dies with us.
    pub(crate) fn add(&self, pid: u32) -> anyhow::Result<()> {
        let mut process = locked(&self.process);
        let process = process.as_mut().context(ENDED)?;
        process.order(&format!("add {pid}\n"))?;
        process.pids.push(pid);
        Ok(())
    }

    /// `pid` is gone and may be anybody's from now on.
    pub(crate) fn remove(&self, pid: u32) -> anyhow::Result<()> {
        let mut process = locked(&self.process);
        let process = process.as_mut().context(ENDED)?;
        process.pids.retain(|&other| other != pid);
        process.order(&format!("del {pid}\n"))
    }

    /// Ends the reaper and leaves everything as it is.
    pub(crate) fn leave(&self) -> anyhow::Result<()> {
        let mut process = locked(&self.process);
        process.as_mut().context(ENDED)?.order("leave\n")?;
        if let Some(mut process) = process.take() {
            process.child.wait()?;
        }
        Ok(())
    }

    /// Closes the pipe and waits until the processes are gone and the directory is too.
    ///
    /// Until then their numbers cannot become anybody else's, because nobody but us, their parent,
    /// takes their exit status, and that comes last.
    pub(crate) fn finish(&self) {
        // Held to the end, so that whoever else calls this waits as well.
        let mut process = locked(&self.process);
        let Some(Process {
            mut child,
            orders,
            pids,
        }) = process.take()
        else {
            return;
        };
        drop(orders);
        if !child.wait().is_ok_and(|status| status.success()) {
            // Somebody has killed the reaper.
            for &pid in &pids {
                let _ = killpg(raw(pid), Signal::SIGKILL);
            }
            let _ = fs::remove_dir_all(&self.dir);
        }
        for &pid in &pids {
            let _ = waitpid(raw(pid), None);
        }
    }
}

impl Process {
    /// Each order is one write, so that a kill cannot leave half a line.
    fn order(&mut self, line: &str) -> anyhow::Result<()> {
        self.orders
            .write_all(line.as_bytes())
            .context("the reaper is gone")
    }
}

const ENDED: &str = "the servers have been ended";

/// A process id as the system calls take it.
pub(crate) fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("process ids are positive i32"))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

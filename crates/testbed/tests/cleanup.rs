//! Nothing is left behind, however the owner of the servers ends.
//!
//! The owner is this test program itself, started once more with a variable that says what to do
//! and a temporary directory of its own, in which leftovers are easy to see.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testbed::{Cluster, DetachedNode, Server, is_detached_running, stop_detached};

const VARIABLE: &str = "TESTBED_OWNER";

/// Not a test unless one of the others starts it.
#[test]
fn owner() {
    let Ok(end) = std::env::var(VARIABLE) else {
        return;
    };
    let server = Server::start().unwrap();
    server.stop();
    let killed = Server::start().unwrap();
    killed.kill().unwrap();
    let cluster = Cluster::start(3, 0).unwrap();
    println!("ready");
    match end.as_str() {
        "return" => {}
        "panic" => panic!("on purpose"),
        "exit" => std::process::exit(3),
        _ => thread::sleep(Duration::from_secs(60)),
    }
    drop((server, killed, cluster));
}

/// An owner with a temporary directory of its own.
struct Owner {
    child: Child,
    dir: PathBuf,
}

impl Owner {
    fn start(name: &str, end: &str) -> Self {
        // Not in the system's temporary directory, because this test itself may be interrupted.
        let name = format!("cleanup-{}-{name}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&dir).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["owner", "--exact", "--nocapture"])
            .env(VARIABLE, end)
            .env("TMPDIR", &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn wait_until_ready(&mut self) {
        let stdout = self.child.stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        // The test runner puts its own words before it on the same line.
        assert!(
            lines.any(|line| line.ends_with("ready")),
            "the owner did not come up"
        );
    }

    /// Waits for the owner's end and then for that of everything it started.
    fn wait_until_clean(mut self) {
        self.child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.leftovers().is_empty() {
            let left = self.leftovers();
            assert!(Instant::now() < deadline, "left behind: {left:?}");
            thread::sleep(Duration::from_millis(20));
        }
        fs::remove_dir(&self.dir).unwrap();
    }

    /// Directories, and processes that work in or were started from them.
    fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).unwrap().flatten();
        let mut left: Vec<String> = entries
            .map(|entry| entry.path().display().to_string())
            .collect();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        left.extend(
            processes
                .map(|entry| entry.path())
                .filter(|path| belongs(path, &self.dir))
                .map(|path| path.display().to_string()),
        );
        left
    }
}

/// Whether the process at `/proc/PID` has to do with `dir`.
fn belongs(process: &Path, dir: &Path) -> bool {
    let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let own = process.ends_with(std::process::id().to_string());
    !own && (cwd.starts_with(dir)
        || String::from_utf8_lossy(&command).contains(&*dir.to_string_lossy()))
}

fn check(end: &str) {
    let mut owner = Owner::start(end, end);
    owner.wait_until_ready();
    owner.wait_until_clean();
}

#[test]
fn after_a_normal_end() {
    check("return");
}

#[test]
fn after_a_panic() {
    check("panic");
}

#[test]
fn after_an_exit_without_destructors() {
    check("exit");
}

#[test]
fn after_a_kill() {
    let mut owner = Owner::start("kill", "sleep");
    owner.wait_until_ready();
    assert!(owner.leftovers().len() > 4, "{:?}", owner.leftovers());
    owner.child.kill().unwrap();
    owner.wait_until_clean();
}

#[test]
fn after_a_kill_at_any_moment_of_the_start() {
    for millis in [1, 3, 5, 8, 12, 16, 20, 25, 30, 40, 60, 100, 200] {
        let mut owner = Owner::start(&format!("early-{millis}"), "sleep");
        thread::sleep(Duration::from_millis(millis));
        owner.child.kill().unwrap();
        owner.wait_until_clean();
    }
}

#[test]
fn a_detached_cluster_goes_on_until_it_is_stopped() {
    let cluster = Cluster::start(2, 0).unwrap();
    let record = cluster.record();
    cluster.nodes()[1].stop();
    cluster.detach().unwrap();
    assert!(is_detached_running(&record));
    assert!(record.dir.exists());

    // A process that happens to have a recorded number is not touched.
    let mut stale = record.clone();
    let stranger = DetachedNode {
        port: record.nodes[0].port,
        pid: std::process::id(),
    };
    stale.nodes.push(stranger);
    let stopped = stop_detached(&stale).unwrap();
    assert_eq!((stopped.killed, stopped.gone), (2, 1));
    assert!(!is_detached_running(&record));
    assert!(!record.dir.exists());
    assert_eq!(stop_detached(&record).unwrap().killed, 0);
}

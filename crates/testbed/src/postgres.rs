//! A PostgreSQL server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{self, Signal};
use nix::unistd::{User, chown, geteuid};

use crate::gate;
use crate::node::{POLL, StartError};
use crate::ports::free_port;
use crate::program::Program;
use crate::reaper::{Reaper, raw};

const PROGRAM: Program = Program {
    title: "PostgreSQL",
    variable: "POSTGRES_SERVER",
    names: &["postgres"],
    apt: &["postgresql"],
    brew: &["postgresql@17", "postgresql"],
};
/// How often another process may be quicker to take a port before it looks like something else.
const TRIES: u32 = 10;
const START_DEADLINE: Duration = Duration::from_secs(30);
const END_DEADLINE: Duration = Duration::from_secs(2);
/// What suits a server that holds nothing of value.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "autovacuum=off",
    "shared_buffers=8MB",
    "dynamic_shared_memory_type=mmap",
    "max_connections=100",
];

/// A PostgreSQL server that ends when it is dropped, or when this process ends in whatever way.
/// Everybody on this machine may log in, as `postgres` and without a password.
///
/// The program is the one that `POSTGRES_SERVER` names, else `postgres` on `PATH` or where Debian
/// puts it, else one that the system's package manager installs now; `initdb` is next to it. Since it
/// refuses to run as root, it runs as `postgres` or `nobody` where we are root.
///
/// Where this process is killed no server and no file is left behind, but up to a megabyte of shared
/// memory is, which PostgreSQL gives back only if it may end by itself.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    child: Child,
    home: Home,
}

/// What it takes to start the server again.
#[derive(Debug)]
struct Home {
    program: PathBuf,
    data: PathBuf,
    account: Account,
    reaper: Arc<Reaper>,
}

impl Postgres {
    /// Makes a database and starts a server on it, which takes a second or two.
    ///
    /// # Errors
    /// If there is no program and none could be installed, or it does not come up; the message
    /// says what to do.
    pub fn start() -> anyhow::Result<Self> {
        let home = Home::make()?;
        let port = free_port()?;
        let child = home.serve(port)?;
        let mut server = Self { port, child, home };
        for _ in 0..TRIES {
            match server.ready() {
                Ok(()) => return Ok(server),
                Err(StartError::Other(error)) => return Err(error),
                Err(StartError::PortTaken) => {
                    gate::end(&server.home.reaper, &mut server.child)?;
                    server.port = free_port()?;
                    server.child = server.home.serve(server.port)?;
                }
            }
        }
        bail!("every port that is free is taken by the time PostgreSQL binds it")
    }

    /// The port for clients, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it says in its own file that it is ready.
    fn ready(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let status = self.child.try_wait().map_err(anyhow::Error::from);
            let status = status.map_err(StartError::Other)?;
            let log = || gate::log(self.home.reaper.dir());
            if status.is_some() && gate::is_port_taken(&log()) {
                return Err(StartError::PortTaken);
            }
            if status.is_some() || Instant::now() >= deadline {
                let error = anyhow::anyhow!("PostgreSQL does not start: {}", log());
                return Err(StartError::Other(error));
            }
            let told =
                fs::read_to_string(self.home.data.join("postmaster.pid")).unwrap_or_default();
            let mut told = told.lines().map(str::trim);
            if told.next() == Some(&self.child.id().to_string())
                && told.next_back() == Some("ready")
            {
                return Ok(());
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // So that it gives back the shared memory that outlives a killed server.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = signal::kill(raw(self.child.id()), Signal::SIGQUIT);
        }
        let deadline = Instant::now() + END_DEADLINE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.home.reaper.finish();
    }
}

impl Home {
    fn make() -> anyhow::Result<Self> {
        let program = fs::canonicalize(PROGRAM.find()?)?;
        let reaper = Reaper::start()?;
        let home = Self {
            program,
            data: reaper.dir().join("data"),
            account: Account::choose()?,
            reaper,
        };
        home.account.give(home.reaper.dir())?;
        home.initdb()?;
        Ok(home)
    }

    fn initdb(&self) -> anyhow::Result<()> {
        let initdb = self.program.with_file_name("initdb");
        ensure!(initdb.is_file(), "there is no {}", initdb.display());
        let (initdb, data) = (initdb.to_string_lossy(), self.data.to_string_lossy());
        let mut words = vec![&*initdb, "-D", &*data, "-U", "postgres", "--auth=trust"];
        words.extend(["--no-sync", "--no-locale", "--encoding=UTF8"]);
        let mut child = self.account.launch(&self.reaper, &words)?;
        let status = child.wait()?;
        self.reaper.remove(child.id())?;
        let log = gate::log(self.reaper.dir());
        ensure!(status.success(), "initdb failed: {log}");
        Ok(())
    }

    fn serve(&self, port: u16) -> anyhow::Result<Child> {
        let (program, data) = (self.program.to_string_lossy(), self.data.to_string_lossy());
        let port = port.to_string();
        let mut words = vec![&*program, "-D", &*data, "-p", &port];
        words.extend(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        self.account.launch(&self.reaper, &words)
    }
}

/// Who runs the server: somebody else if we are root, else ourselves.
#[derive(Debug)]
struct Account(Option<User>);

impl Account {
    fn choose() -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let known = |name| User::from_name(name).ok().flatten();
        let user = known("postgres").or_else(|| known("nobody"));
        let user = user.context("PostgreSQL does not run as root, and there is no nobody")?;
        Ok(Self(Some(user)))
    }

    fn give(&self, dir: &Path) -> anyhow::Result<()> {
        if let Some(user) = &self.0 {
            chown(dir, Some(user.uid), Some(user.gid))?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    fn launch(&self, reaper: &Reaper, words: &[&str]) -> anyhow::Result<Child> {
        let Some(user) = &self.0 else {
            return gate::launch(reaper, reaper.dir(), words);
        };
        let ids = [
            format!("--reuid={}", user.uid),
            format!("--regid={}", user.gid),
        ];
        let switch = ["setpriv", &ids[0], &ids[1], "--clear-groups"];
        gate::launch(reaper, reaper.dir(), &[&switch, words].concat())
    }
}

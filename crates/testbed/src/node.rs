//! One server process.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{self, Signal};

use crate::binary::Binary;
use crate::gate;
use crate::ports::free_port;
use crate::reaper::{Reaper, raw};
use crate::tls::Tls;

/// How often to look whether something has come about.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// A server is up in milliseconds; this is for a machine that is very busy.
const START_DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// A server process on loopback, alone ([`crate::Server`]) or in a [`crate::Cluster`].
#[derive(Debug)]
pub struct Node {
    binary: Binary,
    port: u16,
    tls_port: Option<u16>,
    /// Whether it watches others instead of serving data.
    sentinel: bool,
    dir: PathBuf,
    reaper: Arc<Reaper>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Option<Child>,
    stopped: bool,
}

/// Why a process did not come up.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Somebody else took the port meanwhile: draw another.
    PortTaken,
    Other(anyhow::Error),
}

impl Node {
    /// Starts a process without waiting for it, in a new directory of the reaper's.
    ///
    /// `settings` are lines of its configuration file; later ones win.
    pub(crate) fn spawn(
        binary: Binary,
        reaper: Arc<Reaper>,
        port: u16,
        settings: &[(String, String)],
        tls: Option<&Tls>,
    ) -> anyhow::Result<Self> {
        let dir = reaper.dir().join(port.to_string());
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut lines = format!("port {port}\ndir \"{}\"\n", dir.display());
        let tls_port = tls.map(|_| free_port()).transpose()?;
        if let (Some(tls), Some(port)) = (tls, tls_port) {
            lines.push_str(&tls.settings(&dir, port)?);
        }
        for (name, value) in settings {
            let value = if value.is_empty() { r#""""# } else { value };
            lines.push_str(&format!("{name} {value}\n"));
        }
        fs::write(dir.join("server.conf"), lines)?;
        let node = Self {
            binary,
            port,
            tls_port,
            sentinel: settings.iter().any(|(name, _)| name == "sentinel"),
            dir,
            reaper,
            state: Mutex::new(State {
                child: None,
                stopped: false,
            }),
        };
        let child = node.launch()?;
        node.state().child = Some(child);
        Ok(node)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port for clients.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// The port for clients that speak TLS, if it has one.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// `rediss://127.0.0.1:PORT`, if it speaks TLS.
    #[must_use]
    pub fn tls_url(&self) -> Option<String> {
        Some(format!("rediss://127.0.0.1:{}", self.tls_port?))
    }

    /// The process id; `None` after [`kill`](Self::kill).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    /// Whether the process is there and not [stopped](Self::stop).
    #[must_use]
    pub fn is_running(&self) -> bool {
        let state = self.state();
        state.child.is_some() && !state.stopped
    }

    /// The program it runs.
    #[must_use]
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Freezes the process (`SIGSTOP`): its connections stay open and nothing answers. When this
    /// returns the process does nothing any more. Without effect on a killed one.
    pub fn stop(&self) {
        self.freeze(true);
    }

    /// Lets a [stopped](Self::stop) process go on (`SIGCONT`).
    pub fn cont(&self) {
        self.freeze(false);
    }

    /// Kills the process (`SIGKILL`) and waits for its end. Without effect on a killed one.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.end(&mut self.state())
    }

    /// Starts the process again on the same port and in the same directory, killing it first if
    /// need be, and waits until it answers. It has lost its data; a cluster node knows its cluster.
    ///
    /// # Errors
    /// If it does not come up, for instance because its port has been taken.
    pub fn restart(&self) -> anyhow::Result<()> {
        {
            let mut state = self.state();
            self.end(&mut state)?;
            state.child = Some(self.launch()?);
            state.stopped = false;
        }
        self.ready().map_err(|error| match error {
            StartError::PortTaken => anyhow::anyhow!("somebody has taken port {}", self.port),
            StartError::Other(error) => error,
        })
    }

    /// A new blocking connection with short timeouts, also while the server is of no use.
    ///
    /// # Errors
    /// If the node is down, or does not answer in time.
    pub fn connection(&self) -> anyhow::Result<redis::Connection> {
        connect(self.port)
    }

    /// Waits until our process, and not somebody else's on the same port, answers.
    pub(crate) fn ready(&self) -> Result<(), StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Some(status) = self.exit_status().map_err(StartError::Other)? {
                let log = gate::log(&self.dir);
                // A dead child is of no use to a later `kill`.
                let _ = self.kill();
                if gate::is_port_taken(&log) {
                    return Err(StartError::PortTaken);
                }
                let error = anyhow::anyhow!("{} ended at once ({status}): {log}", self.binary);
                return Err(StartError::Other(error));
            }
            let pid = self
                .connection()
                .and_then(|mut connection| process_id(&mut connection));
            let late = Instant::now() >= deadline;
            match pid {
                Ok(pid) if Some(pid) == self.pid() => return Ok(()),
                Ok(_) | Err(_) if !late => thread::sleep(POLL),
                Ok(_) => return Err(StartError::PortTaken),
                Err(error) => {
                    let error =
                        error.context(format!("no answer; its log: {}", gate::log(&self.dir)));
                    return Err(StartError::Other(error));
                }
            }
        }
    }

    fn launch(&self) -> anyhow::Result<Child> {
        let program = self.binary.path.to_string_lossy();
        let settings = self.dir.join("server.conf");
        let settings = settings.to_string_lossy();
        let command = [&*program, &*settings, "--sentinel"];
        let words = if self.sentinel { 3 } else { 2 };
        gate::launch(&self.reaper, &self.dir, &command[..words])
    }

    fn end(&self, state: &mut State) -> anyhow::Result<()> {
        if let Some(child) = &mut state.child {
            gate::end(&self.reaper, child)?;
            state.child = None;
            state.stopped = false;
        }
        Ok(())
    }

    fn freeze(&self, stop: bool) {
        let mut state = self.state();
        let Some(child) = &state.child else {
            return;
        };
        let signal = if stop {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        if signal::kill(raw(child.id()), signal).is_ok() && stop {
            settle(child.id());
        }
        state.stopped = stop;
    }

    fn exit_status(&self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        let mut state = self.state();
        let child = state.child.as_mut().context("the process was killed")?;
        Ok(child.try_wait()?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A blocking connection with short timeouts.
pub(crate) fn connect(port: u16) -> anyhow::Result<redis::Connection> {
    let client = redis::Client::open(("127.0.0.1", port))?;
    let connection = client
        .get_connection_with_timeout(CONNECT_TIMEOUT)
        .with_context(|| format!("cannot connect to 127.0.0.1:{port}"))?;
    connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
    connection.set_write_timeout(Some(REPLY_TIMEOUT))?;
    Ok(connection)
}

/// The process id of the server at the other end.
pub(crate) fn process_id(connection: &mut redis::Connection) -> anyhow::Result<u32> {
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query(connection)?;
    info.get("process_id").context("INFO has no process_id")
}

/// Waits until a `SIGSTOP` that was sent has taken effect; where there is no `/proc` it is trusted
/// to be quick.
fn settle(pid: u32) {
    for _ in 0..1000 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // `PID (NAME) STATE …`, where the name may contain anything.
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
        if !matches!(state, Some(b'R' | b'S' | b'D')) {
            return;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

impl From<StartError> for anyhow::Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::PortTaken => anyhow::anyhow!("its port was taken"),
            StartError::Other(error) => error,
        }
    }
}

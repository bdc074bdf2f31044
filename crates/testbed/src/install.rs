//! Installs a server with the system's package manager.
//!
//! Debian's package also starts a server of the system's on port 6379. That one is none of ours:
//! it is kept from starting where the system lets us, and never used or stopped.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};

/// Debian's names, the first that can be had wins. Old releases have no Valkey, coming ones may
/// have no Redis.
const APT_PACKAGES: [&str; 2] = ["redis-server", "valkey-server"];
const BREW_PACKAGES: [&str; 2] = ["redis", "valkey"];

const ADVICE: &str = "install Redis or Valkey (packages redis-server, redis or valkey-server) \
                      or set REDIS_SERVER to the path of a redis-server";

/// Installs a server unless `present` says that one has appeared meanwhile.
pub(crate) fn install_server(present: impl Fn() -> bool) -> anyhow::Result<()> {
    // Parallel tests all find the server missing; one installs, the others wait for it.
    let path = env::temp_dir().join("wait-pool-testbed-install.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let result = if present() { Ok(()) } else { install() };
    // Whoever waits on the removed file finds the server present.
    let _ = fs::remove_file(&path);
    drop(lock);
    result
}

fn install() -> anyhow::Result<()> {
    if runs("apt-get") {
        return apt();
    }
    if runs("brew") {
        eprintln!("no redis-server found: installing one with brew");
        return first(&BREW_PACKAGES, |package| {
            run(Command::new("brew").args(["install", "--quiet", package]))
        });
    }
    bail!("no redis-server or valkey-server on PATH; {ADVICE}")
}

fn apt() -> anyhow::Result<()> {
    let prefix: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else if quiet(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        bail!("no redis-server or valkey-server on PATH, and no right to install one; {ADVICE}");
    };
    eprintln!("no redis-server found: installing one with apt-get");
    // Old lists often name files that are gone; a failed update may still leave good ones.
    let _ = run(&mut as_root(prefix, &["apt-get", "update", "-qq"]));
    first(&APT_PACKAGES, |package| {
        let unit = ServiceMask::new(prefix, package);
        let mut words = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
        // The system may be about to update itself.
        words.extend(["-o", "DPkg::Lock::Timeout=120", package]);
        let result = run(&mut as_root(prefix, &words));
        drop(unit);
        result
    })
}

/// Keeps systemd from starting the package's service while it is being installed. The mask lies
/// in `/run`, so that even a forgotten one ends with the next boot.
struct ServiceMask<'a> {
    prefix: &'a [&'a str],
    unit: Option<String>,
}

impl<'a> ServiceMask<'a> {
    fn new(prefix: &'a [&'a str], package: &str) -> Self {
        let unit = format!("{package}.service");
        let masked = Path::new("/run/systemd/system").is_dir()
            && quiet(&mut as_root(
                prefix,
                &["systemctl", "mask", "--runtime", &unit],
            ));
        Self {
            prefix,
            unit: masked.then_some(unit),
        }
    }
}

impl Drop for ServiceMask<'_> {
    fn drop(&mut self) {
        if let Some(unit) = &self.unit {
            quiet(&mut as_root(
                self.prefix,
                &["systemctl", "unmask", "--runtime", unit],
            ));
        }
    }
}

/// `words` as root. `env` hands over the variables that `sudo` would drop.
fn as_root(prefix: &[&str], words: &[&str]) -> Command {
    let mut command: Vec<&str> = prefix.to_vec();
    // Runlevel 1 tells the packages of systems without systemd to start no service.
    command.extend(["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]);
    command.extend(words);
    let mut result = Command::new(command[0]);
    result.args(&command[1..]);
    result
}

/// Tries the packages in turn; the last error counts.
fn first(packages: &[&str], install: impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut result = Ok(());
    for package in packages {
        result = install(package);
        if result.is_ok() {
            break;
        }
    }
    result.with_context(|| format!("cannot install a server; {ADVICE}"))
}

/// Runs a command and reports what it said if it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(5)..].join("; ");
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .collect();
    bail!("`{}` failed: {tail}", words.join(OsStr::new(" ")).display())
}

/// Whether a command succeeds; its output goes nowhere.
fn quiet(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether the program exists.
fn runs(program: &str) -> bool {
    quiet(Command::new(program).arg("--version"))
}

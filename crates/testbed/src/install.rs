//! Installs a program with the system's package manager.
//!
//! Debian's packages of servers also start one of the system's on its usual port. That one is none of ours:
//! it is kept from starting where the system lets us, and never used or stopped.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::program::Program;

/// Installs it unless `present` says that one has appeared meanwhile.
pub(crate) fn install(program: &Program, present: impl Fn() -> bool) -> anyhow::Result<()> {
    // Parallel tests all find it missing; one installs, the others wait for it.
    let path = env::temp_dir().join("wait-pool-testbed-install.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let result = if present() {
        Ok(())
    } else {
        install_now(program)
    };
    // Whoever waits on the removed file finds the program present.
    let _ = fs::remove_file(&path);
    drop(lock);
    result
}

fn install_now(program: &Program) -> anyhow::Result<()> {
    if runs("apt-get") {
        return apt(program);
    }
    if runs("brew") {
        eprintln!("no {program} found: installing one with brew");
        return first(program, program.brew, |package| {
            run(Command::new("brew").args(["install", "--quiet", package]))
        });
    }
    bail!("no {program} on PATH; {}", program.advice())
}

fn apt(program: &Program) -> anyhow::Result<()> {
    let prefix: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else if quiet(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        let advice = program.advice();
        bail!("no {program} on PATH, and no right to install one; {advice}");
    };
    eprintln!("no {program} found: installing one with apt-get");
    // Old lists often name files that are gone; a failed update may still leave good ones.
    let _ = run(&mut as_root(prefix, &["apt-get", "update", "-qq"]));
    first(program, program.apt, |package| {
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
fn first(
    program: &Program,
    packages: &[&str],
    install: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    for package in packages {
        result = install(package);
        if result.is_ok() {
            break;
        }
    }
    result.with_context(|| format!("cannot install {program}; {}", program.advice()))
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

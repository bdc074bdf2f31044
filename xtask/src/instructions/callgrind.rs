//! Counts the cases of the crate `instructions`: one run under callgrind for each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use testbed::Program;
use xshell::{Shell, cmd};

use super::kept::{Count, Origin};
use crate::cargo;

const VALGRIND: Program = Program {
    title: "Valgrind",
    variable: "VALGRIND",
    names: &["valgrind"],
    apt: &["valgrind"],
    brew: &["valgrind"],
};

/// The crate of the cases, and its program.
const CASES: &str = "instructions";

/// The function of that program that is counted, whatever mangling leaves around its name.
const COUNTED: &str = "*counted_part*";

/// Has glibc keep what is freed for the next that asks for as much. Otherwise the way that an allocation takes depends
/// on all that was freed before.
const ALLOCATOR: &str = "glibc.malloc.tcache_count=1000";

/// A message of cargo about something that it has built.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

/// Builds the program, counts all cases and leaves a profile of each in a directory.
pub(super) fn count(sh: &Shell, profiles: &Path) -> anyhow::Result<(Origin, Vec<Count>)> {
    let valgrind = VALGRIND.find()?;
    let program = build(sh)?;
    let origin = origin(sh, &valgrind)?;
    fs::create_dir_all(profiles)?;
    let listed = cmd!(sh, "{program}").quiet().read()?;
    let cases = listed.lines().map(|line| {
        let (case, times) = line.split_once(' ').context("a case without a number")?;
        let times: u64 = times.parse()?;
        let all = run(sh, &valgrind, &program, case, profiles)?;
        Ok(Count {
            case: case.to_owned(),
            instructions: (all + times / 2) / times,
        })
    });
    Ok((origin, cases.collect::<anyhow::Result<_>>()?))
}

/// As users build it, and as everybody does: incremental builds and flags of one's own give other instructions.
fn build(sh: &Shell) -> anyhow::Result<PathBuf> {
    let cargo = cargo();
    let release = ["--release", "--locked", "--package", CASES];
    let messages = "--message-format=json-render-diagnostics";
    let build = cmd!(sh, "{cargo} build {release...} {messages}")
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let messages = build.quiet().read()?;
    let mut built = messages.lines().filter_map(|line| {
        let built: Built = serde_json::from_str(line).ok()?;
        built.executable
    });
    built.next_back().context("cargo has built no program")
}

fn origin(sh: &Shell, valgrind: &Path) -> anyhow::Result<Origin> {
    let rustc = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let of = |key| {
        let line = rustc.lines().find_map(|line| line.strip_prefix(key));
        line.with_context(|| format!("rustc does not tell its {key:?}"))
    };
    let libc = cmd!(sh, "getconf GNU_LIBC_VERSION").quiet();
    let libc = libc.ignore_stderr().read();
    Ok(Origin {
        target: of("host: ")?.to_owned(),
        rust: of("release: ")?.to_owned(),
        libc: libc.unwrap_or_else(|_| "another libc".to_owned()),
        valgrind: cmd!(sh, "{valgrind} --version").quiet().read()?,
    })
}

/// The instructions of all repetitions together.
fn run(
    sh: &Shell,
    valgrind: &Path,
    program: &Path,
    case: &str,
    profiles: &Path,
) -> anyhow::Result<u64> {
    let profile = profiles.join(format!("{case}.out"));
    let out = format!("--callgrind-out-file={}", profile.display());
    let tool = [
        "--tool=callgrind",
        "--quiet",
        &out,
        &format!("--toggle-collect={COUNTED}"),
    ];
    cmd!(sh, "{valgrind} {tool...} {program} {case}")
        .env("GLIBC_TUNABLES", ALLOCATOR)
        .quiet()
        .run()
        .with_context(|| format!("{case} cannot be counted"))?;
    let text = fs::read_to_string(&profile)?;
    let total = total(&text).with_context(|| format!("no total in {}", profile.display()))?;
    ensure!(total > 0, "{case}: {COUNTED} was not seen, nothing counted");
    Ok(total)
}

/// The line of a profile that has the sum of all its instructions.
fn total(profile: &str) -> Option<u64> {
    let mut lines = profile.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        let profile = "version: 1\nevents: Ir\nsummary: 12\n\nfn=(1) a\n1 12\n\ntotals: 12\n";
        assert_eq!(total(profile), Some(12));
        assert_eq!(total("version: 1\n"), None);
    }
}

//! What the servers can do at most: their own benchmark, which is as simple as a client can be.
//!
//! It asks for one key at a time in long pipelines, the keys of a pipeline all of one slot, and looks at no
//! value. Ten of its answers count as one request.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::data::PER_REQUEST;
use super::sample::Sample;
use super::site::Site;

/// It puts a tag for the slot into each key, so this many numbers make as many keys as there are elsewhere.
const NUMBERS: &str = "6";
/// The mean of the values elsewhere.
const BYTES: &str = "96";
/// Enough that hardly a key is left out.
const WRITES: u32 = 2_000_000;
/// What about a second sees.
const READS: u32 = 1_000_000;

/// Writes the keys that it will ask for; `false` where the servers come without it.
pub(crate) fn prepare(site: &Site) -> anyhow::Result<bool> {
    if !Command::new(program(site))
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return Ok(false);
    }
    run(site, "set", 16, WRITES)?;
    Ok(true)
}

/// One run with pipelines of so many.
pub(crate) fn measure(site: &Site, pipeline: u32) -> anyhow::Result<Sample> {
    site.wait_until_left()?;
    let before = site.work()?;
    let per_s = run(site, "get", pipeline, READS)?;
    let after = site.work()?;
    let requests = f64::from(READS) / PER_REQUEST as f64;
    let each = |total: f64| total / requests;
    Ok(Sample {
        figures: vec![
            ("requests_per_s", per_s / PER_REQUEST as f64),
            (
                "server_cpu_us_per_request",
                each((after.cpu_seconds - before.cpu_seconds) * 1e6),
            ),
            (
                "server_reads_per_request",
                each((after.reads - before.reads) as f64),
            ),
        ],
        ..Sample::default()
    })
}

fn program(site: &Site) -> std::path::PathBuf {
    let name = site.benchmark();
    let beside = site.binary().path.with_file_name(&name);
    match beside.is_file() {
        true => beside,
        false => name.into(),
    }
}

fn run(site: &Site, test: &str, pipeline: u32, count: u32) -> anyhow::Result<f64> {
    let output = Command::new(program(site))
        .args(["--cluster", "--csv", "-r", NUMBERS, "-d", BYTES, "-t", test])
        .args(["-p", &site.port().to_string()])
        .args(["-P", &pipeline.to_string()])
        .args(["-n", &count.to_string()])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the servers' benchmark failed: {said}"
    );
    per_second(&said, test)
}

/// The second field of `"GET","123456.78",…`.
fn per_second(csv: &str, test: &str) -> anyhow::Result<f64> {
    let begin = format!("\"{}\",\"", test.to_uppercase());
    let rest = csv.lines().find_map(|line| line.strip_prefix(&begin));
    let figure = rest.and_then(|rest| rest.split('"').next());
    Ok(figure.context("no figure")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"398724.09\",\"1.1\"\n";
        assert_eq!(per_second(csv, "get").unwrap(), 398_724.09);
        assert!(per_second(csv, "set").is_err());
    }
}

//! `instructions`: what checkouts and requests take, beside what they took when somebody last agreed to it.

mod callgrind;
mod kept;

use std::path::{Path, PathBuf};

use anyhow::bail;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, Table};

use crate::steps::CannotTell;
use crate::workspace::Workspace;
use crate::{interrupt, report};
use kept::{Kept, Report, Row, Verdict};

/// Where the counts are kept, from the root of the project.
const FILE: &str = "crates/instructions/counts.json";

/// What `instructions` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Write the counts to the file anew; tolerances stay
    #[arg(long)]
    bless: bool,
    /// Write the table there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Counts, and compares or with `bless` writes.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::let_programs_end_first();
    if !cfg!(target_os = "linux") {
        let why = "instructions are counted by Valgrind and compared with those of Linux, and this is another system";
        return Err(CannotTell(why.to_owned()).into());
    }
    let sh = crate::shell()?;
    let profiles = Workspace::read(&sh)?.target_directory.join("callgrind");
    let (origin, counts) = callgrind::count(&sh, &profiles)?;
    let path = crate::root().join(FILE);
    let kept = Kept::read(&path)?;
    let report = kept.compare(&origin, &counts);
    println!("{}", table(&report));
    report::write(args.json.as_deref(), &report)?;
    if args.bless {
        kept.with(origin, &counts).write(&path)?;
        println!("{FILE} is written");
        return Ok(());
    }
    judge(&kept, &report, &profiles)
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["case", "kept", "now", "difference", "tolerance", ""]);
    for row in &report.cases {
        let count = |count: Option<u64>| count.map(|it| it.to_string()).unwrap_or_default();
        let difference = row.difference_percent.map(|it| format!("{it:+.2} %"));
        let tolerance = row.tolerance_percent.map(|it| format!("{it} %"));
        let figures = [
            count(row.kept),
            count(row.now),
            difference.unwrap_or_default(),
            tolerance.unwrap_or_default(),
        ];
        let figures = figures.map(|it| Cell::new(it).set_alignment(CellAlignment::Right));
        let name = Cell::new(&row.case);
        let verdict = Cell::new(row.verdict.word());
        table.add_row([name].into_iter().chain(figures).chain([verdict]));
    }
    table
}

/// An error if anything is not as it was.
fn judge(kept: &Kept, report: &Report, profiles: &Path) -> anyhow::Result<()> {
    let here = &report.counted_with.target;
    if let Some(there) = kept.target().filter(|there| there != here) {
        let why = format!("{FILE} is of {there}, and this is {here}");
        return Err(CannotTell(why).into());
    }
    for other in &report.other {
        println!("{other}: tolerances are {} times as wide", kept::WIDER);
    }
    let of = |verdict| {
        let rows = report
            .cases
            .iter()
            .filter(move |row| row.verdict == verdict);
        rows.map(|row: &Row| row.case.as_str()).collect::<Vec<_>>()
    };
    let [more, fewer] = [Verdict::More, Verdict::Fewer].map(of);
    let [new, gone] = [Verdict::New, Verdict::Gone].map(of);
    let changed = [
        ("more instructions", more),
        ("fewer instructions", fewer),
        ("not in the file", new),
        ("no longer there", gone),
    ];
    let changed = changed.iter().filter(|(_, cases)| !cases.is_empty());
    let changed: Vec<String> = changed
        .map(|(what, cases)| format!("{what}: {}", cases.join(", ")))
        .collect();
    if !changed.is_empty() {
        bail!(
            "{}. Where they go is told by `callgrind_annotate {}/CASE.out`; if that is meant, or a gain to keep, run \
             `cargo xtask instructions --bless`",
            changed.join("; "),
            profiles.display()
        );
    }
    println!("{FILE} still holds");
    Ok(())
}

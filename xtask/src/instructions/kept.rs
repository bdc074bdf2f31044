//! The counts that are kept in a file, and how others compare with them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What stands at the file's top.
const ABOUT: &str = "Instructions that one run of each case takes. `cargo xtask instructions --bless` writes the counts; \
                     tolerances are written by hand.";

/// By how much a count may differ, in percent, where the file does not say it.
const TOLERANCE: f64 = 5.0;

/// How many times as much where another compiler, libc or Valgrind has counted: seen from the source, nothing may
/// have changed.
pub(super) const WIDER: f64 = 5.0;

/// The file.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept {
    about: String,
    counted_with: Origin,
    cases: Vec<Entry>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    count: Count,
    tolerance_percent: f64,
}

/// What one run of a case takes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Count {
    pub(super) case: String,
    pub(super) instructions: u64,
}

/// What counts depend on beside the source.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Origin {
    pub(super) target: String,
    pub(super) rust: String,
    pub(super) libc: String,
    pub(super) valgrind: String,
}

/// What `--json` writes.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) counted_with: Origin,
    /// In what that differs from what the file was made with.
    pub(super) other: Vec<String>,
    pub(super) cases: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) kept: Option<u64>,
    pub(super) now: Option<u64>,
    pub(super) difference_percent: Option<f64>,
    pub(super) tolerance_percent: Option<f64>,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Same,
    More,
    Fewer,
    /// Not in the file.
    New,
    /// In the file alone.
    Gone,
}

impl Kept {
    /// An empty one if there is no file yet.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
    }

    pub(super) fn compare(&self, origin: &Origin, counts: &[Count]) -> Report {
        let other = self.counted_with.differences(origin);
        let factor = if other.is_empty() { 1.0 } else { WIDER };
        let now = counts.iter().map(|count| match self.entry(&count.case) {
            Some(entry) => entry.row(count.instructions, factor),
            None => Row::without_pair(count, Verdict::New),
        });
        let is_gone = |entry: &&Entry| !counts.iter().any(|it| it.case == entry.count.case);
        let gone = self.cases.iter().filter(is_gone);
        let gone = gone.map(|entry| Row::without_pair(&entry.count, Verdict::Gone));
        Report {
            cases: now.chain(gone).collect(),
            counted_with: origin.clone(),
            other,
        }
    }

    /// The next file.
    pub(super) fn with(&self, counted_with: Origin, counts: &[Count]) -> Self {
        let cases = counts.iter().map(|count| Entry {
            count: count.clone(),
            tolerance_percent: self
                .entry(&count.case)
                .map_or(TOLERANCE, |entry| entry.tolerance_percent),
        });
        Self {
            about: ABOUT.to_owned(),
            counted_with,
            cases: cases.collect(),
        }
    }
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The machine and system that the counts are of, if there are any.
    pub(super) fn target(&self) -> Option<&str> {
        (!self.cases.is_empty()).then_some(&*self.counted_with.target)
    }

    fn entry(&self, case: &str) -> Option<&Entry> {
        self.cases.iter().find(|entry| entry.count.case == case)
    }
}

impl Entry {
    /// Beside what is counted now, the tolerance `factor` times as wide.
    fn row(&self, now: u64, factor: f64) -> Row {
        let kept = self.count.instructions;
        let tolerance = self.tolerance_percent * factor;
        let difference = (now as f64 / kept as f64 - 1.0) * 100.0;
        let verdict = match difference {
            _ if difference > tolerance => Verdict::More,
            _ if difference < -tolerance => Verdict::Fewer,
            _ => Verdict::Same,
        };
        Row {
            case: self.count.case.clone(),
            kept: Some(kept),
            now: Some(now),
            difference_percent: Some(difference),
            tolerance_percent: Some(tolerance),
            verdict,
        }
    }
}

impl Row {
    fn without_pair(count: &Count, verdict: Verdict) -> Self {
        let of = |side| (verdict == side).then_some(count.instructions);
        Self {
            case: count.case.clone(),
            kept: of(Verdict::Gone),
            now: of(Verdict::New),
            difference_percent: None,
            tolerance_percent: None,
            verdict,
        }
    }
}

impl Verdict {
    /// As the table says it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::More => "more",
            Self::Fewer => "fewer",
            Self::New => "not in the file",
            Self::Gone => "no longer there",
        }
    }
}

impl Origin {
    fn differences(&self, now: &Self) -> Vec<String> {
        let pairs = [
            ("target", &self.target, &now.target),
            ("Rust", &self.rust, &now.rust),
            ("libc", &self.libc, &now.libc),
            ("Valgrind", &self.valgrind, &now.valgrind),
        ];
        let differ = pairs.iter().filter(|(_, kept, now)| kept != now);
        differ
            .map(|(what, kept, now)| format!("{what} is {now}, kept is {kept}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(rust: &str) -> Origin {
        Origin {
            rust: rust.to_owned(),
            ..Origin::default()
        }
    }

    fn count(case: &str, instructions: u64) -> Count {
        Count {
            case: case.to_owned(),
            instructions,
        }
    }

    /// A file that has 1,000 for `get`, within 3 %.
    fn kept() -> Kept {
        let kept = Kept::default().with(origin("1.95.0"), &[count("get", 1_000)]);
        let mut kept = kept;
        kept.cases[0].tolerance_percent = 3.0;
        kept
    }

    #[track_caller]
    fn check(rust: &str, now: u64, expected: Verdict) {
        let report = kept().compare(&origin(rust), &[count("get", now)]);
        assert_eq!(report.cases[0].verdict, expected, "{report:?}");
    }

    #[test]
    fn a_tolerance_goes_both_ways() {
        check("1.95.0", 1_029, Verdict::Same);
        check("1.95.0", 971, Verdict::Same);
        check("1.95.0", 1_031, Verdict::More);
        check("1.95.0", 969, Verdict::Fewer);
    }

    #[test]
    fn another_compiler_has_more_room() {
        check("1.96.0", 1_149, Verdict::Same);
        check("1.96.0", 1_151, Verdict::More);
        check("1.96.0", 849, Verdict::Fewer);
    }

    #[test]
    fn cases_without_a_pair_are_told() {
        let report = kept().compare(&origin("1.95.0"), &[count("lease", 7)]);
        let [new, gone] = &report.cases[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            (new.verdict, new.now, new.kept),
            (Verdict::New, Some(7), None)
        );
        assert_eq!((gone.verdict, gone.kept), (Verdict::Gone, Some(1_000)));
    }

    #[test]
    fn tolerances_outlive_new_counts() {
        let next = kept().with(origin("1.96.0"), &[count("get", 7), count("lease", 8)]);
        let tolerances: Vec<f64> = next.cases.iter().map(|it| it.tolerance_percent).collect();
        assert_eq!(tolerances, [3.0, TOLERANCE]);
        assert_eq!(next.cases[0].count.instructions, 7);
    }
}

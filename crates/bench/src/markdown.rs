//! The figures as a part of a document, so that nobody has to type them.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

use crate::report::{Case, Report};
use crate::table;

/// What is between these two lines of a file is replaced.
const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->\n";

/// Writes the tables to a file: to the place that is marked for them, or all of it.
pub(crate) fn write(report: &Report, path: &Path) -> anyhow::Result<()> {
    let present = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        present => present,
    };
    let present = present.with_context(|| format!("cannot read {}", path.display()))?;
    let text = placed(&present, &tables(report));
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn placed(present: &str, tables: &str) -> String {
    let marked = present
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match marked {
        Some((before, after)) => format!("{before}{BEGIN}\n{tables}\n{END}{after}"),
        None => tables.to_owned(),
    }
}

fn tables(report: &Report) -> String {
    let mut text = String::new();
    let groups = report.cases.chunk_by(|a, b| a.case == b.case);
    for group in groups {
        let settings: Vec<&Case> = group.iter().collect();
        // `chunk_by` gives no empty ones.
        let title = table::title(settings[0]);
        let (name, what) = title.split_once(", ").unwrap_or((&title, ""));
        let table = table::markdown(&settings);
        writeln!(text, "### `{name}`\n\nIn {what}.\n\n{table}\n").expect("strings take it all");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{case, outcome};

    #[test]
    fn tables_go_to_their_place() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let expected = format!("before\n{BEGIN}\nnew\n\n{END}after\n");
        assert_eq!(placed(&text, "new\n"), expected);
        assert_eq!(placed(&expected, "new\n"), expected);
        assert_eq!(placed("no place", "new\n"), "new\n");
    }

    #[test]
    fn one_table_for_each_case() {
        let results = vec![outcome("wait-pool", 2.0)];
        let report = Report {
            quick: false,
            cases: vec![
                case("a", true, results.clone()),
                case("a", false, results.clone()),
                case("b", true, results),
            ],
        };
        let text = tables(&report);
        assert_eq!(text.matches("### ").count(), 2);
        assert_eq!(text.matches("| wait-pool ").count(), 2);
        assert!(
            text.starts_with("### `a`\n\nIn ns, lower is better.\n\n|"),
            "{text}"
        );
        assert!(text.ends_with("|\n"));
    }
}

//! The figures as people read them: a table for each case, a column for each of its settings.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

use crate::report::{Case, Outcome, Report};
use crate::stats::Spread;
use crate::words::number;

/// For a terminal.
pub(crate) fn terminal(settings: &[&Case]) -> Table {
    in_terminal(filled(settings))
}

/// For a document: a table for each case.
pub(crate) fn document(report: &Report) -> String {
    let mut text = String::new();
    let groups = report.cases.chunk_by(|a, b| a.case == b.case);
    for group in groups {
        let settings: Vec<&Case> = group.iter().collect();
        // `chunk_by` gives no empty ones.
        let title = title(settings[0]);
        let (name, what) = title.split_once(", ").unwrap_or((&title, ""));
        let table = in_markdown(filled(&settings));
        writeln!(text, "### `{name}`\n\nIn {what}.\n\n{table}\n").expect("strings take it all");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A table as a terminal shows it.
pub(crate) fn in_terminal(mut table: Table) -> Table {
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// A table as a document has it.
pub(crate) fn in_markdown(mut table: Table) -> Table {
    // Without a terminal there are no escape sequences for bold.
    table.load_style(ASCII_MARKDOWN).force_no_tty();
    table
}

/// What the figures are: `uncontended, ns, lower is better`.
pub(crate) fn title(case: &Case) -> String {
    let better = match case.lower_is_better {
        true => "lower",
        false => "higher",
    };
    format!("{}, {}, {better} is better", case.case, case.unit)
}

fn filled(settings: &[&Case]) -> Table {
    let mut table = Table::new();
    let mut header = vec![String::new()];
    for case in settings {
        header.push(match case.timeouts {
            true => case.runtime.to_owned(),
            false => format!("{}, no timeout", case.runtime),
        });
        header.extend(extras(case).into_iter().map(|key| key.replace('_', " ")));
    }
    table.set_header(header);
    let rows = settings.first().map_or(&[][..], |case| &case.results);
    for (row, first) in rows.iter().enumerate() {
        let mut cells = vec![first_cell(first.name, first.name)];
        for case in settings {
            let Some(outcome) = case.results.get(row) else {
                continue;
            };
            cells.push(cell(first.name, spread(range(outcome))));
            let others = extras(case);
            cells.extend(others.into_iter().map(|key| {
                let text = outcome.extras.get(key).map(|&extra| number(extra));
                cell(first.name, text.unwrap_or_default())
            }));
        }
        table.add_row(cells);
    }
    table
}

/// What else was counted. Without timeouts it is the same, so it is shown once.
fn extras(case: &Case) -> BTreeSet<&'static str> {
    let shown = case.results.iter().filter(|_| case.timeouts);
    shown
        .flat_map(|outcome| outcome.extras.keys().copied())
        .collect()
}

fn range(outcome: &Outcome) -> Spread {
    let &Outcome {
        median, min, max, ..
    } = outcome;
    Spread { median, min, max }
}

/// `134 (125–148)`.
pub(crate) fn spread(figure: Spread) -> String {
    let median = number(figure.median);
    if figure.min == figure.max {
        return median;
    }
    format!("{median} ({}–{})", number(figure.min), number(figure.max))
}

/// What stands first in the row of a contestant.
pub(crate) fn first_cell(name: &str, text: impl ToString) -> Cell {
    cell(name, text).set_alignment(CellAlignment::Left)
}

/// In the row of a contestant.
pub(crate) fn cell(name: &str, text: impl ToString) -> Cell {
    let cell = Cell::new(text).set_alignment(CellAlignment::Right);
    match name.starts_with("wait-pool") {
        true => cell.add_attribute(Attribute::Bold),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{case, outcome};

    #[test]
    fn a_column_for_each_setting() {
        let mut rival = outcome("bb8", 30.0);
        rival.extras.insert("p50_ms", 7.0);
        let with = case("uncontended", true, vec![outcome("wait-pool", 2.0), rival]);
        let without = case(
            "uncontended",
            false,
            vec![outcome("wait-pool", 4.0), outcome("bb8", 1234.0)],
        );
        let text = in_markdown(filled(&[&with, &without])).to_string();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(
            lines[0],
            [
                "",
                "",
                "current_thread",
                "p50 ms",
                "current_thread, no timeout",
                ""
            ]
        );
        assert_eq!(lines[2], ["", "wait-pool", "2 (1–3)", "", "4 (3–5)", ""]);
        assert_eq!(
            lines[3],
            ["", "bb8", "30 (29–31)", "7", "1,234 (1,233–1,235)", ""]
        );
        assert_eq!(title(&with), "uncontended, ns, lower is better");
        assert!(terminal(&[&with]).to_string().contains("wait-pool"));
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
        let text = document(&report);
        assert_eq!(text.matches("### ").count(), 2);
        assert_eq!(text.matches("| wait-pool ").count(), 2);
        assert!(
            text.starts_with("### `a`\n\nIn ns, lower is better.\n\n|"),
            "{text}"
        );
        assert!(text.ends_with("|\n"));
    }
}

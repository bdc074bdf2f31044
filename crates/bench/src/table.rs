//! The figures as people read them: a table for each case, a column for each of its settings.

use std::collections::BTreeSet;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

use crate::report::{Case, Outcome};
use crate::words::number;

/// For a terminal.
pub(crate) fn terminal(settings: &[&Case]) -> Table {
    let mut table = filled(settings);
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// For a document.
pub(crate) fn markdown(settings: &[&Case]) -> Table {
    let mut table = filled(settings);
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
        let mut cells = vec![cell(first.name, first.name).set_alignment(CellAlignment::Left)];
        for case in settings {
            let Some(outcome) = case.results.get(row) else {
                continue;
            };
            cells.push(cell(first.name, spread(outcome)));
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

fn spread(outcome: &Outcome) -> String {
    let median = number(outcome.median);
    if outcome.min == outcome.max {
        return median;
    }
    format!("{median} ({}–{})", number(outcome.min), number(outcome.max))
}

fn cell(name: &str, text: impl ToString) -> Cell {
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
        let text = markdown(&[&with, &without]).to_string();
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
}

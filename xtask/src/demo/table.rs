//! The figures as people read them.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

use super::node_down::{Group, NodeDown};
use super::phase::Outcome;
use super::tally::Figures;
use super::words::{count, micros, percent, rate};

/// All phases, a row each.
pub(super) fn phases(phases: &[Outcome]) -> Table {
    let mut table = empty();
    table.set_header([
        "",
        "requests/s",
        "p50",
        "p99",
        "p99.9",
        "errors",
        "connections",
    ]);
    for phase in phases {
        let figures = &phase.figures;
        let ours = phase.name.starts_with("wait-pool");
        let cell = |text: String| {
            let cell = Cell::new(text).set_alignment(CellAlignment::Right);
            if ours {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        };
        let name = format!("{}\n{}", phase.name, phase.how);
        table.add_row([
            cell(name).set_alignment(CellAlignment::Left),
            cell(rate(figures.requests_per_s)),
            cell(latency(figures, figures.p50_us)),
            cell(latency(figures, figures.p99_us)),
            cell(latency(figures, figures.p999_us)),
            cell(errors(figures)),
            cell(connections(phase)),
        ]);
    }
    table
}

/// What the two groups of callers saw while a node hung.
pub(super) fn node_down(details: &NodeDown) -> Table {
    let mut table = empty();
    let during = format!(
        "{:.0} s of {} stopped",
        details.stopped_for_s, details.stopped_node
    );
    table.set_header([
        "node-down: callers whose keys are",
        "before",
        &during,
        "after",
    ]);
    for Group {
        keys,
        callers,
        before,
        during,
        after,
    } in &details.groups
    {
        let cell = |figures: &Figures| {
            let text = format!("{}/s\n{}", rate(figures.requests_per_s), kinds(figures));
            Cell::new(text).set_alignment(CellAlignment::Right)
        };
        let name = format!("{keys}\n{callers} callers");
        table.add_row([Cell::new(name), cell(before), cell(during), cell(after)]);
    }
    table
}

fn empty() -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn latency(figures: &Figures, us: u64) -> String {
    match figures.ok {
        0 => "-".to_owned(),
        _ => micros(us),
    }
}

/// How many errors, how much of the whole that is, and of which kinds.
fn errors(figures: &Figures) -> String {
    if figures.errors == 0 {
        return "0".to_owned();
    }
    let (errors, share) = (
        count(figures.errors),
        percent(figures.errors, figures.requests),
    );
    let kinds = kinds(figures);
    match figures.errors_by_kind.len() {
        1 => {
            let kind = kinds.trim_start_matches(|c: char| !c.is_alphabetic());
            format!("{errors} ({share})\n{kind}")
        }
        _ => format!("{errors} ({share})\n{kinds}"),
    }
}

/// The kinds of errors, a line each.
fn kinds(figures: &Figures) -> String {
    if figures.errors == 0 {
        return "0 errors".to_owned();
    }
    let kinds = figures.errors_by_kind.iter();
    let lines: Vec<_> = kinds
        .map(|(kind, &n)| format!("{} {kind}", count(n)))
        .collect();
    lines.join("\n")
}

fn connections(phase: &Outcome) -> String {
    let peak = count(phase.peak_connections);
    match phase.connection_cap {
        Some(cap) => format!("{peak}\nof {}", count(cap)),
        None if phase.name == super::NAIVE.name => format!("{peak}\nno limit"),
        None => peak,
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::super::report::tests::{figures, outcome, report};
    use super::*;

    #[test]
    fn rows_tell_all() {
        let text = phases(&[
            outcome("naive", 1234, &[]),
            outcome("fail-fast", 0, &[Failure::MAX_CONNECTIONS; 3]),
        ])
        .to_string();
        for expected in [
            "1,234",
            "850 µs",
            "100 %",
            "3 (100 %)",
            "max connections",
            "of 54",
            "-",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
    }

    #[test]
    fn groups_have_a_row_each() {
        let during = [figures(1, &[Failure::WRONG_VALUE]), figures(2345, &[])];
        let details = report(Vec::new(), during).node_down.unwrap();
        let text = node_down(&details).to_string();
        for expected in [
            "3 s of 127.0.0.1:7001 stopped",
            "1 wrong value",
            "2,345/s",
            "0 errors",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
    }
}

//! The figures as people read them: a row for each contestant, a column for each level.

use std::borrow::Cow;
use std::fmt::Write as _;

use comfy_table::Table;

use super::report::{Level, OpenLoop, Outcome, Report};
use crate::markdown::Part;
use crate::stats::Spread;
use crate::table::{cell, first_cell, in_markdown, in_terminal, spread};
use crate::words::number;

/// One table: its name, what it tells, and itself.
pub(crate) struct Titled {
    pub(crate) name: &'static str,
    pub(crate) what: Cow<'static, str>,
    pub(crate) table: Table,
}

/// Stands where there were errors or wrong values.
const MARK: &str = " †";
/// The level whose costs are shown.
const OF_COSTS: usize = 256;

const LATENCIES: [(&str, &str); 3] = [("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")];

/// What a request costs, as headers and names of figures.
const COSTS: [(&str, &str); 4] = [
    ("client CPU, µs", "client_cpu_us_per_request"),
    ("servers' CPU, µs", "server_cpu_us_per_request"),
    ("servers' reads", "server_reads_per_request"),
    ("servers' writes", "server_writes_per_request"),
];

/// What goes into a document, by the names of its places.
pub(crate) fn texts(report: &Report) -> Vec<Part> {
    let parts = [
        ("lookups", closed(report)),
        (
            "open loop",
            report.open_loop.iter().flat_map(open).collect(),
        ),
        ("beside large", beside_large(report)),
        ("allocations", allocations(report)),
        ("system calls", system_calls(report)),
        ("sweep", sweep(report)),
    ];
    let measured = parts.into_iter().filter(|(_, tables)| !tables.is_empty());
    measured
        .map(|(mark, tables)| Part {
            mark,
            text: markdown(tables, report),
        })
        .collect()
}

/// The closed loop.
pub(crate) fn closed(report: &Report) -> Vec<Titled> {
    if report.levels.is_empty() {
        return Vec::new();
    }
    let mut tables = vec![Titled {
        name: "Requests in a second",
        what: Cow::from("Ten keys each, more is better."),
        table: by_level(&report.levels, "requests_per_s"),
    }];
    for (name, figure) in LATENCIES {
        tables.push(Titled {
            name,
            what: Cow::from("In µs, less is better."),
            table: by_level(&report.levels, figure),
        });
    }
    let of_costs = report.level(OF_COSTS).or_else(|| report.levels.last());
    if let Some(level) = of_costs {
        tables.push(Titled {
            name: "What a request takes",
            what: Cow::from(format!(
                "{}; connections are those to all servers together, at their most.",
                callers(level)
            )),
            table: costs(level),
        });
    }
    if !report.servers_alone.is_empty() {
        tables.push(Titled {
            name: "The servers alone",
            what: Cow::from("Ten answers to their own benchmark count as one request."),
            table: alone(&report.servers_alone),
        });
    }
    tables
}

/// The open loop.
pub(crate) fn open(open: &OpenLoop) -> Vec<Titled> {
    let columns = |figure: fn(&Outcome) -> Option<String>| {
        let mut header = vec![String::new()];
        header.extend(open.rates.iter().map(|rate| {
            let arrivals = number(rate.arrivals_per_s.round());
            format!("{}× ({arrivals}/s)", rate.of_capacity)
        }));
        let results = open.rates.iter().map(|rate| rate.results.as_slice());
        rows(header, &results.collect::<Vec<_>>(), figure)
    };
    vec![
        Titled {
            name: "Goodput",
            what: Cow::from(
                "Answered rightly within 50 ms of the intended start, in percent of all that came; more is better.",
            ),
            table: columns(|outcome| {
                outcome
                    .figure("goodput")
                    .map(|share| spread(percent(share)))
            }),
        },
        Titled {
            name: "p99 from the intended start",
            what: Cow::from("In µs, of those that were answered at all; less is better."),
            table: columns(|outcome| outcome.figure("p99_us").map(spread)),
        },
    ]
}

/// Small requests beside large ones.
pub(crate) fn beside_large(report: &Report) -> Vec<Titled> {
    let Some(first) = report.beside_large.first() else {
        return Vec::new();
    };
    let mut header = vec![String::new()];
    header.extend(report.beside_large.iter().map(|beside| match beside.large {
        0 => "alone".to_owned(),
        large => format!("beside {large}"),
    }));
    let results = report.beside_large.iter().map(|beside| &*beside.results);
    let results: Vec<_> = results.collect();
    let table = |name, what: String, figure: &'static str| Titled {
        name,
        what: Cow::from(what),
        table: rows(header.clone(), &results, |outcome| {
            outcome.figure(figure).map(spread)
        }),
    };
    let callers = first.concurrency;
    let who = format!(
        "In µs, of {callers} callers beside others who ask for ten values of 1 MiB; less is better."
    );
    vec![
        table("p50 beside large values", who.clone(), "p50_us"),
        table("p99 beside large values", who, "p99_us"),
        table(
            "Large requests in a second",
            "Of those others, together; more is better.".to_owned(),
            "large_requests_per_s",
        ),
    ]
}

/// What requests allocate.
pub(crate) fn allocations(report: &Report) -> Vec<Titled> {
    let what = "On one thread, with 16 callers; less is better.";
    counted("Allocations", what, &report.allocations)
}

/// What requests cost in system calls.
pub(crate) fn system_calls(report: &Report) -> Vec<Titled> {
    let what = "A request's share, with one caller and with 64; less is better.";
    counted("System calls", what, &report.system_calls)
}

fn counted(name: &'static str, what: &'static str, outcomes: &[Outcome]) -> Vec<Titled> {
    if outcomes.is_empty() {
        return Vec::new();
    }
    let names = outcomes.iter().flat_map(|outcome| outcome.figures.0.keys());
    let mut names: Vec<&str> = names.copied().collect();
    names.sort_unstable();
    names.dedup();
    let mut table = Table::new();
    let mut header = vec![String::new()];
    header.extend(names.iter().map(|name| name.replace('_', " ")));
    table.set_header(header);
    for outcome in outcomes {
        let title = outcome.title();
        let mut cells = vec![first_cell(&title, marked(outcome, title.clone()))];
        cells.extend(names.iter().map(|name| {
            let figure = outcome.figure(name).map(|figure| number(figure.median));
            cell(&title, figure.unwrap_or_default())
        }));
        table.add_row(cells);
    }
    let what = Cow::from(what);
    vec![Titled { name, what, table }]
}

/// The pool at other settings than its own.
pub(crate) fn sweep(report: &Report) -> Vec<Titled> {
    if report.sweep.is_empty() {
        return Vec::new();
    }
    vec![Titled {
        name: "Requests in a second, by settings",
        what: Cow::from(
            "Connections to each node, times leases on each; two are opened at once where nothing else is said. More is better.",
        ),
        table: by_level(&report.sweep, "requests_per_s"),
    }]
}

/// For a terminal.
pub(crate) fn terminal(tables: Vec<Titled>) -> String {
    let mut text = String::new();
    for Titled { name, what, table } in tables {
        let table = in_terminal(table);
        writeln!(text, "\n{name}. {what}\n{table}").expect("strings take it all");
    }
    text
}

/// For a document.
pub(crate) fn markdown(tables: Vec<Titled>, report: &Report) -> String {
    let mut text = String::new();
    let mut dagger = false;
    for Titled { name, what, table } in tables {
        let table = in_markdown(table).to_string();
        dagger |= table.contains(MARK);
        writeln!(text, "#### {name}\n\n{what}\n\n{table}\n").expect("strings take it all");
    }
    if dagger {
        text.push_str("†: with errors or wrong values.\n\n");
    }
    writeln!(
        text,
        "On {} processors, with {}{}.",
        report.processors,
        report.server,
        if report.quick {
            "; a quick run, good for a look only"
        } else {
            ""
        }
    )
    .expect("strings take it all");
    text
}

fn by_level(levels: &[Level], figure: &'static str) -> Table {
    let mut header = vec![String::new()];
    header.extend(levels.iter().map(callers));
    let results = levels.iter().map(|level| level.results.as_slice());
    rows(header, &results.collect::<Vec<_>>(), |outcome| {
        outcome.figure(figure).map(spread)
    })
}

fn callers(level: &Level) -> String {
    match level.concurrency {
        1 => "1 caller".to_owned(),
        callers => format!("{} callers", number(callers as f64)),
    }
}

/// Contestants are in the same order in all columns.
fn rows(
    header: Vec<String>,
    columns: &[&[Outcome]],
    figure: impl Fn(&Outcome) -> Option<String>,
) -> Table {
    let mut table = Table::new();
    table.set_header(header);
    for (row, first) in columns.first().into_iter().copied().flatten().enumerate() {
        let title = first.title();
        let mut cells = vec![first_cell(&title, &title)];
        cells.extend(columns.iter().map(|column| {
            let text = column
                .get(row)
                .map(|outcome| marked(outcome, figure(outcome).unwrap_or_else(|| "–".to_owned())));
            cell(&title, text.unwrap_or_default())
        }));
        table.add_row(cells);
    }
    table
}

fn costs(level: &Level) -> Table {
    let mut table = Table::new();
    let mut header = vec!["", "connections"];
    header.extend(COSTS.map(|(title, _)| title));
    table.set_header(header);
    for outcome in &level.results {
        let title = outcome.title();
        let mut cells = vec![
            first_cell(&title, marked(outcome, title.clone())),
            cell(&title, outcome.peak_connections),
        ];
        cells.extend(COSTS.map(|(_, figure)| {
            cell(
                &title,
                outcome.figure(figure).map(spread).unwrap_or_default(),
            )
        }));
        table.add_row(cells);
    }
    table
}

fn alone(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.set_header(["", "requests/s", "servers' CPU, µs"]);
    for outcome in outcomes {
        let title = outcome.title();
        let figures = ["requests_per_s", "server_cpu_us_per_request"];
        let mut cells = vec![first_cell(&title, &title)];
        cells.extend(figures.map(|figure| {
            cell(
                &title,
                outcome.figure(figure).map(spread).unwrap_or_default(),
            )
        }));
        table.add_row(cells);
    }
    table
}

fn marked(outcome: &Outcome, text: String) -> String {
    match outcome.is_sound() {
        true => text,
        false => text + MARK,
    }
}

fn percent(share: Spread) -> Spread {
    Spread {
        median: share.median * 100.0,
        min: share.min * 100.0,
        max: share.max * 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{level, outcome};
    use super::*;

    #[test]
    fn errors_are_marked() {
        let mut wrong = outcome("b", [5.0, 6.0, 7.0]);
        wrong.wrong_values = 1;
        let report = Report {
            processors: 2,
            server: "redis 7".to_owned(),
            levels: vec![
                level(
                    1,
                    vec![outcome("a", [1.0, 2.0, 3.0]), outcome("b", [4.0, 4.0, 4.0])],
                ),
                level(256, vec![outcome("a", [1.0, 2.0, 3.0]), wrong]),
            ],
            ..Report::default()
        };
        let text = markdown(closed(&report), &report);
        let row = text.lines().find(|line| line.contains("| b pipe"));
        let cells: Vec<&str> = row.unwrap().split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "b pipe", "4", "6 (5–7) †", ""]);
        assert!(text.contains("†: with errors"));
        assert!(text.contains("| b pipe † "), "{text}");
        assert!(text.ends_with("On 2 processors, with redis 7.\n"), "{text}");
    }
}

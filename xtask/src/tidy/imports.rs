//! Dependencies in one direction: which module of a crate may use which.
//!
//! A module may use those of its own layer and of the layers below. What a module or a layer may not
//! name at all is in [`BANS`].

use super::source::{is_word, words};
use super::{File, Finding};

/// The layers of a crate, lowest first. A new module is to be added here.
const CRATES: &[(&str, &[Layer])] = &[
    (
        "crates/wait-pool",
        &[
            Layer {
                name: "values",
                modules: &[
                    "config", "error", "event", "hook", "lanes", "manager", "metrics", "moment",
                    "policy", "status",
                ],
            },
            Layer {
                name: "state",
                modules: &[
                    "backoff",
                    "ledger",
                    "line",
                    "opening",
                    "pace",
                    "slots",
                    "state",
                    "transition",
                ],
            },
            Layer {
                name: "shell",
                modules: &[
                    "check", "clock", "connect", "effects", "group", "home", "keeper", "shared",
                    "sync",
                ],
            },
            Layer {
                name: "face",
                modules: &[
                    "acquire", "builder", "compat", "guard", "models", "pool", "request",
                ],
            },
        ],
    ),
    (
        "crates/wait-pool-redis",
        &[
            Layer {
                name: "values",
                modules: &[
                    "error",
                    "event",
                    "hook",
                    "node",
                    "pool_error",
                    "slot",
                    "status",
                ],
            },
            Layer {
                name: "decisions",
                modules: &[
                    "keys", "plan", "readers", "redirect", "route", "session", "settings",
                    "topology",
                ],
            },
            Layer {
                name: "effects",
                modules: &[
                    "connector",
                    "dispatch",
                    "nodes",
                    "pinned",
                    "pushes",
                    "refresh",
                    "turns",
                    "wire",
                ],
            },
            Layer {
                name: "face",
                modules: &[
                    "cluster",
                    "config",
                    "connection",
                    "credentials",
                    "handle",
                    "lookup",
                    "manager",
                    "metrics",
                    "pipeline",
                    "pool",
                    "sentinel",
                    "setup",
                    "tls",
                ],
            },
        ],
    ),
];

/// What may not be named: crate, where, what, and why.
const BANS: &[(&str, Where, &str, &str)] = &[
    (
        "crates/wait-pool",
        Where::Anywhere,
        "redis",
        "the core knows nothing of Redis",
    ),
    (
        "crates/wait-pool",
        Where::OutsideModule("sync"),
        "parking_lot",
        "one file says what a lock is",
    ),
    (
        "crates/wait-pool",
        Where::Layer("values"),
        "tokio",
        "values do nothing",
    ),
    (
        "crates/wait-pool",
        Where::Layer("state"),
        "tokio",
        "the state machine has no effects",
    ),
    (
        "crates/wait-pool",
        Where::Layer("state"),
        "Instant::now",
        "the state machine has no clock",
    ),
    (
        "crates/wait-pool-redis",
        Where::Layer("values"),
        "tokio",
        "values do nothing",
    ),
    (
        "crates/wait-pool-redis",
        Where::Layer("decisions"),
        "tokio",
        "decisions are synchronous",
    ),
];

#[derive(Debug)]
struct Layer {
    name: &'static str,
    modules: &'static [&'static str],
}

#[derive(Debug)]
enum Where {
    Anywhere,
    Layer(&'static str),
    OutsideModule(&'static str),
}

/// Checks one source file of a crate that has layers; `lib.rs` may do everything but what is banned
/// anywhere.
pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let layers = CRATES.iter().find_map(|(krate, layers)| {
        let inside = file.path.strip_prefix(krate)?.strip_prefix("/src/")?;
        Some((*krate, inside, *layers))
    });
    let Some((krate, inside, layers)) = layers else {
        return;
    };
    let module = inside
        .split('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs");
    let code = file.code();
    if module != "lib" {
        let Some(level) = level_of(layers, module) else {
            let message =
                format!("module `{module}` is in no layer: add it to xtask/src/tidy/imports.rs");
            findings.push(file.finding(1, message));
            return;
        };
        // In `src/module.rs` the parent is the crate itself.
        let root_by_super = !inside.contains('/');
        for (line, used) in uses(&code, root_by_super) {
            if let Some(problem) = judge(layers, level, module, &used) {
                findings.push(file.finding(line, problem));
            }
        }
    }
    let layer = level_of(layers, module).map_or("", |level| layers[level].name);
    for (_, place, what, why) in BANS.iter().filter(|ban| ban.0 == krate) {
        let applies = match place {
            Where::Anywhere => true,
            Where::Layer(name) => *name == layer,
            Where::OutsideModule(name) => *name != module,
        };
        if applies && let Some(line) = line_naming(&code, what) {
            findings.push(file.finding(line, format!("names `{what}`, but {why}")));
        }
    }
}

fn judge(layers: &[Layer], level: usize, module: &str, used: &str) -> Option<String> {
    let Some(used_level) = level_of(layers, used) else {
        return Some(format!(
            "`crate::{used}` names no module of a layer: import from the module that defines it"
        ));
    };
    (used_level > level).then(|| {
        let (own, other) = (layers[level].name, layers[used_level].name);
        format!("`{module}` ({own}) may not use `{used}` ({other}): it is a layer above")
    })
}

fn level_of(layers: &[Layer], module: &str) -> Option<usize> {
    layers
        .iter()
        .position(|layer| layer.modules.contains(&module))
}

/// What follows each `crate::`, with its line; of a group each member.
fn uses(code: &str, root_by_super: bool) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // A group may go over several lines, so this looks at the whole text.
    let mut from = 0;
    while let Some(at) = code[from..].find("::").map(|at| at + from) {
        from = at + 2;
        let before = code[..at]
            .rsplit(|c| !is_word(c))
            .next()
            .unwrap_or_default();
        if before == "crate" || (before == "super" && root_by_super) {
            let line = code[..at].matches('\n').count() + 1;
            found.extend(heads(&code[from..]).into_iter().map(|head| (line, head)));
        }
    }
    found
}

/// `a` of `a::b`, and `a` and `c` of `{a::b, c::{d, e}}`.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        let end = path.find(|c| !is_word(c)).unwrap_or(path.len());
        return vec![path[..end].to_owned()];
    };
    let mut depth = 0;
    let mut members = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => members.push(String::new()),
            _ if depth == 0 => members.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    let heads = members
        .iter()
        .filter_map(|member| member.trim().split("::").next());
    heads
        .filter(|head| !head.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The first line that names `what`, which is an identifier or a path of two.
fn line_naming(code: &str, what: &str) -> Option<usize> {
    let (first, second) = what.split_once("::").unwrap_or((what, ""));
    words(code)
        .find(|(_, word, rest)| {
            let tail = rest.strip_prefix("::").unwrap_or_default();
            let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
            *word == first && (second.is_empty() || &tail[..end] == second)
        })
        .map(|(line, ..)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&File::new(path, text), &mut findings);
        findings
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[track_caller]
    fn good(path: &str, text: &str) {
        assert_eq!(problems(path, text), Vec::<String>::new());
    }

    #[track_caller]
    fn bad(path: &str, text: &str, expected: &str) {
        let found = problems(path, text);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }

    const STATE: &str = "crates/wait-pool/src/state.rs";
    const ROUTE: &str = "crates/wait-pool-redis/src/route.rs";

    #[test]
    fn downwards_and_sideways_are_fine() {
        good(STATE, "use crate::lanes::Lanes;\nuse crate::slots::Slots;");
        good(ROUTE, "use crate::{keys, slot::Slot};");
        good(
            "crates/wait-pool-redis/src/topology/reply.rs",
            "use super::Topology;",
        );
        good("crates/bench/src/lib.rs", "use crate::anything::At;");
        good(
            "crates/wait-pool/src/lib.rs",
            "pub use crate::anything::At;",
        );
    }

    #[test]
    fn upwards_is_not() {
        bad(
            STATE,
            "fn f() -> crate::shared::Shared {}",
            "`shared` (shell)",
        );
        bad(STATE, "use super::pool::Pool;", "`pool` (face)");
        bad(
            ROUTE,
            "use crate::{\n    keys,\n    nodes::{Nodes, Node},\n};",
            "`nodes` (effects)",
        );
        bad(
            "crates/wait-pool-redis/src/topology/reply.rs",
            "use crate::cluster::Pool;",
            "face",
        );
    }

    #[test]
    fn unknown_modules_and_root_imports_are_told() {
        bad(
            "crates/wait-pool/src/extra.rs",
            "",
            "add it to xtask/src/tidy/imports.rs",
        );
        bad(
            STATE,
            "use crate::Pool;",
            "import from the module that defines it",
        );
    }

    #[test]
    fn bans_hold_in_code_only() {
        bad(STATE, "use tokio::time;", "names `tokio`");
        bad(STATE, "let now = Instant::now();", "has no clock");
        bad(ROUTE, "async fn f() { tokio::spawn(x) }", "synchronous");
        bad(
            "crates/wait-pool/src/pool.rs",
            "use parking_lot::Mutex;",
            "one file",
        );
        bad(
            "crates/wait-pool/src/lib.rs",
            "pub use redis;",
            "nothing of Redis",
        );
        good(
            "crates/wait-pool/src/sync.rs",
            "use parking_lot::Mutex;\nuse tokio::time;",
        );
        good(
            STATE,
            "// tokio\nlet s = \"tokio\";\nlet tokio_test = Instant::default();",
        );
        good(
            STATE,
            "\n#[cfg(test)]\nmod tests {\n    use tokio::time;\n}",
        );
    }
}

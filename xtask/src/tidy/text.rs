//! Rules about lines and whole files.

use super::{File, Finding};

/// Lines of a source file that are no tests.
const MAX_LINES: usize = 400;

/// Left-over marks, in halves so that this file passes its own rule.
const MARKS: &[(&str, &str)] = &[
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X"),
    ("dbg", "!"),
    ("todo", "!"),
    ("unimplemented", "!"),
];

/// Where paths begin that exist on one machine only, in halves as well.
const MACHINE_PATHS: &[(&str, &str)] = &[
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/Us", "ers/"),
    ("/tm", "p/"),
];

/// Rules for every text file.
pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    for (line, number) in file.text.lines().zip(1..) {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(file.finding(number, "trailing whitespace"));
        }
        if line.contains('\t') {
            findings.push(file.finding(number, "a tab"));
        }
        for (half, rest) in MARKS {
            let mark = format!("{half}{rest}");
            if names(line, &mark) {
                findings.push(file.finding(number, format!("left-over mark `{mark}`")));
            }
        }
        for (half, rest) in MACHINE_PATHS {
            let path = format!("{half}{rest}");
            if names(line, &path) {
                findings.push(file.finding(number, format!("a path of one machine, `{path}…`")));
            }
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(file.finding(file.text.lines().count(), "no newline at the end"));
    }
}

/// Rules for Rust files that are no integration tests.
pub(super) fn check_source(file: &File, findings: &mut Vec<Finding>) {
    // Generators put their mark before the documentation.
    let first = file
        .text
        .lines()
        .find(|line| !line.starts_with("// ") && !line.starts_with("#!["));
    if !first.is_some_and(|line| line.starts_with("//!")) {
        findings.push(file.finding(1, "begins without module documentation (`//!`)"));
    }
    let generated = file
        .text
        .lines()
        .take(5)
        .any(|line| line.contains("@generated"));
    let lines = file.lines_before_tests();
    if !generated && !file.is_test() && lines > MAX_LINES {
        let message = format!("{lines} lines before its tests; at most {MAX_LINES}: split it");
        findings.push(file.finding(MAX_LINES + 1, message));
    }
}

/// A workspace member takes the workspace's lints.
pub(super) fn check_manifest(file: &File, findings: &mut Vec<Finding>) {
    let mut lines = file
        .text
        .lines()
        .skip_while(|line| line.trim() != "[lints]")
        .skip(1);
    if lines
        .next()
        .is_none_or(|line| line.replace(' ', "") != "workspace=true")
    {
        findings.push(file.finding(1, "lacks `[lints] workspace = true`"));
    }
}

/// Whether `line` has `what`, and not as a part of a longer word or path.
fn names(line: &str, what: &str) -> bool {
    line.match_indices(what).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + what.len()..].chars().next();
        let joins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '}' | '~');
        let ends_in_word = what.ends_with(|c: char| c.is_alphanumeric());
        let tail = before.is_some_and(joins);
        let head = ends_in_word && after.is_some_and(joins_word);
        !tail && !head
    })
}

fn joins_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rule: fn(&File, &mut Vec<Finding>), path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        rule(&File::new(path, text), &mut findings);
        findings
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[track_caller]
    fn check_line(line: &str, expected: &[&str]) {
        let found = problems(check, "a.rs", &format!("ok\n{line}\n"));
        assert_eq!(found.len(), expected.len(), "{line:?}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.starts_with("a.rs:2: ") && found.contains(expected),
                "{found}"
            );
        }
    }

    #[test]
    fn lines() {
        check_line("fine", &[]);
        check_line("x ", &["trailing"]);
        check_line("x\ty", &["tab"]);
        check_line(concat!("// TO", "DO: x"), &["left-over"]);
        check_line(concat!("db", "g!(x)"), &["left-over"]);
        check_line(concat!("AUTO", "DOC PROTO", "DO X"), &[]);
        check_line(concat!("TO", "DOS"), &[]);
        check_line(concat!("see /ho", "me/me/x"), &["one machine"]);
        check_line(concat!("(/tm", "p/x)"), &["one machine"]);
        check_line(
            concat!("https://example.org/ho", "me/x target/tm", "p/x"),
            &[],
        );
    }

    #[test]
    fn the_last_line_ends() {
        assert_eq!(
            problems(check, "a.md", "x"),
            ["a.md:1: no newline at the end"]
        );
        assert!(problems(check, "a.md", "").is_empty());
    }

    #[test]
    fn module_documentation_comes_first() {
        let of = |text| problems(check_source, "crates/a/src/b.rs", text).len();
        assert_eq!(of("//! Docs.\n"), 0);
        assert_eq!(of("// @generated by x\n//! Docs.\n"), 0);
        assert_eq!(of("#![allow(x)]\n//! Docs.\n"), 0);
        assert_eq!(of("use x;\n//! Docs.\n"), 1);
        assert_eq!(of(""), 1);
    }

    #[test]
    fn size_is_counted_without_tests() {
        let of = |text: String| problems(check_source, "crates/a/src/b.rs", &text).len();
        let body = "//! Docs.\n".repeat(400);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(500));
        assert_eq!(of(format!("{body}{tests}")), 0);
        assert_eq!(of(format!("{body}x\n{tests}")), 1);
        assert_eq!(of(format!("// @generated\n{body}{body}")), 0);
        assert!(problems(check_source, "crates/a/src/b/tests.rs", &body.repeat(2)).is_empty());
    }

    #[test]
    fn manifests_take_the_lints() {
        let of = |text| problems(check_manifest, "crates/a/Cargo.toml", text).len();
        assert_eq!(of("[package]\n\n[lints]\nworkspace = true\n"), 0);
        assert_eq!(of("[package]\n[lints.rust]\n"), 1);
        assert_eq!(of("[package]\n"), 1);
    }
}

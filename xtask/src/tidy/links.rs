//! Relative links in Markdown lead somewhere.

use std::path::Path;

use super::{File, Finding};

/// Checks the links of one Markdown file; `root` is where its path begins.
pub(super) fn check(file: &File, root: &Path, findings: &mut Vec<Finding>) {
    let dir = root.join(&file.path);
    let dir = dir.parent().unwrap_or(root);
    for (line, target) in targets(&file.text) {
        let path = target.split('#').next().unwrap_or_default();
        let elsewhere = path.contains("://") || path.starts_with("mailto:");
        if !path.is_empty() && !elsewhere && !dir.join(path).exists() {
            findings.push(file.finding(line, format!("the link to `{target}` leads nowhere")));
        }
    }
}

/// The targets of `[text](target)` and `[name]: target` outside of code, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece is between backticks.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for piece in prose.split("](").skip(1) {
            let end = piece.find([')', ' ']).unwrap_or(piece.len());
            found.push((number, piece[..end].to_owned()));
        }
        let definition = prose
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "));
        if let Some((_, target)) = definition {
            found.push((
                number,
                target.split(' ').next().unwrap_or_default().to_owned(),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_outside_of_code() {
        let text = "a [b](c.md) [`d`](e.md#f \"g\")\n```\n[h](i)\n```\n`[j](k)`\n[l]: m.md\n";
        let found: Vec<_> = targets(text).into_iter().collect();
        let expected = [(1, "c.md"), (1, "e.md#f"), (6, "m.md")];
        assert_eq!(
            found,
            expected.map(|(line, target)| (line, target.to_owned()))
        );
    }

    #[test]
    fn only_missing_files_are_told() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "[a](main.rs) [b](../Cargo.toml) [c](https://x.org/y) [d](#e) [f](no.rs)\n";
        let mut findings = Vec::new();
        check(&File::new("src/a.md", text), root, &mut findings);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].to_string().contains("no.rs"));
    }
}

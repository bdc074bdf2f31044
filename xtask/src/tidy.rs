//! `tidy`: the project's rules that neither the compiler nor clippy knows.

mod imports;
mod links;
mod source;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;
use xshell::{Shell, cmd};

use crate::report;

/// File name endings the rules are for.
const ENDINGS: [&str; 6] = [".rs", ".md", ".toml", ".sh", ".yml", ".ci/run"];

/// What `tidy` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Write the findings there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

/// One text file of the project.
#[derive(Debug)]
struct File {
    /// From the root of the project.
    path: String,
    text: String,
}

/// Checks every file that git knows or would take.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = crate::root();
    let files = files(&root)?;
    let mut findings = Vec::new();
    for file in &files {
        check(file, &root, &mut findings);
    }
    for finding in &findings {
        println!("{finding}");
    }
    report::write(args.json.as_deref(), &findings)?;
    if !findings.is_empty() {
        bail!("{} findings in {} files", findings.len(), files.len());
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

fn check(file: &File, root: &Path, findings: &mut Vec<Finding>) {
    text::check(file, findings);
    if file.path.ends_with(".md") {
        links::check(file, root, findings);
    }
    if file.path.ends_with("/Cargo.toml") {
        text::check_manifest(file, findings);
    }
    let example = file.path.starts_with("examples/");
    if file.path.ends_with(".rs") && (example || file.path.contains("/src/")) {
        text::check_source(file, findings);
        if !file.is_test() {
            imports::check(file, findings);
        }
    }
}

fn files(root: &Path) -> anyhow::Result<Vec<File>> {
    let sh = Shell::new()?;
    sh.change_dir(root);
    // What is ignored is not the project's; what is new already is.
    let list = cmd!(sh, "git ls-files --cached --others --exclude-standard")
        .quiet()
        .read()?;
    let mut paths: Vec<&str> = list.lines().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| ENDINGS.iter().any(|ending| path.ends_with(ending)))
        .filter(|path| root.join(path).is_file())
        .map(|path| {
            let text = fs::read_to_string(root.join(path));
            Ok(File::new(
                path,
                &text.with_context(|| format!("cannot read {path}"))?,
            ))
        })
        .collect()
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn finding(&self, line: usize, message: impl Into<Cow<'static, str>>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            message: message.into().into_owned(),
        }
    }

    /// The file without comments, literals and tests.
    fn code(&self) -> String {
        source::code(&self.text)
    }

    fn lines_before_tests(&self) -> usize {
        source::lines_before_tests(&self.text)
    }

    /// Whether it is a module of tests in a file of its own.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

//! The figures as a part of a document, so that nobody has to type them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

/// What goes between two lines of a file that are marked with its name.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) mark: &'static str,
    pub(crate) text: String,
}

/// Writes figures to a file: to the places that are marked for them, or all of it if it has none.
pub(crate) fn write(parts: &[Part], path: &Path) -> anyhow::Result<()> {
    let present = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        present => present,
    };
    let present = present.with_context(|| format!("cannot read {}", path.display()))?;
    let text = placed(present, parts);
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn placed(present: String, parts: &[Part]) -> String {
    let mut text = present;
    let mut found = false;
    for part in parts {
        if let Some(replaced) = replaced(&text, part) {
            text = replaced;
            found = true;
        }
    }
    match found {
        true => text,
        false => {
            let texts: Vec<&str> = parts.iter().map(|part| &*part.text).collect();
            texts.join("\n")
        }
    }
}

fn replaced(text: &str, part: &Part) -> Option<String> {
    let Part { mark, text: new } = part;
    let (begin, end) = (
        format!("<!-- {mark}: begin -->\n"),
        format!("<!-- {mark}: end -->\n"),
    );
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{new}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_go_to_their_places() {
        let part = |mark, text: &str| Part {
            mark,
            text: text.to_owned(),
        };
        let text =
            "1\n<!-- a: begin -->\nold\n<!-- a: end -->\n2\n<!-- b: begin -->\n<!-- b: end -->\n";
        let expected = "1\n<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n2\n<!-- b: begin -->\n\nold\n\n<!-- b: end -->\n";
        let parts = [part("a", "new\n"), part("b", "old\n"), part("c", "no\n")];
        assert_eq!(placed(text.to_owned(), &parts), expected);
        assert_eq!(placed(expected.to_owned(), &parts), expected);
        assert_eq!(placed("no place".to_owned(), &parts), "new\n\nold\n\nno\n");
    }
}

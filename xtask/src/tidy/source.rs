//! Rust source as the rules see it: code without comments, texts and tests.

/// `source` up to its test module, with every comment and every text and character literal
/// blanked. Lines keep their numbers.
pub(super) fn code(source: &str) -> String {
    let blanked = blank(source);
    let keep = lines_before_tests(&blanked);
    blanked
        .lines()
        .take(keep)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// How many lines come before the test module, or before a file says that it is one; all of them if
/// there is none.
pub(super) fn lines_before_tests(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    if let Some(all_of_it) = lines.iter().position(|line| line.trim() == "#![cfg(test)]") {
        return all_of_it;
    }
    let starts = |pair: &[&str]| {
        let (attribute, item) = (pair[0].trim(), pair[1].trim());
        attribute.starts_with("#[cfg(") && attribute.contains("test") && item.starts_with("mod ")
    };
    lines.windows(2).position(starts).unwrap_or(lines.len())
}

/// The identifiers of `code`, each with the number of its line and what follows it.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    code.lines().zip(1..).flat_map(|(line, number)| {
        let mut rest = line;
        std::iter::from_fn(move || {
            let start = rest.find(is_word)?;
            let from = &rest[start..];
            let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
            rest = &from[end..];
            Some((number, &from[..end], rest))
        })
    })
}

/// Whether an identifier may have this character.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let skip = if is_word(before) && !"rbc".contains(before) {
            literal_or_comment(rest).filter(|_| c != 'r' && c != '#')
        } else {
            literal_or_comment(rest)
        };
        let length = skip.unwrap_or_else(|| c.len_utf8());
        let (taken, after) = rest.split_at(length);
        if skip.is_some() {
            out.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(taken);
        }
        before = c;
        rest = after;
    }
    out
}

/// The length of the comment or literal that `rest` begins with.
fn literal_or_comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        // 'a' and '\n' are characters, 'a without a second quote is a lifetime.
        let mut chars = rest.chars().skip(1);
        let escaped = chars.next() == Some('\\');
        return (escaped || chars.next() == Some('\'')).then(|| quoted(rest, '\''));
    }
    let hashes = rest.strip_prefix('r')?;
    let text = hashes.trim_start_matches('#');
    let close = format!("\"{}", "#".repeat(hashes.len() - text.len()));
    let inside = text.strip_prefix('"')?;
    let end = inside
        .find(&close)
        .map_or(inside.len(), |end| end + close.len());
    Some(rest.len() - inside.len() + end)
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squeezed(source: &str) -> String {
        code(source)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(squeezed("a // b \" c\nd"), "a d");
        assert_eq!(squeezed("a /* b /* c */ d */ e"), "a e");
        assert_eq!(squeezed(r#"a "b \" c" d"#), "a d");
        assert_eq!(squeezed("a r#\"b \" c\"# d"), "a d");
        assert_eq!(squeezed("for 'a' in '\\'' b"), "for in b");
        assert_eq!(
            squeezed("fn f<'a>(x: &'a str) {}"),
            "fn f<'a>(x: &'a str) {}"
        );
        assert_eq!(
            squeezed("for r in bar.iter() { r\"x\"; }"),
            "for r in bar.iter() { ; }"
        );
        assert_eq!(squeezed("r#type + user(\"x\")"), "r#type + user( )");
        assert_eq!(squeezed("\"never closed"), "");
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(code("a\n/* x\ny */ b\n\"c\nd\" e").lines().count(), 5);
    }

    #[test]
    fn tests_are_left_out() {
        let source = "a\n#[cfg(test)]\nmod tests {\n    b\n}\n";
        assert_eq!(squeezed(source), "a");
        assert_eq!(lines_before_tests(source), 1);
        assert_eq!(lines_before_tests("a\n#[cfg(test)]\nfn b() {}\n"), 3);
        assert_eq!(lines_before_tests("//! a\n\n#![cfg(test)]\n\nuse b;\n"), 2);
    }

    #[test]
    fn words_come_with_what_follows() {
        let found: Vec<_> = words("use a::b;\nc").collect();
        assert_eq!(found[1], (1, "a", "::b;"));
        assert_eq!(found[3], (2, "c", ""));
    }
}

//! Lines: where they end, and the values that are a line.

use redis::{RedisResult, Value};

use super::broken;

/// Any number that Rust can read, with spaces around it.
pub(super) fn number(line: &[u8]) -> RedisResult<i64> {
    text(line)?
        .trim()
        .parse()
        .map_err(|_| broken("a number that is none"))
}

/// The front line without its end, and what follows.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    #[cfg(test)]
    super::tests::searched(bytes.len());
    let at = memchr::memchr_iter(b'\r', bytes).find(|at| bytes.get(at + 1) == Some(&b'\n'))?;
    Some((&bytes[..at], &bytes[at + 2..]))
}

/// Adds to `line` what `input` has of it, and tells whether that is all. Its end is taken off, not kept.
pub(super) fn complete(line: &mut Vec<u8>, input: &mut &[u8]) -> bool {
    if let (Some(b'\r'), [b'\n', rest @ ..]) = (line.last(), *input) {
        line.pop();
        *input = rest;
        return true;
    }
    let (more, rest, ended) = match split(input) {
        Some((more, rest)) => (more, rest, true),
        None => (*input, &[][..], false),
    };
    line.extend_from_slice(more);
    *input = rest;
    ended
}

pub(super) fn value(kind: u8, line: &[u8]) -> RedisResult<Value> {
    let text = text(line)?;
    Ok(match (kind, text) {
        (b'+', "OK") => Value::Okay,
        (b'+', text) => Value::SimpleString(text.to_owned()),
        (b'_', _) => Value::Nil,
        (b'#', "t") => Value::Boolean(true),
        (b'#', "f") => Value::Boolean(false),
        (b',', text) => match text.trim().parse() {
            Ok(double) => Value::Double(double),
            Err(_) => return Err(broken("a double that is none")),
        },
        // Only redis-rs can make an error, and its features decide what a big number is.
        (b'-' | b'(', text) => {
            redis::parse_redis_value(&[&[kind], text.as_bytes(), b"\r\n"].concat())?
        }
        _ => return Err(broken("a boolean that is none")),
    })
}

fn text(line: &[u8]) -> RedisResult<&str> {
    std::str::from_utf8(line).map_err(|_| broken("a line that is no UTF-8"))
}

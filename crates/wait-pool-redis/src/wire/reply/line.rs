//! Lines: where they end, and the values that are a line.

use redis::{RedisResult, Value};

use super::broken;

/// A number as servers write it, with what follows its line. `None` may also be a number in another
/// form, or one whose end has not come.
#[inline]
pub(super) fn plain_number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    /// More could be too large.
    const MAX_DIGITS: usize = 18;
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut number = 0;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' if at < MAX_DIGITS => number = number * 10 + i64::from(byte - b'0'),
            b'\r' if at > 0 => {
                let rest = digits[at + 1..].strip_prefix(b"\n")?;
                return Some((if negative { -number } else { number }, rest));
            }
            _ => return None,
        }
    }
    None
}

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

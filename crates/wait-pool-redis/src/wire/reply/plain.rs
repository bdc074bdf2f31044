//! The short way for what most replies are: texts, numbers, nothing, `OK` and `QUEUED`.

use redis::Value;

/// The front value, taken off `input`, if it is one of these, is all there, and is written as servers write.
#[inline]
pub(super) fn value(input: &mut &[u8]) -> Option<Value> {
    let (&kind, rest) = input.split_first()?;
    let (value, rest) = match kind {
        b'$' | b':' => match (kind, number(rest)?) {
            (b':', (number, rest)) => (Value::Int(number), rest),
            (_, (..=-1, rest)) => (Value::Nil, rest),
            (_, (size, rest)) => {
                let (text, rest) = rest.split_at_checked(usize::try_from(size).ok()?)?;
                let rest = rest.strip_prefix(b"\r\n")?;
                (Value::BulkString(text.to_vec()), rest)
            }
        },
        b'+' => match rest.strip_prefix(b"OK\r\n") {
            Some(rest) => (Value::Okay, rest),
            None => {
                let rest = rest.strip_prefix(b"QUEUED\r\n")?;
                (Value::SimpleString("QUEUED".to_owned()), rest)
            }
        },
        b'_' => (Value::Nil, rest.strip_prefix(b"\r\n")?),
        _ => return None,
    };
    *input = rest;
    Some(value)
}

/// A number with what follows its line; none that is cut, or is written in a way that servers do not.
#[inline]
pub(super) fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
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

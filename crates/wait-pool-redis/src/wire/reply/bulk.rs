//! Texts that came in part, and those that are more than bytes.

use redis::{RedisResult, Value, VerbatimFormat};

use super::broken;

/// What is reserved at most for bytes that have not come, unless as many have.
const RESERVE: usize = 1 << 20;

/// A text of known length.
#[derive(Debug)]
pub(super) struct Bulk {
    kind: u8,
    size: usize,
    bytes: Vec<u8>,
    /// Whether the first half of the line's end behind it has come.
    returned: bool,
}

impl Bulk {
    pub(super) fn new(kind: u8, size: usize) -> Self {
        Self {
            kind,
            size,
            bytes: Vec::new(),
            returned: false,
        }
    }

    /// How many bytes have not come, those of the line's end among them.
    pub(super) fn lacks(&self) -> usize {
        self.size - self.bytes.len() + 2 - usize::from(self.returned)
    }

    /// Takes off `input` what belongs to the text, and tells whether that is all of it.
    pub(super) fn take_in(&mut self, input: &mut &[u8]) -> RedisResult<bool> {
        let lacks = self.size - self.bytes.len();
        let (part, mut rest) = input.split_at(lacks.min(input.len()));
        if part.len() > self.bytes.capacity() - self.bytes.len() {
            let room = RESERVE.max(self.bytes.len()).max(part.len());
            self.bytes.reserve_exact(room.min(lacks));
        }
        self.bytes.extend_from_slice(part);
        if part.len() == lacks {
            while let Some((byte, behind)) = rest.split_first() {
                rest = behind;
                match (self.returned, byte) {
                    (false, b'\r') => self.returned = true,
                    (true, b'\n') => {
                        *input = rest;
                        return Ok(true);
                    }
                    _ => return Err(broken("a text longer than announced")),
                }
            }
        }
        *input = rest;
        Ok(false)
    }

    /// The value of a complete text.
    pub(super) fn close(self) -> RedisResult<Value> {
        match self.kind {
            b'=' => match std::str::from_utf8(&self.bytes) {
                Ok(text) => verbatim(text),
                Err(_) => verbatim(&String::from_utf8_lossy(&self.bytes)),
            },
            b'!' => error(&self.bytes),
            _ => Ok(Value::BulkString(self.bytes)),
        }
    }
}

fn verbatim(text: &str) -> RedisResult<Value> {
    let Some((format, text)) = text.split_once(':') else {
        return Err(broken("a verbatim text without a format"));
    };
    let format = match format {
        "txt" => VerbatimFormat::Text,
        "mkd" => VerbatimFormat::Markdown,
        other => VerbatimFormat::Unknown(other.to_owned()),
    };
    Ok(Value::VerbatimString {
        format,
        text: text.to_owned(),
    })
}

/// Only redis-rs can make one.
fn error(text: &[u8]) -> RedisResult<Value> {
    let head = format!("!{}\r\n", text.len());
    redis::parse_redis_value(&[head.as_bytes(), text, b"\r\n"].concat())
}

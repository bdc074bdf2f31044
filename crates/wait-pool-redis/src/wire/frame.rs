//! Where a frame ends: a reply that is handed on as it is, or a command.
//!
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use memchr::memchr;
use redis::{ErrorKind, RedisError, RedisResult};

/// A frame as far as it has been looked at. Bytes are looked at once, however small the pieces that they come in.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Up to where it is known.
    at: usize,
    /// How many values are still to come in it; 0 before its beginning.
    open: u64,
}

impl Frame {
    /// Where the frame at the beginning of `bytes` ends; `None` if that is still to come. As long as it is,
    /// the next call goes on from here with the same bytes and more.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(super) fn end(&mut self, bytes: &[u8]) -> RedisResult<Option<usize>> {
        if self.open == 0 {
            self.open = 1;
        }
        while self.open > 0 {
            let Some(line) = bytes.get(self.at..).and_then(line) else {
                return Ok(None);
            };
            let after = self.at + line.len() + 2;
            let (values, data) = match line {
                // An attribute stands before what it is of.
                [b'|', count @ ..] => (length(count)? * 2 + 1, 0),
                [b'*' | b'~' | b'>', count @ ..] => (length(count)?, 0),
                [b'%', count @ ..] => (length(count)? * 2, 0),
                [b'$' | b'=' | b'!', b'-', ..] => (0, 0),
                [b'$' | b'=' | b'!', count @ ..] => (0, length(count)? + 2),
                [_, ..] => (0, 0),
                [] => return Err(garbled()),
            };
            let end = usize::try_from(data)
                .ok()
                .and_then(|data| after.checked_add(data));
            let end = end.ok_or_else(garbled)?;
            if end > bytes.len() {
                return Ok(None);
            }
            self.at = end;
            self.open = (self.open - 1).checked_add(values).ok_or_else(garbled)?;
        }
        Ok(Some(std::mem::take(&mut self.at)))
    }
}

/// Up to the end of the line, which has to be there.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = memchr(b'\n', bytes)?;
    bytes[..end].strip_suffix(b"\r").or(Some(&[]))
}

/// A count, none for what is not there.
fn length(digits: &[u8]) -> RedisResult<u64> {
    if digits == b"-1" {
        return Ok(0);
    }
    let text = str::from_utf8(digits).map_err(|_| garbled())?;
    let count = text.parse::<u32>().map_err(|_| garbled())?;
    Ok(count.into())
}

fn garbled() -> RedisError {
    (ErrorKind::Parse, "this is no frame of the protocol").into()
}

//! Values out of the bytes that a server sends, as they come in.
//!
//! What redis-rs's parser makes of the bytes of a reply, this makes too, and it errs where that errs.
//! It takes in all that it is given: of a long text it keeps what has come, of an array its elements. So no
//! byte is looked at twice, however a reply is cut, and a caller may read into the same buffer again.

use redis::{ParsingError, RedisError, RedisResult, Value};

mod bulk;
mod line;
mod open;
#[cfg(test)]
mod tests;

use bulk::Bulk;
use open::Open;

/// How deep replies may be nested, as in redis-rs.
const MAX_DEPTH: usize = 100;

/// What of a reply has come so far.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Arrays and the like that lack elements, the outermost first.
    open: Vec<Open>,
    /// A text of known length that is not complete.
    bulk: Option<Bulk>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

enum Item {
    Value(Value),
    /// Its elements follow.
    Opened,
    /// All bytes are taken in.
    Partial,
}

impl Replies {
    /// The next reply. What belongs to it is taken off the front of `input`; of `None` that is everything.
    ///
    /// After an error nobody knows where a next reply begins: the connection is of no use any more.
    #[inline]
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> RedisResult<Option<Value>> {
        loop {
            let mut value = match self.item(input)? {
                Item::Value(value) => value,
                Item::Opened => continue,
                Item::Partial => return Ok(None),
            };
            loop {
                let Some(inmost) = self.open.last_mut() else {
                    return Ok(Some(value));
                };
                if inmost.add(value) {
                    break;
                }
                let Some(full) = self.open.pop() else {
                    return Err(broken("an element of nothing"));
                };
                value = full.close()?;
            }
        }
    }

    /// How many bytes are known to be lacking: the rest of a text whose length has come, else 0.
    ///
    /// A server can announce what it likes, so it is no measure for memory.
    pub(crate) fn wanted(&self) -> usize {
        self.bulk.as_ref().map_or(0, Bulk::lacks)
    }

    #[inline]
    fn item(&mut self, input: &mut &[u8]) -> RedisResult<Item> {
        if let Some(bulk) = self.bulk.take() {
            return self.more_of_bulk(bulk, input);
        }
        if !self.line.is_empty() {
            return self.more_of_line(input);
        }
        let Some((&kind, rest)) = input.split_first() else {
            return Ok(Item::Partial);
        };
        if self.open.len() >= MAX_DEPTH {
            return Err(broken("replies are nested too deep"));
        }
        if has_number(kind) {
            if let Some((number, rest)) = line::plain_number(rest) {
                *input = rest;
                return self.numbered(kind, number, input);
            }
        } else if !has_text(kind) {
            return Err(broken("a reply of an unknown type"));
        }
        if let Some((line, rest)) = line::split(rest) {
            *input = rest;
            return self.whole_line(kind, line, input);
        }
        self.line.extend_from_slice(input);
        *input = &[];
        Ok(Item::Partial)
    }

    #[cold]
    fn more_of_line(&mut self, input: &mut &[u8]) -> RedisResult<Item> {
        if !line::complete(&mut self.line, input) {
            return Ok(Item::Partial);
        }
        let line = std::mem::take(&mut self.line);
        match line.split_first() {
            Some((&kind, line)) => self.whole_line(kind, line, input),
            None => Err(broken("a reply of no type")),
        }
    }

    #[cold]
    fn more_of_bulk(&mut self, mut bulk: Bulk, input: &mut &[u8]) -> RedisResult<Item> {
        if bulk.take_in(input)? {
            return bulk.close().map(Item::Value);
        }
        self.bulk = Some(bulk);
        Ok(Item::Partial)
    }

    fn whole_line(&mut self, kind: u8, line: &[u8], input: &mut &[u8]) -> RedisResult<Item> {
        if has_number(kind) {
            let number = line::number(line)?;
            self.numbered(kind, number, input)
        } else {
            line::value(kind, line).map(Item::Value)
        }
    }

    /// What begins with a number, or is one.
    #[inline]
    fn numbered(&mut self, kind: u8, number: i64, input: &mut &[u8]) -> RedisResult<Item> {
        let value = match (kind, number) {
            (b':', number) => Value::Int(number),
            (b'$' | b'*' | b'~', ..=-1) => Value::Nil,
            (b'$', size) => return self.text(length(size)?, input),
            (b'!' | b'=', size) => {
                return self.more_of_bulk(Bulk::new(kind, length(size)?), input);
            }
            (b'>', ..=0) => open::empty_push(),
            (kind, count) => {
                let room = open::room(input.len(), self.open.len());
                let open = Open::new(kind, length(count)?, room)?;
                if !open.is_full() {
                    self.open.push(open);
                    return Ok(Item::Opened);
                }
                open.close()?
            }
        };
        Ok(Item::Value(value))
    }

    #[inline]
    fn text(&mut self, size: usize, input: &mut &[u8]) -> RedisResult<Item> {
        if let Some((text, [b'\r', b'\n', rest @ ..])) = input.split_at_checked(size) {
            *input = rest;
            return Ok(Item::Value(Value::BulkString(text.to_vec())));
        }
        self.more_of_bulk(Bulk::new(b'$', size), input)
    }
}

fn has_number(kind: u8) -> bool {
    matches!(
        kind,
        b'$' | b':' | b'*' | b'%' | b'~' | b'>' | b'|' | b'!' | b'='
    )
}

fn has_text(kind: u8) -> bool {
    matches!(kind, b'+' | b'-' | b'_' | b',' | b'#' | b'(')
}

/// Refuses what no memory holds; so twice a length is still a number.
fn length(number: i64) -> RedisResult<usize> {
    usize::try_from(number)
        .ok()
        .filter(|&length| length <= isize::MAX as usize / 2)
        .ok_or_else(|| broken("a reply of an impossible length"))
}

#[cold]
fn broken(what: &'static str) -> RedisError {
    ParsingError::from(what).into()
}

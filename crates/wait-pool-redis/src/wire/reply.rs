//! Values out of the bytes that a server sends, as they come in.
//!
//! What redis-rs's parser makes of the bytes of a reply, this makes too, and it errs where that errs. It does
//! so sooner where a length is more than any memory holds, for which redis-rs would wait, and where the first
//! byte of a reply is wrong, which redis-rs sees with the second.
//!
//! It takes in all that it is given: of a long text it keeps what has come, of an array its elements. So no
//! byte is looked at again and again, however a reply is cut, and a caller may read into the same buffer anew.

use redis::{ParsingError, RedisError, RedisResult, Value};

mod bulk;
mod line;
mod open;
mod plain;
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
    /// What came last, if its end has not come.
    cut: Option<Cut>,
}

#[derive(Debug)]
enum Cut {
    /// With its first byte, the type.
    Line(Vec<u8>),
    Bulk(Bulk),
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
        if self.cut.is_none()
            && self.open.is_empty()
            && let Some(value) = plain::value(input)
        {
            return Ok(Some(value));
        }
        self.next_of_any(input)
    }

    /// How many bytes are known to be lacking: the rest of a text whose length has come, else 0.
    ///
    /// A server can announce what it likes, so it is no measure for memory.
    pub(crate) fn wanted(&self) -> usize {
        match &self.cut {
            Some(Cut::Bulk(bulk)) => bulk.lacks(),
            _ => 0,
        }
    }

    fn next_of_any(&mut self, input: &mut &[u8]) -> RedisResult<Option<Value>> {
        'items: loop {
            let mut value = match self.item(input)? {
                Item::Value(value) => value,
                Item::Opened => continue,
                Item::Partial => return Ok(None),
            };
            while let Some(mut inmost) = self.open.pop() {
                inmost.add(value);
                inmost.fill(input);
                if !inmost.is_full() {
                    self.open.push(inmost);
                    continue 'items;
                }
                value = inmost.close()?;
            }
            return Ok(Some(value));
        }
    }

    fn item(&mut self, input: &mut &[u8]) -> RedisResult<Item> {
        match self.cut.take() {
            Some(Cut::Bulk(bulk)) => return self.bulk(bulk, input),
            Some(Cut::Line(line)) => return self.cut_line(line, input),
            None => {}
        }
        let Some((&kind, rest)) = input.split_first() else {
            return Ok(Item::Partial);
        };
        if self.open.len() >= MAX_DEPTH {
            return Err(broken("replies are nested too deep"));
        }
        if has_number(kind) {
            if let Some((number, rest)) = plain::number(rest) {
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
        self.cut = Some(Cut::Line(input.to_vec()));
        *input = &[];
        Ok(Item::Partial)
    }

    fn cut_line(&mut self, mut line: Vec<u8>, input: &mut &[u8]) -> RedisResult<Item> {
        if !line::complete(&mut line, input) {
            self.cut = Some(Cut::Line(line));
            return Ok(Item::Partial);
        }
        match line.split_first() {
            Some((&kind, line)) => self.whole_line(kind, line, input),
            None => Err(broken("a reply of no type")),
        }
    }

    fn bulk(&mut self, mut bulk: Bulk, input: &mut &[u8]) -> RedisResult<Item> {
        if bulk.take_in(input)? {
            return bulk.close().map(Item::Value);
        }
        self.cut = Some(Cut::Bulk(bulk));
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
    fn numbered(&mut self, kind: u8, number: i64, input: &mut &[u8]) -> RedisResult<Item> {
        let value = match (kind, number) {
            (b':', number) => Value::Int(number),
            (b'$' | b'*' | b'~', ..=-1) => Value::Nil,
            (b'$' | b'!' | b'=', size) => {
                return self.bulk(Bulk::new(kind, length(size)?), input);
            }
            (b'>', ..=0) => open::empty_push(),
            (kind, count) => {
                let room = open::room(input.len(), self.open.len());
                let mut open = Open::new(kind, length(count)?, room)?;
                if self.open.len() + 1 < MAX_DEPTH {
                    open.fill(input);
                }
                if !open.is_full() {
                    self.open.push(open);
                    return Ok(Item::Opened);
                }
                open.close()?
            }
        };
        Ok(Item::Value(value))
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

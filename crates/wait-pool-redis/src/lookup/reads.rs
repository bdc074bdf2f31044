//! What is read by a lookup: the commands, their sizes, and the values that their answers hold.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use redis::{Cmd, FromRedisValue, ParsingError, Value};

use super::words::Words;
use crate::wire;

/// By which command the fields of a row are read. What comes back is the same.
///
/// It is a matter of what it costs the server. Small rows are kept *compact*, as one list in which `HMGET` searches
/// for each field anew: at 96 fields, all of them, six times as dear as `HGETALL`. Others are kept as a table, where
/// `HMGET` is as cheap or cheaper, and `HGETALL` of a large row for a few of its fields is a waste. `OBJECT ENCODING
/// key` tells which a row is: `listpack` (`ziplist` before Redis 7), by default up to 512 fields if no value is
/// longer than 64 bytes; or `hashtable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowRead {
    /// `HMGET` with the fields asked for.
    #[default]
    Hmget,
    /// `HGETALL`, of which the fields asked for are kept.
    Hgetall,
    /// Rows are compact and have about so many fields: whichever is cheaper then. That is `HGETALL` for 5 fields of 6, 11 of
    /// 24, or 17 of 96; from some 20 on in any compact row.
    Compact {
        /// How many fields a row has.
        fields_per_row: usize,
    },
}

impl RowRead {
    /// Whether to read whole rows to get `wanted` fields of each.
    const fn takes_all(self, wanted: usize) -> bool {
        match self {
            Self::Hmget => false,
            Self::Hgetall => true,
            Self::Compact { fields_per_row } => {
                let all = fields_per_row.saturating_mul(PASSED_OVER);
                wanted.saturating_mul(PASSED_OVER.saturating_add(fields_per_row)) >= all
            }
        }
    }
}

/// To give out a field costs as much as to pass over ten others in search of it, and `HMGET` passes over half of the row
/// on average. So it costs `wanted * (1 + fields / 20)` where `HGETALL` costs `fields`.
const PASSED_OVER: usize = 20;

/// The reads of a lookup, one for each key.
#[derive(Debug)]
pub(super) struct Reads {
    pub(super) keys: Words,
    verb: Verb,
    frame: Frame,
}

/// What all of the commands have in common, as it is written: what comes before the key and its length, and what
/// comes behind.
#[derive(Clone, Debug)]
struct Frame {
    before: Cow<'static, [u8]>,
    behind: Cow<'static, [u8]>,
}

impl Frame {
    fn of(verb: &Verb) -> Self {
        let fields = match verb {
            Verb::Get => return Self::short(b"*2\r\n$3\r\nGET\r\n$"),
            Verb::Hgetall => return Self::short(b"*2\r\n$7\r\nHGETALL\r\n$"),
            Verb::Hmget(fields) => fields,
        };
        let mut behind = b"\r\n".to_vec();
        wire::write_more(&mut behind, fields.iter());
        let before = format!("*{}\r\n$5\r\nHMGET\r\n$", fields.len() + 2);
        Self {
            before: before.into_bytes().into(),
            behind: behind.into(),
        }
    }

    fn short(before: &'static [u8]) -> Self {
        Self {
            before: before.into(),
            behind: b"\r\n".into(),
        }
    }
}

#[derive(Clone, Debug)]
enum Verb {
    Get,
    Hmget(FieldNames),
    Hgetall,
}

/// The names of fields, in the order that the caller wants them in.
type FieldNames = Arc<Words>;

/// The fields that a lookup wants of each row.
#[derive(Debug)]
pub(super) struct Wanted {
    names: FieldNames,
    /// Whole rows are read to get them.
    all: bool,
}

impl Reads {
    fn new(keys: Words, verb: Verb) -> Self {
        Self {
            frame: Frame::of(&verb),
            keys,
            verb,
        }
    }

    pub(super) fn strings(keys: Words) -> Self {
        Self::new(keys, Verb::Get)
    }

    pub(super) fn rows(keys: Words) -> Self {
        Self::new(keys, Verb::Hgetall)
    }

    pub(super) fn fields(keys: Words, wanted: &Wanted) -> Self {
        let verb = match wanted.all {
            true => Verb::Hgetall,
            false => Verb::Hmget(Arc::clone(&wanted.names)),
        };
        Self::new(keys, verb)
    }

    /// Some of them.
    pub(super) fn only(&self, positions: &[usize]) -> Self {
        let keys = positions.iter().map(|&position| self.keys.at(position));
        Self {
            keys: keys.collect(),
            verb: self.verb.clone(),
            frame: self.frame.clone(),
        }
    }

    /// The command for one position.
    pub(super) fn command(&self, position: usize) -> Cmd {
        let (name, fields) = match &self.verb {
            Verb::Get => ("GET", None),
            Verb::Hmget(fields) => ("HMGET", Some(fields)),
            Verb::Hgetall => ("HGETALL", None),
        };
        let mut cmd = redis::cmd(name);
        cmd.arg(self.keys.at(position));
        for field in fields.iter().flat_map(|fields| fields.iter()) {
            cmd.arg(field);
        }
        cmd
    }

    /// Writes the command for one position.
    pub(super) fn write(&self, position: usize, bytes: &mut Vec<u8>) {
        let Frame { before, behind } = &self.frame;
        wire::write_framed(bytes, before, self.keys.at(position), behind);
    }

    /// How many bytes the command for a position has on the wire, or a few more.
    pub(super) fn size(&self, position: usize) -> usize {
        let fields = match &self.verb {
            Verb::Hmget(fields) => fields.iter().map(on_the_wire).sum(),
            Verb::Get | Verb::Hgetall => 0,
        };
        on_the_wire(b"*HGETALL") + on_the_wire(self.keys.at(position)) + fields
    }
}

/// `$`, digits, a line break, the bytes, a line break.
const fn on_the_wire(bytes: &[u8]) -> usize {
    bytes.len() + 12
}

/// A string, or that there is none.
pub(super) fn string<T: FromRedisValue>(value: Value) -> Result<Option<T>, ParsingError> {
    match value {
        Value::Nil => Ok(None),
        value => T::from_redis_value(value).map(Some),
    }
}

/// A whole row; one without fields is none.
pub(super) fn row<R: FromRedisValue>(value: Value) -> Result<Option<R>, ParsingError> {
    match &value {
        Value::Map(fields) if fields.is_empty() => Ok(None),
        Value::Array(fields) if fields.is_empty() => Ok(None),
        _ => R::from_redis_value(value).map(Some),
    }
}

impl Wanted {
    pub(super) fn new(names: Words, how: RowRead) -> Self {
        let all = how.takes_all(names.len());
        let names = Arc::new(names);
        Self { names, all }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The fields in their order; nothing if the row has none of them.
    pub(super) fn values<T: FromRedisValue>(
        &self,
        answer: Value,
    ) -> Result<Option<Vec<Option<T>>>, ParsingError> {
        let Some(values) = self.in_order(answer)? else {
            return Ok(None);
        };
        let fields: Result<_, _> = values.into_iter().map(string).collect();
        fields.map(Some)
    }

    /// The fields that there are, by name; nothing if the row has none of them.
    pub(super) fn map<R: FromRedisValue>(&self, answer: Value) -> Result<Option<R>, ParsingError> {
        let Some(values) = self.in_order(answer)? else {
            return Ok(None);
        };
        let named = self.names.iter().zip(values);
        let present = named.filter(|(_, value)| *value != Value::Nil);
        let pairs = present.map(|(name, value)| (Value::BulkString(name.to_vec()), value));
        R::from_redis_value(Value::Map(pairs.collect())).map(Some)
    }

    fn in_order(&self, answer: Value) -> Result<Option<Vec<Value>>, ParsingError> {
        let values = match self.all {
            true => self.picked(answer)?,
            false => self.counted(answer)?,
        };
        let present = values.iter().any(|value| *value != Value::Nil);
        Ok(present.then_some(values))
    }

    /// Out of the answer to `HGETALL`. A name may be wanted twice, so values are copied.
    fn picked(&self, answer: Value) -> Result<Vec<Value>, ParsingError> {
        let pairs = answer
            .into_map_iter()
            .map_err(|_| ParsingError::from("a row is no map"))?;
        let pairs = pairs.filter_map(|(name, value)| match name {
            Value::BulkString(name) => Some((name, value)),
            _ => None,
        });
        let row: HashMap<Vec<u8>, Value> = pairs.collect();
        let names = self.names.iter();
        let values = names.map(|name| row.get(name).cloned().unwrap_or(Value::Nil));
        Ok(values.collect())
    }

    /// Out of the answer to `HMGET`.
    fn counted(&self, answer: Value) -> Result<Vec<Value>, ParsingError> {
        match answer.into_sequence() {
            Ok(values) if values.len() == self.names.len() => Ok(values),
            _ => Err(ParsingError::from("a row is no list of as many values")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(words: &[&str]) -> Words {
        words.iter().collect()
    }

    fn bulk(word: &str) -> Value {
        Value::BulkString(word.into())
    }

    fn wanted(names: &[&str], how: RowRead) -> Wanted {
        Wanted::new(boxed(names), how)
    }

    #[test]
    fn commands_are_what_they_say_and_no_larger() {
        let all = [
            Reads::strings(boxed(&["k", "long key"])),
            Reads::rows(boxed(&["k", ""])),
            Reads::fields(
                boxed(&["k", "l"]),
                &wanted(&["a", "bb", "c"], RowRead::Hmget),
            ),
        ];
        let lines = ["GET long key", "HGETALL ", "HMGET l a bb c"];
        for (reads, line) in all.iter().zip(lines) {
            let cmd = reads.command(1);
            let words = cmd.args_iter().map(|arg| match arg {
                redis::Arg::Simple(word) => String::from_utf8(word.to_vec()).unwrap(),
                _ => panic!("no other kind"),
            });
            assert_eq!(words.collect::<Vec<_>>().join(" "), line);
            let mut written = Vec::new();
            reads.write(1, &mut written);
            assert_eq!(written, cmd.get_packed_command());
            let packed = written.len();
            assert!(
                (packed..packed + 40).contains(&reads.size(1)),
                "{} for {packed}",
                reads.size(1)
            );
        }
    }

    #[test]
    fn both_ways_to_read_a_row_give_the_same() {
        let pairs = [("b", "2"), ("x", "9"), ("a", "1")];
        let map = Value::Map(pairs.map(|(name, value)| (bulk(name), bulk(value))).into());
        let flat = pairs
            .iter()
            .flat_map(|(name, value)| [bulk(name), bulk(value)]);
        let flat = Value::Array(flat.collect());
        let list = Value::Array(vec![bulk("1"), Value::Nil, bulk("2"), bulk("1")]);
        let names = ["a", "none", "b", "a"];
        let (some, all) = (
            wanted(&names, RowRead::Hmget),
            wanted(&names, RowRead::Hgetall),
        );
        let expected = Some(vec![Some(1), None, Some(2), Some(1)]);
        assert_eq!(some.values::<i32>(list.clone()).unwrap(), expected);
        assert_eq!(all.values::<i32>(map.clone()).unwrap(), expected);
        assert_eq!(all.values::<i32>(flat.clone()).unwrap(), expected);
        let expected = HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        for (wanted, answer) in [(some, list), (all, map)] {
            let map: Option<HashMap<String, i32>> = wanted.map(answer).unwrap();
            assert_eq!(map.as_ref(), Some(&expected));
        }
        // In RESP2 as many values as names are wanted look like the answer to HMGET.
        let two = wanted(&["a", "b"], RowRead::Hgetall);
        let answer = Value::Array(vec![bulk("b"), bulk("2")]);
        assert_eq!(
            two.values::<i32>(answer).unwrap(),
            Some(vec![None, Some(2)])
        );
    }

    #[test]
    fn a_row_without_any_of_the_fields_is_none() {
        let nothing = [
            (RowRead::Hmget, Value::Array(vec![Value::Nil])),
            (RowRead::Hgetall, Value::Map(vec![])),
            (RowRead::Hgetall, Value::Array(vec![bulk("b"), bulk("2")])),
        ];
        for (how, answer) in nothing {
            let wanted = wanted(&["a"], how);
            assert_eq!(wanted.values::<i32>(answer.clone()).unwrap(), None);
            assert_eq!(wanted.map::<HashMap<String, i32>>(answer).unwrap(), None);
        }
        for answer in [Value::Map(vec![]), Value::Array(vec![])] {
            assert_eq!(row::<HashMap<String, i32>>(answer).unwrap(), None);
        }
        assert_eq!(string::<i32>(Value::Nil).unwrap(), None);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let wanted = wanted(&["a", "b"], RowRead::Hmget);
        for answer in [Value::Nil, Value::Array(vec![bulk("1")]), Value::Okay] {
            assert!(wanted.values::<i32>(answer).is_err());
        }
        let words = Value::Array(vec![bulk("1"), bulk("word")]);
        assert!(wanted.values::<i32>(words).is_err());
        assert!(string::<i32>(bulk("word")).is_err());
    }

    #[test]
    fn whole_rows_are_read_where_most_fields_are_wanted() {
        let from = |fields_per_row| {
            let takes_all = |wanted: &usize| RowRead::Compact { fields_per_row }.takes_all(*wanted);
            (1..).find(takes_all).unwrap()
        };
        assert_eq!([1, 6, 24, 96, 480].map(from), [1, 5, 11, 17, 20]);
        assert_eq!(from(0), 1);
        assert!(
            !RowRead::Compact {
                fields_per_row: usize::MAX
            }
            .takes_all(0)
        );
        assert!(RowRead::Hgetall.takes_all(1) && !RowRead::Hmget.takes_all(1_000));
    }
}

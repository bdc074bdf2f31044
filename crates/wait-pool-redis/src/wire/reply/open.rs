//! Arrays and the like whose elements are coming.

use redis::{PushKind, RedisResult, Value};

use super::{broken, plain};

/// How much is reserved before elements have come: no more than so many, and fewer the deeper.
const RESERVE: usize = 1024;
/// As small as an element can be.
const SMALLEST: usize = b"_\r\n".len();

/// An aggregate, and how many values it lacks.
#[derive(Debug)]
pub(super) struct Open {
    lacks: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Array(Vec<Value>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Map(Pairs),
    /// The value that the attributes are of comes behind them.
    Attribute(Pairs),
}

#[derive(Debug)]
struct Pairs {
    whole: Vec<(Value, Value)>,
    /// What has no partner yet.
    odd: Option<Value>,
}

/// How many elements may be reserved at once, with so many bytes at hand and so many aggregates open.
pub(super) fn room(bytes: usize, depth: usize) -> usize {
    (bytes / SMALLEST).max(16).min(RESERVE / (depth + 1))
}

pub(super) fn empty_push() -> Value {
    Value::Push {
        kind: PushKind::Other(String::new()),
        data: Vec::new(),
    }
}

impl Open {
    pub(super) fn new(kind: u8, count: usize, room: usize) -> RedisResult<Self> {
        let room = count.min(room);
        let items = || Vec::with_capacity(room);
        let pairs = || Pairs {
            whole: Vec::with_capacity(room),
            odd: None,
        };
        let (lacks, shape) = match kind {
            b'*' => (count, Shape::Array(items())),
            b'~' => (count, Shape::Set(items())),
            b'>' => (count, Shape::Push(items())),
            b'%' => (count * 2, Shape::Map(pairs())),
            b'|' => (count * 2 + 1, Shape::Attribute(pairs())),
            _ => return Err(broken("elements of what has none")),
        };
        Ok(Self { lacks, shape })
    }

    pub(super) fn is_full(&self) -> bool {
        self.lacks == 0
    }

    /// Takes the next element.
    pub(super) fn add(&mut self, value: Value) {
        match &mut self.shape {
            Shape::Array(items) | Shape::Set(items) | Shape::Push(items) => {
                push(items, value, self.lacks);
            }
            Shape::Map(pairs) | Shape::Attribute(pairs) => pairs.add(value, self.lacks),
        }
        self.lacks -= 1;
    }

    /// Takes all plain elements at the front of `input`.
    pub(super) fn fill(&mut self, input: &mut &[u8]) {
        match &mut self.shape {
            Shape::Array(items) | Shape::Set(items) | Shape::Push(items) => {
                while self.lacks > 0
                    && let Some(value) = plain::value(input)
                {
                    push(items, value, self.lacks);
                    self.lacks -= 1;
                }
            }
            Shape::Map(pairs) | Shape::Attribute(pairs) => {
                while self.lacks > 0
                    && let Some(value) = plain::value(input)
                {
                    pairs.add(value, self.lacks);
                    self.lacks -= 1;
                }
            }
        }
    }

    /// The value of a full one.
    pub(super) fn close(self) -> RedisResult<Value> {
        Ok(match self.shape {
            Shape::Array(items) => Value::Array(items),
            Shape::Set(items) => Value::Set(items),
            Shape::Push(items) => return push_message(items),
            Shape::Map(pairs) => Value::Map(pairs.whole),
            Shape::Attribute(pairs) => Value::Attribute {
                data: Box::new(pairs.odd.unwrap_or_default()),
                attributes: pairs.whole,
            },
        })
    }
}

impl Pairs {
    #[inline]
    fn add(&mut self, value: Value, lacks: usize) {
        match self.odd.take() {
            Some(key) => push(&mut self.whole, (key, value), lacks.div_ceil(2)),
            None => self.odd = Some(value),
        }
    }
}

/// Grows by what there is, like any `Vec`, but never to more than it will hold.
#[inline]
fn push<T>(items: &mut Vec<T>, item: T, lacks: usize) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len().max(16).min(lacks));
    }
    items.push(item);
}

fn push_message(mut items: Vec<Value>) -> RedisResult<Value> {
    let data = items.split_off(1.min(items.len()));
    let kind = match items.pop() {
        Some(Value::BulkString(kind)) => {
            String::from_utf8(kind).map_err(|_| broken("a push whose kind is no UTF-8"))?
        }
        Some(Value::SimpleString(kind)) => kind,
        _ => return Err(broken("a push of no kind")),
    };
    let kind = match kind.as_str() {
        "invalidate" => PushKind::Invalidate,
        "message" => PushKind::Message,
        "pmessage" => PushKind::PMessage,
        "smessage" => PushKind::SMessage,
        "unsubscribe" => PushKind::Unsubscribe,
        "punsubscribe" => PushKind::PUnsubscribe,
        "sunsubscribe" => PushKind::SUnsubscribe,
        "subscribe" => PushKind::Subscribe,
        "psubscribe" => PushKind::PSubscribe,
        "ssubscribe" => PushKind::SSubscribe,
        _ => PushKind::Other(kind),
    };
    Ok(Value::Push { kind, data })
}

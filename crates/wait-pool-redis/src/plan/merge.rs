//! Several answers to one command, made one.

use redis::Value;

use crate::error::Failure;
use crate::keys::ResponsePolicy;
use crate::node::NodeAddr;

use super::cut::{Cuts, Shares};
use super::scan::Scan;

/// How the answers to a command's pieces become the answer to the command.
#[derive(Clone, Debug)]
pub(crate) enum Merge {
    /// Each answer is a list; its items belong to these keys.
    Keys(Shares),
    /// All lists become one.
    Concat,
    /// Which node said what.
    Nodes(Vec<NodeAddr>),
    /// Any of those that are not nil.
    SomeKey,
    /// As the policy says.
    Policy(ResponsePolicy),
    /// A scan's next cursor is made the cluster's.
    Scan(Scan),
}

type Answered = Result<Value, Failure>;

impl Merge {
    /// How the answers to a command's cuts come together.
    pub(crate) fn of_cuts(response: ResponsePolicy, cuts: &Cuts<'_>) -> Self {
        match response {
            ResponsePolicy::Default => Self::Keys(cuts.shares().clone()),
            policy => Self::Policy(policy),
        }
    }

    /// Whether the answers that are there are enough.
    pub(crate) fn is_settled(&self, answers: &[Option<Answered>]) -> bool {
        let first_is_enough = matches!(self, Self::Policy(ResponsePolicy::OneSucceeded));
        let succeeded = |answer: &Option<Answered>| answer.as_ref().is_some_and(is_success);
        (first_is_enough && answers.iter().any(succeeded)) || answers.iter().all(Option::is_some)
    }

    /// Makes one answer. An error among the answers is the answer, and so is the lack of one, except where
    /// one success is enough.
    pub(crate) fn merge(self, answers: Vec<Option<Answered>>) -> Answered {
        if let Self::Policy(ResponsePolicy::OneSucceeded) = self {
            return one(answers);
        }
        // Nobody was asked: not even an empty list is known to be right.
        if answers.is_empty() {
            return Err(Failure::unserved());
        }
        match all(answers) {
            Ok(values) => self.merge_values(values),
            Err(error) => error,
        }
    }

    /// Makes one answer of those of all pieces, none of which is an error.
    pub(crate) fn merge_values(self, values: Vec<Value>) -> Answered {
        // What a server says beside its answer belongs to none of the others.
        let values = values.into_iter().map(|value| match value {
            Value::Attribute { data, .. } => *data,
            value => value,
        });
        let values: Vec<_> = values.collect();
        Ok(match self {
            Self::Keys(shares) => by_keys(values, &shares)?,
            Self::Concat => Value::Array(items(values)?),
            Self::Nodes(nodes) => {
                let names = nodes
                    .iter()
                    .map(|node| Value::BulkString(node.to_string().into()));
                Value::Map(names.zip(values).collect())
            }
            Self::SomeKey => some_key(values),
            Self::Scan(scan) => scan
                .onward(first(values))
                .ok_or_else(Failure::unmergeable)?,
            Self::Policy(policy) => by_policy(values, policy)?,
        })
    }
}

/// The first that succeeded, else the first error.
fn one(answers: Vec<Option<Answered>>) -> Answered {
    let mut first_error = None;
    for answer in answers.into_iter().flatten() {
        if is_success(&answer) {
            return answer;
        }
        first_error.get_or_insert(answer);
    }
    // Nobody was asked.
    first_error.unwrap_or_else(|| Err(Failure::unserved()))
}

/// All values, or the first error.
fn all(answers: Vec<Option<Answered>>) -> Result<Vec<Value>, Answered> {
    let mut values = Vec::with_capacity(answers.len());
    for answer in answers {
        // Nobody was asked.
        let answer = answer.unwrap_or_else(|| Err(Failure::unserved()));
        match answer {
            Ok(Value::ServerError(_)) | Err(_) => return Err(answer),
            Ok(value) => values.push(value),
        }
    }
    Ok(values)
}

const fn is_success(answer: &Answered) -> bool {
    !matches!(answer, Ok(Value::ServerError(_)) | Err(_))
}

fn first(values: Vec<Value>) -> Value {
    values.into_iter().next().unwrap_or_default()
}

fn by_keys(values: Vec<Value>, shares: &Shares) -> Answered {
    let mut merged = vec![Value::Nil; shares.keys()];
    for (cut, value) in values.into_iter().enumerate() {
        let keys = shares.of(cut);
        let Value::Array(items) = value else {
            return Err(Failure::unmergeable());
        };
        // A list of another length would give keys the values of others.
        if items.len() != keys.len() {
            return Err(Failure::unmergeable());
        }
        for (item, &key) in items.into_iter().zip(keys) {
            merged[key as usize] = item;
        }
    }
    Ok(Value::Array(merged))
}

fn items(values: Vec<Value>) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for value in values {
        match value {
            Value::Array(items) | Value::Set(items) => all.extend(items),
            _ => return Err(Failure::unmergeable()),
        }
    }
    Ok(all)
}

fn some_key(values: Vec<Value>) -> Value {
    let mut keys: Vec<_> = values
        .into_iter()
        .filter(|value| *value != Value::Nil)
        .collect();
    match keys.len() {
        0 => Value::Nil,
        count => keys.swap_remove(fastrand::usize(..count)),
    }
}

fn by_policy(values: Vec<Value>, policy: ResponsePolicy) -> Answered {
    let combine: fn(i64, i64) -> i64 = match policy {
        ResponsePolicy::AggSum => i64::saturating_add,
        ResponsePolicy::AggMin => i64::min,
        ResponsePolicy::AggMax => i64::max,
        ResponsePolicy::AggLogicalAnd => |a, b| i64::from(a != 0 && b != 0),
        ResponsePolicy::AggLogicalOr => |a, b| i64::from(a != 0 || b != 0),
        _ => return Ok(first(values)),
    };
    let mut values = values.into_iter().map(number);
    let mut total = values.next().unwrap_or_default();
    for value in values {
        total = aggregate(total, value, combine)?;
    }
    match total {
        Value::Int(_) | Value::Array(_) => Ok(total),
        _ => Err(Failure::unmergeable()),
    }
}

/// In RESP3 some modules say true and false where they say 1 and 0 in RESP2.
fn number(value: Value) -> Value {
    match value {
        Value::Boolean(yes) => Value::Int(i64::from(yes)),
        Value::Array(items) => Value::Array(items.into_iter().map(number).collect()),
        value => value,
    }
}

/// Numbers one with one, lists item by item.
fn aggregate(a: Value, b: Value, combine: fn(i64, i64) -> i64) -> Answered {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(combine(a, b))),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.into_iter().zip(b);
            let items = pairs.map(|(a, b)| aggregate(a, b, combine));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        _ => Err(Failure::unmergeable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn ints(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().copied().map(Value::Int).collect())
    }

    fn shares(of_cuts: &[&[u32]]) -> Shares {
        let mut shares = Shares::default();
        for of_cut in of_cuts {
            shares.push(of_cut.iter().copied());
        }
        shares
    }

    fn error(code: &str) -> Value {
        redis::parse_redis_value(format!("-{code} no\r\n").as_bytes()).unwrap()
    }

    fn merged(merge: Merge, values: impl IntoIterator<Item = Value>) -> Value {
        merge
            .merge(values.into_iter().map(|value| Some(Ok(value))).collect())
            .unwrap()
    }

    #[test]
    fn every_key_gets_its_own_value() {
        let merge = || Merge::Keys(shares(&[&[0, 3], &[2, 1]]));
        let lists = [ints(&[10, 13]), ints(&[12, 11])];
        assert_eq!(merged(merge(), lists), ints(&[10, 11, 12, 13]));
        for wrong in [ints(&[1]), ints(&[1, 2, 3]), Value::Nil] {
            let answers = vec![Some(Ok(ints(&[10, 13]))), Some(Ok(wrong))];
            assert!(merge().merge(answers).is_err());
        }
    }

    #[test]
    fn numbers_and_lists_are_aggregated() {
        use ResponsePolicy as Policy;
        for (policy, expected) in [
            (Policy::AggSum, 5),
            (Policy::AggMin, 0),
            (Policy::AggMax, 3),
            (Policy::AggLogicalAnd, 0),
            (Policy::AggLogicalOr, 1),
        ] {
            let numbers = [2, 3, 0].map(Value::Int);
            let total = merged(Merge::Policy(policy), numbers);
            assert_eq!(total, Value::Int(expected), "{policy:?}");
        }
        let and = Merge::Policy(Policy::AggLogicalAnd);
        let lists = [ints(&[1, 1, 0]), ints(&[1, 0, 1])];
        assert_eq!(merged(and, lists), ints(&[1, 0, 0]));
        let wrong = vec![Some(Ok(Value::Int(1))), Some(Ok(Value::Okay))];
        assert!(Merge::Policy(Policy::AggSum).merge(wrong).is_err());
    }

    #[test]
    fn what_resp3_adds_is_understood() {
        let attribute = |data| Value::Attribute {
            data: Box::new(data),
            attributes: vec![(text("ttl"), Value::Int(1))],
        };
        let merge = Merge::Keys(shares(&[&[1], &[0]]));
        let lists = [attribute(ints(&[11])), ints(&[10])];
        assert_eq!(merged(merge, lists), ints(&[10, 11]));
        let sets = [Value::Set(vec![Value::Int(1)]), attribute(ints(&[2]))];
        assert_eq!(merged(Merge::Concat, sets), ints(&[1, 2]));
        let and = || Merge::Policy(ResponsePolicy::AggLogicalAnd);
        let told = [true, false].map(Value::Boolean);
        assert_eq!(merged(and(), told), Value::Int(0));
        let lists = [[true, false], [true, true]];
        let lists = lists.map(|told| Value::Array(told.map(Value::Boolean).into()));
        assert_eq!(merged(and(), lists), ints(&[1, 0]));
    }

    #[test]
    fn nobodys_answer_is_no_answer() {
        for merge in [
            Merge::Concat,
            Merge::Nodes(Vec::new()),
            Merge::Policy(ResponsePolicy::AllSucceeded),
            Merge::Policy(ResponsePolicy::OneSucceeded),
        ] {
            assert!(merge.clone().merge(Vec::new()).is_err(), "{merge:?}");
        }
    }

    #[test]
    fn lists_are_joined_and_nodes_named() {
        let lists = [ints(&[1]), ints(&[]), ints(&[2, 3])];
        assert_eq!(merged(Merge::Concat, lists), ints(&[1, 2, 3]));
        let nodes = vec![NodeAddr::new("a", 1), NodeAddr::new("b", 2)];
        let map = merged(Merge::Nodes(nodes), [text("x"), text("y")]);
        let expected = [(text("a:1"), text("x")), (text("b:2"), text("y"))];
        assert_eq!(map, Value::Map(expected.into()));
        let some = merged(Merge::SomeKey, [Value::Nil, text("k")]);
        assert_eq!(some, text("k"));
    }

    #[test]
    fn an_error_stands_unless_one_success_is_enough() {
        let answers = || vec![Some(Ok(error("BUSY"))), Some(Ok(Value::Okay)), None];
        let all = Merge::Policy(ResponsePolicy::AllSucceeded).merge(answers());
        assert_eq!(all.unwrap(), error("BUSY"));
        assert!(!Merge::Policy(ResponsePolicy::AllSucceeded).is_settled(&answers()));
        assert!(Merge::Policy(ResponsePolicy::OneSucceeded).is_settled(&answers()));
        let one = Merge::Policy(ResponsePolicy::OneSucceeded).merge(answers());
        assert_eq!(one.unwrap(), Value::Okay);
        let none = vec![Some(Err(Failure::unserved())), Some(Ok(error("NOTBUSY")))];
        let none = Merge::Policy(ResponsePolicy::OneSucceeded).merge(none);
        assert!(none.is_err());
    }
}

//! How the commands of a batch are spread over the shards, and how their answers come together.

use redis::{Cmd, RedisResult, Value};

use crate::error::Failure;
use crate::route::{Route, Routed};
use crate::slot::Slot;

/// One command of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Where its answer goes.
    pub(crate) position: usize,
    pub(crate) cmd: &'a Cmd,
    pub(crate) routed: Routed,
}

/// Items that travel together, in the order of the batch.
#[derive(Debug)]
pub(crate) struct Part<'a, T> {
    pub(crate) target: T,
    pub(crate) items: Vec<Item<'a>>,
}

/// Groups items by where they go. The groups stand in the order of their first items, and items
/// of one group, thus all that share a key, keep their order.
pub(crate) fn group<'a, T: PartialEq>(
    items: impl IntoIterator<Item = (T, Item<'a>)>,
) -> Vec<Part<'a, T>> {
    let mut parts: Vec<Part<'a, T>> = Vec::new();
    for (target, item) in items {
        match parts.iter_mut().find(|part| part.target == target) {
            Some(part) => part.items.push(item),
            None => parts.push(Part {
                target,
                items: vec![item],
            }),
        }
    }
    parts
}

/// The one slot that all keys of a batch fall into; `None` for a batch without keys.
pub(crate) fn common_slot<'a>(
    items: impl IntoIterator<Item = &'a Item<'a>>,
) -> Result<Option<Slot>, CrossSlot> {
    let mut common = None;
    for item in items {
        let Route::Slot(slot) = item.routed.route else {
            continue;
        };
        if *common.get_or_insert(slot) != slot {
            return Err(CrossSlot);
        }
    }
    Ok(common)
}

/// The keys of what has to stay together fall into several slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossSlot;

/// The answers to a batch, each at the position of its command.
#[derive(Debug)]
pub(crate) struct Answers(Vec<Answer>);

#[derive(Debug)]
struct Answer {
    /// How many nodes have yet to answer.
    missing: usize,
    /// What those who have answered said: an error of one of them stands.
    so_far: Option<Result<Value, Failure>>,
}

impl Answers {
    pub(crate) fn new(count: usize) -> Self {
        let unasked = || Answer {
            missing: 0,
            so_far: None,
        };
        Self(std::iter::repeat_with(unasked).take(count).collect())
    }

    /// One more node is asked for this position.
    pub(crate) fn expect(&mut self, position: usize) {
        self.0[position].missing += 1;
    }

    /// A node has answered.
    pub(crate) fn put(&mut self, position: usize, answer: Result<Value, Failure>) {
        let Answer { missing, so_far } = &mut self.0[position];
        *missing = missing.saturating_sub(1);
        if !matches!(so_far, Some(Err(_) | Ok(Value::ServerError(_)))) {
            *so_far = Some(answer);
        }
    }

    /// Those who have not answered this position will not.
    pub(crate) fn fill(&mut self, position: usize, failure: impl FnOnce() -> Failure) {
        if self.0[position].missing > 0 {
            self.put(position, Err(failure()));
        }
    }

    /// What became of each command, in the order of the commands.
    pub(crate) fn into_results(self) -> Vec<Result<Value, Failure>> {
        let result = |answer: Answer| match answer.so_far {
            Some(result) => result,
            // Nobody was asked.
            None => Err(Failure::unserved()),
        };
        self.0.into_iter().map(result).collect()
    }

    /// The values in the order of the commands.
    ///
    /// # Errors
    ///
    /// The first error if no position has an answer of a server. Where some have, an error is the
    /// value of its position.
    pub(crate) fn into_values(self) -> RedisResult<Vec<Value>> {
        let answered = |answer: &Answer| matches!(answer.so_far, Some(Ok(_)));
        if let Some(Some(Err(first))) = self.0.first().map(|answer| &answer.so_far)
            && !self.0.iter().any(answered)
        {
            return Err(first.error.clone());
        }
        let value = |answer: Answer| match answer.so_far {
            Some(Ok(value)) => value,
            Some(Err(failure)) => failure.into_position(),
            // Nobody was asked.
            None => Failure::unserved().into_position(),
        };
        Ok(self.0.into_iter().map(value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route;

    fn commands(words: &[&str]) -> Vec<Cmd> {
        let split = |words: &&str| {
            let mut cmd = Cmd::new();
            for word in words.split(' ') {
                cmd.arg(word);
            }
            cmd
        };
        words.iter().map(split).collect()
    }

    fn items(commands: &[Cmd]) -> Vec<Item<'_>> {
        let item = |(position, cmd)| Item {
            position,
            cmd,
            routed: route::route(cmd).unwrap(),
        };
        commands.iter().enumerate().map(item).collect()
    }

    fn positions<T>(parts: &[Part<'_, T>]) -> Vec<Vec<usize>> {
        let of = |part: &Part<'_, T>| part.items.iter().map(|item| item.position).collect();
        parts.iter().map(of).collect()
    }

    #[test]
    fn every_command_is_in_one_part_and_parts_keep_the_order() {
        let commands = commands(&[
            "GET {a}1",
            "GET {b}1",
            "SET {a}2 x",
            "PING",
            "GET {b}2",
            "GET {a}1",
        ]);
        let slot_or_any = |item: Item<'_>| (item.routed.route, item).0;
        let parts = group(
            items(&commands)
                .into_iter()
                .map(|item| (slot_or_any(item), item)),
        );
        assert_eq!(positions(&parts), [vec![0, 2, 5], vec![1, 4], vec![3]]);
    }

    #[test]
    fn a_common_slot_is_found_or_refused() {
        let slot = |words: &[&str]| {
            let commands = commands(words);
            common_slot(&items(&commands))
        };
        assert_eq!(
            slot(&["GET {a}1", "PING", "SET {a}2 x"]),
            Ok(Some(Slot::of(b"a")))
        );
        assert_eq!(slot(&["PING"]), Ok(None));
        assert_eq!(slot(&["GET a", "GET b"]), Err(CrossSlot));
    }

    /// One node each is asked for so many positions.
    fn asked(count: usize) -> Answers {
        let mut answers = Answers::new(count);
        (0..count).for_each(|position| answers.expect(position));
        answers
    }

    fn late() -> Failure {
        Failure::late("late".into())
    }

    #[test]
    fn answers_come_in_the_order_of_the_commands() {
        let mut answers = asked(3);
        answers.put(2, Ok(Value::Int(2)));
        answers.put(0, Ok(Value::Int(0)));
        answers.put(1, Ok(Value::Int(1)));
        let values = answers.into_values().unwrap();
        assert_eq!(values, [Value::Int(0), Value::Int(1), Value::Int(2)]);
    }

    #[test]
    fn an_error_stands_at_its_position_unless_there_is_nothing_else() {
        let mut some = asked(2);
        some.put(1, Ok(Value::Nil));
        some.fill(0, late);
        some.fill(1, late);
        let values = some.into_values().unwrap();
        assert!(matches!(&values[0], Value::ServerError(error) if error.code() == "TIMEOUT"));
        assert_eq!(values[1], Value::Nil);

        let mut none = asked(2);
        none.fill(0, late);
        none.fill(1, late);
        assert!(none.into_values().unwrap_err().is_timeout());
    }

    #[test]
    fn of_several_answers_to_one_command_an_error_stands() {
        let mut answers = Answers::new(1);
        (0..3).for_each(|_| answers.expect(0));
        answers.put(0, Ok(Value::Okay));
        answers.put(0, Err(late()));
        answers.put(0, Ok(Value::Okay));
        assert!(answers.into_values().unwrap_err().is_timeout());
    }

    #[test]
    fn an_answer_that_one_of_several_nodes_still_owes_is_none() {
        let mut answers = Answers::new(1);
        (0..2).for_each(|_| answers.expect(0));
        answers.put(0, Ok(Value::Okay));
        answers.fill(0, late);
        assert!(answers.into_values().unwrap_err().is_timeout());
    }

    #[test]
    fn a_position_that_nobody_was_asked_for_says_so() {
        let values = Answers::new(1).into_values().unwrap();
        assert!(matches!(&values[0], Value::ServerError(error) if error.code() == "CLUSTERDOWN"));
    }

    #[test]
    fn no_commands_have_no_answers() {
        assert_eq!(Answers::new(0).into_values().unwrap(), []);
    }
}

//! The answers to a batch, each at the position of its command.

use redis::{RedisResult, Value};

use super::merge::Merge;
use crate::error::Failure;

/// The answers that have come so far.
#[derive(Debug)]
pub(crate) struct Answers(Vec<Answer>);

#[derive(Debug)]
enum Answer {
    One(Option<Answered>),
    /// One of each piece, and what they make.
    Many(Merge, Vec<Option<Answered>>),
}

type Answered = Result<Value, Failure>;

impl Answers {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Answer::One(None)).collect())
    }

    /// So many pieces make the answer of this position.
    pub(crate) fn split(&mut self, position: usize, merge: Merge, pieces: usize) {
        self.0[position] = Answer::Many(merge, (0..pieces).map(|_| None).collect());
    }

    /// A node has answered a piece.
    pub(crate) fn put(&mut self, position: usize, place: usize, answer: Answered) {
        match &mut self.0[position] {
            Answer::One(one) => *one = Some(answer),
            Answer::Many(_, many) => many[place] = Some(answer),
        }
    }

    /// Whether a piece has no answer yet.
    pub(crate) fn lacks(&self, position: usize, place: usize) -> bool {
        match &self.0[position] {
            Answer::One(one) => one.is_none(),
            Answer::Many(_, many) => many.get(place).is_some_and(Option::is_none),
        }
    }

    /// Whether no answer that may still come would change anything.
    pub(crate) fn are_settled(&self) -> bool {
        self.0.iter().all(|answer| match answer {
            Answer::One(one) => one.is_some(),
            Answer::Many(merge, many) => merge.is_settled(many),
        })
    }

    /// What each position has, in the order of the commands.
    pub(crate) fn into_positions(self) -> impl ExactSizeIterator<Item = Answered> {
        // Nobody was asked.
        let unserved = || Err(Failure::unserved());
        self.0.into_iter().map(move |answer| match answer {
            Answer::One(one) => one.unwrap_or_else(unserved),
            Answer::Many(merge, many) => merge.merge(many),
        })
    }

    /// The values in the order of the commands.
    ///
    /// # Errors
    ///
    /// As [`values`].
    pub(crate) fn into_values(self) -> RedisResult<Vec<Value>> {
        values(self.into_positions().collect())
    }
}

/// The values of positions.
///
/// # Errors
///
/// The first error if no position has an answer of a server. Where some have, an error is the
/// value of its position.
pub(crate) fn values(positions: Vec<Result<Value, Failure>>) -> RedisResult<Vec<Value>> {
    if let Some(Err(first)) = positions.first()
        && positions.iter().all(Result::is_err)
    {
        return Err(first.error.clone());
    }
    let value = |answer: Answered| answer.unwrap_or_else(Failure::into_position);
    Ok(positions.into_iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ResponsePolicy;

    fn late() -> Failure {
        Failure::late("late".into())
    }

    #[test]
    fn answers_come_in_the_order_of_the_commands() {
        let mut answers = Answers::new(3);
        answers.put(2, 0, Ok(Value::Int(2)));
        answers.put(0, 0, Ok(Value::Int(0)));
        assert!(answers.lacks(1, 0) && !answers.lacks(2, 0));
        answers.put(1, 0, Ok(Value::Int(1)));
        let values = answers.into_values().unwrap();
        assert_eq!(values, [Value::Int(0), Value::Int(1), Value::Int(2)]);
    }

    #[test]
    fn an_error_stands_at_its_position_unless_there_is_nothing_else() {
        let mut some = Answers::new(2);
        some.put(1, 0, Ok(Value::Nil));
        some.put(0, 0, Err(late()));
        let values = some.into_values().unwrap();
        assert!(matches!(&values[0], Value::ServerError(error) if error.code() == "TIMEOUT"));
        assert_eq!(values[1], Value::Nil);

        let mut none = Answers::new(2);
        none.put(0, 0, Err(late()));
        none.put(1, 0, Err(late()));
        assert!(none.into_values().unwrap_err().is_timeout());
    }

    #[test]
    fn pieces_become_one_answer_and_a_missing_one_is_missed() {
        let sum = || Merge::Policy(ResponsePolicy::AggSum);
        let mut answers = Answers::new(2);
        answers.split(0, sum(), 2);
        answers.put(0, 1, Ok(Value::Int(2)));
        answers.put(0, 0, Ok(Value::Int(3)));
        answers.split(1, sum(), 2);
        answers.put(1, 0, Ok(Value::Int(3)));
        assert!(answers.lacks(1, 1) && !answers.lacks(1, 2));
        let values = answers.into_values().unwrap();
        assert_eq!(values[0], Value::Int(5));
        assert!(matches!(&values[1], Value::ServerError(_)));
    }

    #[test]
    fn a_position_that_nobody_was_asked_for_says_so() {
        let mut answers = Answers::new(2);
        answers.put(0, 0, Ok(Value::Okay));
        let values = answers.into_values().unwrap();
        assert!(matches!(&values[1], Value::ServerError(error) if error.code() == "CLUSTERDOWN"));
    }

    #[test]
    fn no_commands_have_no_answers() {
        assert_eq!(Answers::new(0).into_values().unwrap(), []);
    }
}

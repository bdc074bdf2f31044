//! Where a command's keys are: the server's key specifications, applied to one command.
//!
//! A specification has two steps, as the server's documentation names them: where to begin (at a position, or
//! after a keyword) and how to go on from there (over a range, or as often as a number says). Each gives one
//! run of positions. Commands come from outside: positions that a command doesn't have are cut off, numbers
//! that are none give no keys.

use redis::Cmd;

use super::irregular;
use super::name::args;

/// One key specification of a command.
#[derive(Clone, Debug)]
pub(super) enum KeySpec {
    /// From the begin to `last`, every `step`th. Where `last` is negative it counts from the command's end,
    /// or, with a `limit` over 1, from the end of that part (2: the first half) of what is left.
    Range {
        begin: Begin,
        last: isize,
        step: usize,
        limit: usize,
    },
    /// As many as the argument `count` says, from `first` on, every `step`th; both counted from the begin.
    KeyNum {
        begin: Begin,
        count: usize,
        first: usize,
        step: usize,
    },
    /// More than the server can put into a specification: see [`irregular`].
    Unknown,
}

/// Where a key specification begins.
#[derive(Clone, Debug)]
pub(super) enum Begin {
    /// At this position.
    At(usize),
    /// Behind this word, searched for from that position on, or backwards from a negative one, which counts
    /// from the end.
    After(&'static str, isize),
}

/// One key at `position`.
pub(super) const fn key(position: usize) -> KeySpec {
    range(Begin::At(position), 0, 1, 0)
}

pub(super) const fn range(begin: Begin, last: isize, step: usize, limit: usize) -> KeySpec {
    KeySpec::Range {
        begin,
        last,
        step,
        limit,
    }
}

pub(super) const fn keynum(begin: Begin, count: usize, first: usize, step: usize) -> KeySpec {
    KeySpec::KeyNum {
        begin,
        count,
        first,
        step,
    }
}

/// Positions `first`, `first + step`, … up to `last`, which is below the number of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    first: usize,
    last: usize,
    step: usize,
}

impl Run {
    const NONE: Self = Self {
        first: 1,
        last: 0,
        step: 1,
    };

    pub(super) const fn one(position: usize) -> Self {
        Self {
            first: position,
            last: position,
            step: 1,
        }
    }

    /// From `first` to the last argument of `cmd`.
    pub(super) fn up_to_the_end(first: usize, cmd: &Cmd) -> Self {
        Self {
            first,
            last: args(cmd).len() - 1,
            step: 1,
        }
    }

    const fn contains(&self, position: usize) -> bool {
        self.first <= position
            && position <= self.last
            && (position - self.first).is_multiple_of(self.step)
    }
}

/// All the places where a command has keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs([Run; Self::MOST]);

impl Runs {
    /// No command has more specifications; a test sees to it.
    pub(super) const MOST: usize = 3;

    pub(super) fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        let mut all = [Run::NONE; Self::MOST];
        for (place, run) in all.iter_mut().zip(runs) {
            *place = run;
        }
        Self(all)
    }

    /// The position behind the last key.
    pub(super) fn end(&self) -> usize {
        let ends = self.0.iter().filter(|run| run.first <= run.last);
        ends.map(|run| run.last + 1).max().unwrap_or(0)
    }

    pub(super) fn contain(&self, position: usize) -> bool {
        self.0.iter().any(|run| run.contains(position))
    }
}

/// Where `cmd`, which has this name and these specifications, has its keys.
pub(super) fn runs(name: &str, specs: &[KeySpec], cmd: &Cmd) -> Runs {
    if specs.iter().any(|spec| matches!(spec, KeySpec::Unknown))
        && let Some(runs) = irregular::runs(name, cmd)
    {
        return runs;
    }
    Runs::new(specs.iter().filter_map(|spec| spec.run(cmd)))
}

impl KeySpec {
    fn run(&self, cmd: &Cmd) -> Option<Run> {
        let len = args(cmd).len();
        let (first, last, step) = match self {
            Self::Range {
                begin,
                last,
                step,
                limit,
            } => {
                let first = begin.position(cmd)?;
                (first, range_end(first, *last, *limit, len)?, *step)
            }
            Self::KeyNum {
                begin,
                count,
                first,
                step,
            } => {
                let begin = begin.position(cmd)?;
                let count = number(args(cmd).nth(begin.checked_add(*count)?)?)?;
                let first = begin.checked_add(*first)?;
                (
                    first,
                    first.saturating_add(count.checked_sub(1)?.saturating_mul(*step)),
                    *step,
                )
            }
            Self::Unknown => return None,
        };
        let last = last.min(len.checked_sub(1)?);
        (first <= last).then_some(Run {
            first,
            last,
            step: step.max(1),
        })
    }
}

impl Begin {
    fn position(&self, cmd: &Cmd) -> Option<usize> {
        let (word, from) = match self {
            Self::At(position) => return Some(*position),
            Self::After(word, from) => (word.as_bytes(), *from),
        };
        let is_word = |&(_, arg): &(usize, &[u8])| arg.eq_ignore_ascii_case(word);
        let mut numbered = args(cmd).enumerate();
        let found = if from < 0 {
            // The name itself is no keyword.
            let candidates = numbered.len().checked_add_signed(from)?.checked_add(1)?;
            numbered.take(candidates).skip(1).filter(is_word).last()
        } else {
            numbered.find(|arg| arg.0 >= from.unsigned_abs() && is_word(arg))
        };
        found.map(|(position, _)| position + 1)
    }
}

/// The last position of a range that begins at `first` in a command of `len` words.
fn range_end(first: usize, last: isize, limit: usize, len: usize) -> Option<usize> {
    if last >= 0 {
        first.checked_add_signed(last)
    } else if limit > 1 {
        let part = len.checked_sub(first)? / limit;
        first.checked_add(part)?.checked_add_signed(last)
    } else {
        len.checked_add_signed(last)
    }
}

fn number(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

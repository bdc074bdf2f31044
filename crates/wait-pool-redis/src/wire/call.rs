//! A request on its way, in parts that go over several connections, and its answers.
//!
//! Who waits is woken once, when no part is open any more. What a part holds for as long as it is open (its lease)
//! is let go by whoever ends it.

use std::fmt;
use std::future::poll_fn;
use std::iter::once;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use redis::Value;
use smallvec::SmallVec;

use super::{Receiver, Wire};
use crate::error::Lost;

/// A request as its connections see it.
pub(crate) struct Call<H> {
    /// The positions of the answers, those of one part together and in order.
    order: SmallVec<[u32; 16]>,
    state: Mutex<State<H>>,
}

struct State<H> {
    values: Vec<Value>,
    parts: SmallVec<[Part<H>; 4]>,
    open: usize,
    /// Something is not an answer as it should be: an error of a server's, or none.
    troubled: bool,
    waker: Option<Waker>,
}

struct Part<H> {
    /// Its places in the order.
    places: Range<usize>,
    held: Option<H>,
    open: bool,
    lost: Option<Lost>,
    late: bool,
}

impl<H: Send + 'static> Call<H> {
    /// A request of which each part has the positions that `order` has at its places.
    pub(crate) fn begin(
        order: SmallVec<[u32; 16]>,
        parts: impl IntoIterator<Item = Range<usize>>,
    ) -> Calling<H> {
        let part = |places| Part {
            places,
            held: None,
            open: true,
            lost: None,
            late: false,
        };
        let parts: SmallVec<_> = parts.into_iter().map(part).collect();
        let call = Self {
            state: Mutex::new(State {
                values: vec![Value::Nil; order.len()],
                open: parts.len(),
                parts,
                troubled: false,
                waker: None,
            }),
            order,
        };
        Calling(Arc::new(call))
    }

    /// Ends a part: lets go what it holds, and wakes who waits if it was the last.
    fn end(&self, part: u32, with: impl FnOnce(&mut State<H>, usize)) {
        let part = part as usize;
        let mut state = self.state.lock();
        // Its caller may have ended it before.
        if !mem::take(&mut state.parts[part].open) {
            return;
        }
        with(&mut state, part);
        let held = state.parts[part].held.take();
        state.open -= 1;
        let waker = (state.open == 0).then(|| state.waker.take()).flatten();
        drop(state);
        drop(held);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<H: Send + 'static> Receiver for Call<H> {
    fn answered(&self, part: u32, answers: &mut Vec<Value>) {
        self.end(part, |state, part| {
            let places = state.parts[part].places.clone();
            for (&position, answer) in self.order[places].iter().zip(answers.drain(..)) {
                state.troubled |= matches!(answer, Value::ServerError(_));
                state.values[position as usize] = answer;
            }
        });
        answers.clear();
    }

    fn late(&self, part: u32) {
        self.end(part, |state, part| {
            state.troubled = true;
            state.parts[part].late = true;
        });
    }

    fn lost(&self, part: u32, lost: Lost) {
        self.end(part, |state, part| {
            state.troubled = true;
            state.parts[part].lost = Some(lost);
        });
    }
}

/// A request as its caller sees it. Its drop lets go what its parts hold; their answers are thrown away.
pub(crate) struct Calling<H: Send + 'static>(Arc<Call<H>>);

impl Call<()> {
    /// A request in one part.
    pub(crate) fn alone(count: usize) -> Calling<()> {
        Self::begin((0..count as u32).collect(), once(0..count))
    }
}

impl Calling<()> {
    /// Sends the one part, which has so many replies, and waits for them.
    pub(crate) async fn ask(
        self,
        replies: usize,
        wire: &Wire,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<Value>, Lost> {
        self.send(0, replies as u32, wire, None, write);
        poll_fn(|cx| self.poll(cx)).await;
        let (values, ended) = self.give_up();
        match ended.into_iter().next() {
            Some(Ended::Lost(lost)) => Err(lost),
            _ => Ok(values),
        }
    }
}

/// How a part ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Answered,
    Lost(Lost),
    /// It has not, in time.
    Late,
}

impl<H: Send + 'static> Calling<H> {
    /// Sends a part that has so many replies, and is late if it is not answered by the deadline.
    pub(crate) fn send(
        &self,
        part: u32,
        replies: u32,
        wire: &Wire,
        deadline: Option<Instant>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let receiver = Arc::clone(&self.0) as Arc<dyn Receiver>;
        if let Err(lost) = wire.send(receiver, part, replies, deadline, write) {
            self.lose(part, lost);
        }
    }

    /// Has a part hold something until it ends.
    pub(crate) fn hold(&self, part: u32, held: H) {
        let mut state = self.0.state.lock();
        let sent = &mut state.parts[part as usize];
        // It may have been answered by now.
        let too_late = match sent.open {
            true => sent.held.replace(held),
            false => Some(held),
        };
        drop(state);
        drop(too_late);
    }

    /// Has a part end that could not be sent.
    pub(crate) fn lose(&self, part: u32, lost: Lost) {
        self.0.lost(part, lost);
    }

    /// Whether every part has ended. If not, the task is woken when they have.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.state.lock();
        if state.open == 0 {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The answers by their positions, if all are as they should be.
    pub(crate) fn take(&self) -> Option<Vec<Value>> {
        let mut state = self.0.state.lock();
        (state.open == 0 && !state.troubled).then(|| mem::take(&mut state.values))
    }

    /// The answers so far, and how each part ended. No more are taken.
    pub(crate) fn give_up(self) -> (Vec<Value>, Vec<Ended>) {
        let mut state = self.0.state.lock();
        let ended = state.parts.iter_mut().map(|part| match part.lost.take() {
            Some(lost) => Ended::Lost(lost),
            None if part.open || part.late => Ended::Late,
            None => Ended::Answered,
        });
        let ended = ended.collect();
        (mem::take(&mut state.values), ended)
    }
}

impl<H: Send + 'static> Drop for Calling<H> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.open == 0 {
            return;
        }
        let held: SmallVec<[H; 4]> = state
            .parts
            .iter_mut()
            .filter_map(|part| {
                part.open = false;
                part.held.take()
            })
            .collect();
        state.waker = None;
        drop(state);
        drop(held);
    }
}

impl<H> fmt::Debug for Call<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("open", &self.state.lock().open)
            .finish_non_exhaustive()
    }
}

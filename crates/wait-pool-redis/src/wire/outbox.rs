//! What goes out, and who waits for what comes back.
//!
//! There is one writer. Whoever takes it out of the box writes; what others put into the box meanwhile goes with
//! the next write.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use redis::RedisError;
use tokio::io::AsyncWrite as _;

use super::{Receiver, Writer};
use crate::error::Lost;

/// Whom the next replies are for.
#[derive(Debug)]
pub(super) enum Expected {
    Replies {
        receiver: Arc<dyn Receiver>,
        part: u32,
        left: u32,
    },
    /// redis-rs, one reply.
    Guest,
}

impl Expected {
    /// None will come.
    pub(super) fn lose(self, lost: Lost) {
        if let Self::Replies { receiver, part, .. } = self {
            receiver.lost(part, lost);
        }
    }
}

/// Who waits for replies, and where his request begins in all that has ever been put in.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) expected: Expected,
    pub(super) begins: u64,
    pub(super) deadline: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    ended: AtomicBool,
    /// There is no room.
    full: AtomicBool,
}

struct State {
    /// What has not been taken for writing.
    bytes: Vec<u8>,
    /// Those who have come since the driver last looked, in order.
    waiting: VecDeque<Waiting>,
    /// How many wait in all.
    open: usize,
    /// None while somebody writes, and at the end.
    writing: Option<Writing>,
    /// The driver has been told that there is something to write.
    told: bool,
    /// Those who wait for room.
    crowd: Vec<Waker>,
    /// When the driver looks for those whose time is up.
    alarm: Option<Instant>,
    driver: Waker,
    /// How much has been put in, taken out to be written, and written, since the beginning.
    put: u64,
    taken: u64,
    written: u64,
    end: Option<RedisError>,
}

/// The writer, and what it is about to write.
struct Writing {
    writer: Writer,
    bytes: Vec<u8>,
    at: usize,
}

impl Outbox {
    pub(super) fn new(writer: Writer) -> Self {
        let writing = Writing {
            writer,
            bytes: Vec::new(),
            at: 0,
        };
        Self {
            state: Mutex::new(State {
                bytes: Vec::new(),
                waiting: VecDeque::new(),
                open: 0,
                writing: Some(writing),
                told: false,
                crowd: Vec::new(),
                alarm: None,
                driver: Waker::noop().clone(),
                put: 0,
                taken: 0,
                written: 0,
                end: None,
            }),
            ended: AtomicBool::new(false),
            full: AtomicBool::new(false),
        }
    }

    /// Whether there is room for a request, or no use in waiting for it. If not, the task is woken when there is.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_full() {
            return Poll::Ready(());
        }
        let mut state = self.state.lock();
        if state.has_room() || state.end.is_some() {
            return Poll::Ready(());
        }
        state.crowd.push(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Puts a request in, and sees to it that it leaves.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub(super) fn send(
        &self,
        expected: impl IntoIterator<Item = Expected>,
        deadline: Option<Instant>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Lost> {
        let mut state = self.state.lock();
        if let Some(end) = &state.end {
            return Err(Lost {
                error: end.clone(),
                sent: false,
            });
        }
        let is_quiet = state.open == 0 && state.bytes.is_empty();
        let (begins, before) = (state.put, state.bytes.len());
        write(&mut state.bytes);
        state.put += (state.bytes.len() - before) as u64;
        if !state.has_room() {
            self.full.store(true, Ordering::Relaxed);
        }
        for expected in expected {
            state.waiting.push_back(Waiting {
                expected,
                begins,
                deadline,
            });
            state.open += 1;
        }
        let is_sooner = state.sets_alarm(deadline);
        let driver = state.driver.clone();
        let to_wake = if is_quiet && state.writing.is_some() {
            // What is left, and an error, is the driver's business.
            let _ = self.write(state, &mut Context::from_waker(&driver));
            is_sooner
        } else {
            let was_told = mem::replace(&mut state.told, true);
            drop(state);
            is_sooner || !was_told
        };
        if to_wake {
            driver.wake();
        }
        Ok(())
    }

    /// Writes until nothing is left or the socket takes no more.
    pub(super) fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(self.state.lock(), cx)
    }

    fn write<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // Who has it takes along what is in the box by then.
        let Some(mut writing) = state.writing.take() else {
            return Poll::Ready(Ok(()));
        };
        loop {
            if writing.at == writing.bytes.len() {
                writing.clear();
                mem::swap(&mut writing.bytes, &mut state.bytes);
                state.taken = state.put;
            }
            drop(state);
            let before = writing.at;
            let written = writing.write(cx);
            state = self.state.lock();
            if state.end.is_none() {
                state.written += (writing.at - before) as u64;
            }
            if state.has_room() && self.full.swap(false, Ordering::Relaxed) {
                let let_in = mem::take(&mut state.crowd);
                drop(state);
                let_in.into_iter().for_each(Waker::wake);
                state = self.state.lock();
            }
            // Then the drop of the writer is what remains to be done.
            if state.end.is_some() {
                drop(state);
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            match written {
                Poll::Ready(Ok(())) => {
                    if writing.at < writing.bytes.len() || !state.bytes.is_empty() {
                        continue;
                    }
                }
                Poll::Ready(Err(error)) => {
                    drop(state);
                    drop(writing);
                    let told = io::Error::from(error.kind());
                    self.end(error.into());
                    return Poll::Ready(Err(told));
                }
                Poll::Pending => {}
            }
            state.told = written.is_pending();
            state.writing = Some(writing);
            return written;
        }
    }

    /// Who drives from now on. Tells whether there is something to write, and when to look at the clock.
    pub(super) fn driven_by(&self, driver: &Waker) -> (bool, Option<Instant>) {
        let mut state = self.state.lock();
        if !state.driver.will_wake(driver) {
            state.driver = driver.clone();
        }
        (state.told, state.alarm)
    }

    /// Tells those whose time is up, and finds out whose is next.
    pub(super) fn expire(&self, taken: &VecDeque<Waiting>, now: Instant) {
        let mut late = Vec::new();
        let mut next: Option<Instant> = None;
        let mut state = self.state.lock();
        for waiting in taken.iter().chain(&state.waiting) {
            match (waiting.deadline, &waiting.expected) {
                (Some(deadline), Expected::Replies { receiver, part, .. }) if deadline <= now => {
                    late.push((Arc::clone(receiver), *part));
                }
                (Some(deadline), _) => {
                    next = Some(next.map_or(deadline, |next| next.min(deadline)))
                }
                (None, _) => {}
            }
        }
        state.alarm = next;
        drop(state);
        for (receiver, part) in late {
            receiver.late(part);
        }
    }

    /// Hands over those who have come, and takes note of how many have been served.
    pub(super) fn turn_over(&self, to: &mut VecDeque<Waiting>, served: &mut usize) {
        let mut state = self.state.lock();
        state.open -= mem::take(served);
        if to.is_empty() {
            mem::swap(&mut state.waiting, to);
        } else {
            to.append(&mut state.waiting);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Ends the connection, once.
    pub(super) fn end(&self, error: RedisError) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(error);
        self.ended.store(true, Ordering::Relaxed);
        // Its drop tells the server.
        let writing = state.writing.take();
        if writing.is_none() {
            // Somebody is writing: who knows how far he has come.
            state.written = state.taken;
        }
        let driver = state.driver.clone();
        let crowd = mem::take(&mut state.crowd);
        drop(state);
        drop(writing);
        driver.wake();
        crowd.into_iter().for_each(Waker::wake);
    }

    /// After the end, tells those who wait.
    pub(super) fn lose(&self, taken: VecDeque<Waiting>) {
        let mut state = self.state.lock();
        let error = state.end.clone().unwrap_or_else(super::closed);
        let written = state.written;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for Waiting {
            expected, begins, ..
        } in taken.into_iter().chain(waiting)
        {
            expected.lose(Lost {
                error: error.clone(),
                sent: begins < written,
            });
        }
    }
}

impl State {
    const fn has_room(&self) -> bool {
        self.put - self.written <= ROOM
    }

    /// Whether the driver has to look at the clock sooner than it knows.
    fn sets_alarm(&mut self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            return false;
        };
        let sooner = self.alarm.is_none_or(|alarm| deadline < alarm);
        if sooner {
            self.alarm = Some(deadline);
        }
        sooner
    }
}

impl Writing {
    /// Writes once.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut writer = Pin::new(&mut self.writer);
        if self.at < self.bytes.len() {
            let count = ready!(writer.as_mut().poll_write(cx, &self.bytes[self.at..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += count;
        }
        // A socket does nothing here; what encrypts may keep something back.
        writer.poll_flush(cx)
    }

    /// Ready for the next. A buffer that has become large is not kept.
    fn clear(&mut self) {
        self.at = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}

/// How much may wait to be written when another request is put in, however large that is.
const ROOM: u64 = 1024 * 1024;

/// How much of a buffer is kept for the next use.
const KEPT: usize = 256 * 1024;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("unwritten", &self.put.saturating_sub(self.written))
            .field("open", &self.open)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

//! The task of a connection: sends what callers have written, and hands out what comes back.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::{Outgoing, Part, Queue, Request};
use crate::lookups::data::PER_REQUEST;

/// More than what a server sends before it waits to be read.
const READ_BUFFER: usize = 128 * 1024;

/// The task of a connection.
pub(super) struct Driver {
    stream: TcpStream,
    outgoing: Arc<Outgoing>,
    /// What is being sent, and how much of it has been.
    sending: Queue,
    sent: usize,
    /// Whether others have been let go first, to add what they have.
    waited: bool,
    /// Whose answers are to come.
    parts: VecDeque<Part>,
    read: Box<[u8]>,
    filled: usize,
}

impl Driver {
    pub(super) fn new(stream: TcpStream, outgoing: Arc<Outgoing>) -> Self {
        Self {
            stream,
            outgoing,
            sending: Queue::default(),
            sent: 0,
            waited: false,
            parts: VecDeque::new(),
            read: vec![0; READ_BUFFER].into(),
            filled: 0,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.poll_read(cx).is_ready() {
            self.hand_out();
        }
        while self.poll_send(cx).is_ready() {}
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = ReadBuf::new(&mut self.read[self.filled..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).expect("the server is there");
        assert!(!buffer.filled().is_empty(), "the server has hung up");
        self.filled += buffer.filled().len();
        Poll::Ready(())
    }

    /// Hands out what parts have all their answers.
    fn hand_out(&mut self) {
        let mut done = 0;
        while let Some(part) = self.parts.front() {
            let Some(used) = part.take(&self.read[done..self.filled]) else {
                break;
            };
            done += used;
            self.parts.pop_front();
        }
        self.read.copy_within(done..self.filled, 0);
        self.filled -= done;
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sent == self.sending.bytes.len() {
            self.outgoing.driver.register(cx.waker());
            let mut queue = self.outgoing.queue.lock();
            if queue.bytes.is_empty() {
                return Poll::Pending;
            }
            if !mem::replace(&mut self.waited, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.waited = false;
            self.sending.bytes.clear();
            self.sent = 0;
            mem::swap(&mut *queue, &mut self.sending);
            drop(queue);
            self.parts.extend(self.sending.parts.drain(..));
        }
        let rest = &self.sending.bytes[self.sent..];
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, rest));
        self.sent += sent.expect("the server is there");
        Poll::Ready(())
    }
}

impl Part {
    /// Copies the answers if all are there, and tells how many bytes they took.
    fn take(&self, bytes: &[u8]) -> Option<usize> {
        let positions = &self.positions.of[..self.positions.count.into()];
        let mut values: [Range<usize>; PER_REQUEST] = Default::default();
        let mut end = 0;
        for value in &mut values[..positions.len()] {
            *value = bulk(bytes, end)?;
            end = value.end + 2;
        }
        if end > bytes.len() {
            return None;
        }
        let mut request = self.request.lock();
        let Request { answer, .. } = &mut *request;
        for (&position, value) in positions.iter().zip(values) {
            let start = answer.bytes.len() as u32;
            answer.bytes.extend_from_slice(&bytes[value]);
            answer.at[usize::from(position)] = start..answer.bytes.len() as u32;
        }
        request.missing -= positions.len();
        let waker = match request.missing {
            0 => request.waker.take(),
            _ => None,
        };
        drop(request);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(end)
    }
}

/// Where the value is whose `$LENGTH` begins at `start`, if its head is there.
fn bulk(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let mut digits = bytes.get(start..)?.iter();
    assert_eq!(*digits.next()?, b'$', "the server sends something else");
    let mut length = 0;
    for (&digit, end) in digits.zip(start + 1..) {
        if digit == b'\r' {
            let value = end + 2;
            return Some(value..value + length);
        }
        assert!(digit.is_ascii_digit(), "a value is missing");
        length = length * 10 + usize::from(digit - b'0');
    }
    None
}

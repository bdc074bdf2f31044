//! A driver written for this benchmark and nothing else: the limit that clients are compared with.
//!
//! One connection to each server. Callers write straight into its outgoing buffer, and a task sends
//! what has come together in one write. Answers are copied once, into one buffer a request, whose caller is
//! woken when the last of them is there. It follows no redirect, replaces no connection, has no timeout, and
//! panics at whatever is not a value.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::Contestant;
use super::owners::Owners;
use crate::lookups::data::{Keys, PER_REQUEST, Values};

/// More than what a server sends before it waits to be read.
const READ_BUFFER: usize = 128 * 1024;
/// Enough for the values of a request.
const ANSWER: usize = PER_REQUEST * 128;

pub(crate) struct OwnDriver {
    owners: Owners,
    connections: Vec<Connection>,
}

/// What callers see of a connection. Its task ends with it.
struct Connection {
    outgoing: Arc<Outgoing>,
    task: AbortHandle,
}

#[derive(Default)]
struct Outgoing {
    queue: Mutex<Queue>,
    driver: AtomicWaker,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

/// The keys of a request that one server has, by their positions.
struct Part {
    request: Arc<Mutex<Request>>,
    positions: Positions,
}

#[derive(Clone, Copy, Default)]
struct Positions {
    of: [u8; PER_REQUEST],
    count: u8,
}

#[derive(Default)]
struct Request {
    answer: Answer,
    missing: usize,
    waker: Option<Waker>,
}

/// The values of a request, in the order they came, and where each of them is.
#[derive(Default)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    at: [Range<u32>; PER_REQUEST],
}

impl Contestant for OwnDriver {
    const NAME: &'static str = "ideal-own-driver";
    const VARIANT: &'static str = "";
    const PACKAGE: Option<&'static str> = None;
    const SETTINGS: &'static str = "one connection to each server, with a driver of some 200 lines";

    type Values = Answer;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let owners = Owners::ask(&urls).await?;
        let mut connections = Vec::new();
        for address in &owners.addresses {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let outgoing = Arc::new(Outgoing::default());
            let mut driver = Driver::new(stream, Arc::clone(&outgoing));
            let task = tokio::spawn(poll_fn(move |cx| driver.poll(cx))).abort_handle();
            connections.push(Connection { outgoing, task });
        }
        Ok(Self {
            owners,
            connections,
        })
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Answer> {
        let nodes = keys.map(|key| self.owners.of(key.as_ref()));
        let request = Arc::new(Mutex::new(Request {
            answer: Answer {
                bytes: Vec::with_capacity(ANSWER),
                ..Answer::default()
            },
            missing: keys.len(),
            waker: None,
        }));
        for (node, connection) in self.connections.iter().enumerate() {
            if nodes.contains(&node) {
                let keys = (0..)
                    .zip(keys)
                    .filter(|&(position, _)| nodes[position] == node);
                let keys = keys.map(|(position, key)| (position as u8, key.as_ref()));
                connection.outgoing.push(keys, Arc::clone(&request));
            }
        }
        let answer = poll_fn(|cx| request.lock().poll(cx)).await;
        Ok(answer)
    }
}

impl Outgoing {
    /// Writes `GET` for each key, and notes who waits for the answers.
    fn push<'a>(&self, keys: impl Iterator<Item = (u8, &'a [u8])>, request: Arc<Mutex<Request>>) {
        let mut positions = Positions::default();
        let mut queue = self.queue.lock();
        // Otherwise somebody has woken the driver, which has not come to it yet.
        let first = queue.bytes.is_empty();
        for (position, key) in keys {
            // All keys have 16 bytes.
            queue.bytes.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
            queue.bytes.extend_from_slice(key);
            queue.bytes.extend_from_slice(b"\r\n");
            positions.of[usize::from(positions.count)] = position;
            positions.count += 1;
        }
        queue.parts.push(Part { request, positions });
        drop(queue);
        if first {
            self.driver.wake();
        }
    }
}

impl Request {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Answer> {
        if self.missing == 0 {
            return Poll::Ready(mem::take(&mut self.answer));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The task of a connection.
struct Driver {
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
    fn new(stream: TcpStream, outgoing: Arc<Outgoing>) -> Self {
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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

impl Values for Answer {
    fn count(&self) -> usize {
        self.at.len()
    }

    fn at(&self, position: usize) -> Option<&[u8]> {
        let at = self.at.get(position)?;
        self.bytes.get(at.start as usize..at.end as usize)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

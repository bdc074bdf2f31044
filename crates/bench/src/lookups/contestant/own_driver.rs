//! A driver written for this benchmark and nothing else: the limit that clients are compared with.
//!
//! One connection to each server. Callers write straight into its outgoing buffer, and a task sends
//! what has come together in one write. Answers are copied once, into one buffer a request, whose caller is
//! woken when the last of them is there. It follows no redirect, replaces no connection, has no timeout, and
//! panics at whatever is not a value.

mod driver;

use std::future::poll_fn;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use self::driver::Driver;
use super::Contestant;
use super::owners::Owners;
use crate::lookups::data::{Keys, PER_REQUEST, Values};

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
    const SETTINGS: &'static str = "one connection to each server, with a driver of some 250 lines";

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

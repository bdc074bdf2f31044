//! What all pools connect to: a server of which each test says how it behaves, and which counts.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;

/// What comes of the next attempts to connect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Answer {
    #[default]
    AtOnce,
    /// Some polls later.
    Slow,
    After(Duration),
    Never,
    /// As a port where nobody listens does, a millisecond later.
    Refused,
    Panic,
}

/// A handle to the server, which is what each pool is given as its manager.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connector {
    server: Arc<Server>,
}

/// A connection; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    server: Arc<Server>,
}

#[derive(Debug, Default)]
struct Server {
    answer: Mutex<Answer>,
    attempts: AtomicUsize,
    open: AtomicUsize,
    checks: AtomicUsize,
}

impl Connector {
    pub(crate) fn answers(&self, answer: Answer) {
        *self.server.answer.lock() = answer;
    }

    /// How many attempts to connect have begun.
    pub(crate) fn attempts(&self) -> usize {
        self.server.attempts.load(SeqCst)
    }

    /// How many connections are open.
    pub(crate) fn connected(&self) -> usize {
        self.server.open.load(SeqCst)
    }

    /// How often a connection was asked whether it still works.
    pub(crate) fn checks(&self) -> usize {
        self.server.checks.load(SeqCst)
    }

    pub(crate) async fn dial(&self) -> io::Result<Connection> {
        self.server.attempts.fetch_add(1, SeqCst);
        let answer = *self.server.answer.lock();
        match answer {
            Answer::AtOnce => {}
            Answer::Slow => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            }
            Answer::After(time) => tokio::time::sleep(time).await,
            Answer::Never => pending().await,
            Answer::Refused => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Answer::Panic => panic!("the manager panics"),
        }
        self.server.open.fetch_add(1, SeqCst);
        Ok(Connection {
            server: Arc::clone(&self.server),
        })
    }
}

impl Connection {
    pub(crate) fn count_check(&self) {
        self.server.checks.fetch_add(1, SeqCst);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.open.fetch_sub(1, SeqCst);
    }
}

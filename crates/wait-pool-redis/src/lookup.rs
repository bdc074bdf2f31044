//! Lookups: many keys or rows read at once, each position with its own result.
//!
//! A [`Lookup`] goes through the same request path as everything else. What it adds: types, a result
//! per position, chunks, a deadline that keeps what has come by then, and reads that several callers
//! share.

mod chunks;
mod error;
mod flight;
mod reads;
mod request;
mod result;
mod run;
mod share;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chunks::Limits;
pub use error::LookupError;
pub use reads::RowRead;
pub use request::{Fields, Keys, Rows};
pub use result::LookupResult;
use share::Share;

use crate::dispatch::Dispatch;

/// Reads many keys, or many rows of hash fields, and tells of each position what became of it.
///
/// Made by [`Pool::lookup`](crate::Pool::lookup), [`cluster::Pool::lookup`](crate::cluster::Pool::lookup) and
/// [`sentinel::Pool::lookup`](crate::sentinel::Pool::lookup). It is a handle with settings: a clone costs as
/// much as two `Arc`s.
///
/// What is sent to a node goes in chunks of at most [`chunk_commands`](Self::chunk_commands) and
/// [`chunk_bytes`](Self::chunk_bytes), one after another, so a large lookup holds one place of each node at a
/// time and goes to the end of the line between chunks. The chunks of several nodes travel side by side.
///
/// A lookup ends at its deadline with what it has. Nothing of it is sent after that. If a node cannot be reached,
/// the chunks behind the one that found out are not sent.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wait_pool_redis::cluster::Pool::builder(["redis://127.0.0.1:7000"]).build()?;
/// let lookup = pool.lookup().timeout(Duration::from_millis(20));
///
/// let clicks = lookup.keys(["clicks:7", "clicks:8"]).get::<u64>().await;
/// for (position, error) in clicks.errors() {
///     eprintln!("clicks at {position}: {error}"); // the others are there
/// }
/// let clicks: Vec<u64> = clicks.or_default();
///
/// let users = lookup.rows(["user:7", "user:8"]).fields(["age", "country"]);
/// let users: Vec<Option<Vec<Option<String>>>> = users.get().await.all()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Lookup {
    dispatch: Arc<Dispatch>,
    limits: Limits,
    until: Until,
    share: Option<Arc<Share>>,
}

/// When a lookup ends at the latest.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// As every request of the pool.
    RequestTimeout,
    Within(Option<Duration>),
    At(Instant),
}

impl Lookup {
    pub(crate) const fn new(dispatch: Arc<Dispatch>) -> Self {
        Self {
            dispatch,
            limits: Limits::DEFAULT,
            until: Until::RequestTimeout,
            share: None,
        }
    }

    /// How long each lookup may take, from when it is first polled. Default is the pool's `request_timeout`, in
    /// whose place this stands; `None` sets no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.until = Until::Within(timeout.into());
        self
    }

    /// When lookups end at the latest, in place of a [`timeout`](Self::timeout).
    #[must_use]
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.until = Until::At(deadline);
        self
    }

    /// How many commands travel to a node at once. Default 256. There is always one at least.
    #[must_use]
    pub const fn chunk_commands(mut self, commands: usize) -> Self {
        self.limits.commands = commands;
        self
    }

    /// How many bytes travel to a node at once. Default 65,536. A larger command travels alone. What
    /// comes back may be of any size.
    #[must_use]
    pub const fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Whether a read that this handle or a clone of it is about to send anyway is joined instead of sent once
    /// more. Default no.
    ///
    /// A read that is under way is not joined: its value may be older than what the caller has written or seen
    /// since. Whoever wants the same then waits for the next, which is sent when that one has its answer. So a
    /// server sees each read at most once at a time from all clones together, however many callers want it, and each
    /// caller sees what he would see alone, up to a round trip later. Where keys are seldom asked for by two at
    /// once this is nothing but a detour: a shared read takes a task, a channel and a map.
    ///
    /// A caller that is dropped, or whose time is up, disturbs no other.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(pool: wait_pool_redis::cluster::Pool) {
    /// let lookup = pool.lookup().share_in_flight(true); // kept, and cloned to where it is needed
    /// let popular = || lookup.keys(["item:1"]).get::<String>();
    /// let (_a, _b, _c) = tokio::join!(popular(), popular(), popular()); // one or two GETs
    /// # }
    /// ```
    #[must_use]
    pub fn share_in_flight(mut self, share: bool) -> Self {
        self.share = share.then(|| self.share.take().unwrap_or_default());
        self
    }

    /// Reads keys that hold strings, one `GET` for each. A key may stand at several positions.
    pub fn keys<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Keys {
        Keys::new(self.clone(), keys.into_iter().collect())
    }

    /// Reads rows: keys that hold hashes. A key may stand at several positions.
    pub fn rows<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Rows {
        Rows::new(self.clone(), keys.into_iter().collect())
    }

    /// The deadline of a lookup that begins now.
    fn expires(&self) -> Option<Instant> {
        let timeout = match self.until {
            Until::At(deadline) => return Some(deadline),
            Until::Within(timeout) => timeout,
            Until::RequestTimeout => self.dispatch.request_timeout(),
        };
        // What lies beyond the clock's end is never.
        timeout.and_then(|timeout| now().checked_add(timeout))
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup")
            .field("limits", &self.limits)
            .field("until", &self.until)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

/// Tokio's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

//! Why a caller got no connection, with the figures that tell what to do about it.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::status::Status;

/// Why [`Pool::get`](crate::Pool::get) or [`Pool::lease`](crate::Pool::lease) gave no connection.
///
/// There is no "too many connections": at the bound a caller waits.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcquireError<E> {
    /// The wait timeout passed. The report says what the caller was waiting for.
    Timeout(Box<Timeout<E>>),
    /// No connection is open and the attempt to open one failed. Told at once, not at the
    /// deadline.
    Connect(Arc<ConnectError<E>>),
    /// As many callers wait as `max_waiters` allows.
    QueueFull {
        /// The pool's name.
        pool: Arc<str>,
        /// The pool's figures at that moment.
        status: Status,
    },
    /// The caller wanted to be served [in time](crate::Request::only_in_time) or not at all, and would
    /// not have been.
    TooLate {
        /// How long he would have waited, by the length of the line and its measured pace.
        expected: Duration,
        /// What he was up against.
        report: Box<Timeout<E>>,
    },
    /// He has waited too long in an overload: see
    /// [`QueuePolicy::AdaptiveLifo`](crate::QueuePolicy).
    Overloaded(Box<Timeout<E>>),
    /// The pool is paused: see [`Pool::pause`](crate::Pool::pause).
    Paused {
        /// The pool's name.
        pool: Arc<str>,
        /// The outcome of the last attempt to connect, if that failed.
        last_connect_error: Option<Arc<ConnectError<E>>>,
    },
    /// The pool has been closed.
    Closed,
    /// The future was polled outside of a tokio runtime, so nothing could be opened or timed.
    NoRuntime,
}

/// Why an attempt to open a connection failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError<E> {
    /// The manager's own error.
    #[error(transparent)]
    Failed(E),
    /// The attempt took longer than `connect_timeout`, or what is to be done before a connection is used
    /// longer than `check_timeout`.
    #[error("the server did not answer within {0:?}")]
    TimedOut(Duration),
    /// The manager panicked.
    #[error("the manager panicked while it connected")]
    Panicked,
}

/// What a caller whose deadline has passed was waiting for, and what it was up against.
#[derive(Debug)]
#[non_exhaustive]
pub struct Timeout<E> {
    /// The pool's name.
    pub pool: Arc<str>,
    /// What the caller was waiting for when its time was up.
    pub phase: Phase,
    /// How long it had waited.
    pub waited: Duration,
    /// How many callers were ahead of it in the queue. Exact up to 1,000; above that, callers that had
    /// given up may be among them.
    pub ahead: usize,
    /// The pool's figures at that moment, this caller included.
    pub status: Status,
    /// The outcome of the last attempt to connect, if that failed.
    pub last_connect_error: Option<Arc<ConnectError<E>>>,
    /// For how long the longest-held connection has been held, and where it was taken.
    pub longest_held: Option<(Duration, &'static Location<'static>)>,
}

/// What a caller was waiting for when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// For a connection that others hold.
    Queued,
    /// For a connection to be opened; none was in use.
    Connecting,
    /// For the check of a connection that had been idle for long; none was in use.
    Checking,
    /// For room in the [group](crate::Group); no connection was open.
    HeldUp,
}

/// Why [`Pool::try_get`](crate::Pool::try_get) or [`Pool::try_lease`](crate::Pool::try_lease) gave
/// no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// No connection is free, or somebody who came earlier is waiting for it.
    #[error("no connection is free at this moment")]
    Empty,
    /// The pool is paused.
    #[error("the pool is paused")]
    Paused,
    /// The pool has been closed.
    #[error("the pool is closed")]
    Closed,
}

/// A setting that makes no sense, refused by [`Builder::build`](crate::Builder::build).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct BuildError {
    pub(crate) setting: &'static str,
    pub(crate) reason: &'static str,
}

impl BuildError {
    /// The name of the setting, as the builder's method has it.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Why its value makes no sense.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl<E: fmt::Display> fmt::Display for AcquireError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::TooLate { expected, report } => {
                let (pool, ahead) = (&report.pool, report.ahead);
                write!(
                    f,
                    "pool {pool}: the deadline would pass while {ahead} callers are served before, \
                     which takes about {expected:?}"
                )
            }
            Self::Overloaded(report) => write!(f, "refused in an overload: {report}"),
            Self::Paused { pool, .. } => {
                write!(f, "pool {pool} is paused until ready() is called")
            }
            Self::Connect(error) => write!(f, "could not connect: {error}"),
            Self::QueueFull { pool, status } => {
                let (waiting, in_use) = (status.waiting, status.in_use);
                write!(
                    f,
                    "pool {pool}: {waiting} callers wait already, for {in_use} connections in use"
                )
            }
            Self::Closed => f.write_str("the pool is closed"),
            Self::NoRuntime => f.write_str("the pool was used outside of a tokio runtime"),
        }
    }
}

impl<E: Error + 'static> Error for AcquireError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Timeout(report) | Self::TooLate { report, .. } | Self::Overloaded(report) => {
                report.source()
            }
            Self::Connect(error)
            | Self::Paused {
                last_connect_error: Some(error),
                ..
            } => Some(error.as_ref()),
            Self::Paused { .. } | Self::QueueFull { .. } | Self::Closed | Self::NoRuntime => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Timeout<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status {
            max_size,
            idle,
            in_use,
            opening,
            checking,
            waiting,
            ..
        } = self.status;
        let (pool, waited) = (&self.pool, self.waited);
        write!(f, "pool {pool}: no connection within {waited:?}")?;
        f.write_str(match self.phase {
            Phase::Queued => "",
            Phase::Connecting => ", while one was being opened",
            Phase::Checking => ", while one was being checked",
            Phase::HeldUp => ", while its group had no room for one",
        })?;
        write!(
            f,
            " ({} ahead in the queue; of at most {max_size} connections {in_use} in use, \
             {idle} idle, {opening} opening, {checking} checked; {waiting} waiting",
            self.ahead
        )?;
        if let Some((age, at)) = self.longest_held {
            write!(f, "; the longest held was taken {age:?} ago at {at}")?;
        }
        if let Some(error) = &self.last_connect_error {
            write!(f, "; the last attempt to connect failed: {error}")?;
        }
        f.write_str(")")
    }
}

impl<E: Error + 'static> Error for Timeout<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.last_connect_error {
            Some(error) => Some(error.as_ref()),
            None => None,
        }
    }
}

//! What becomes of those who wait.

use std::sync::Arc;
use std::task::Waker;

use crate::error::{AcquireError, ConnectError, Timeout};
use crate::moment::Moment;
use crate::slots::Grant;

/// What has become of a waiter.
#[derive(Debug)]
pub(crate) enum Outcome<C, E> {
    /// Nothing yet; whom to wake.
    Waiting(Waker),
    /// It did not pick up what it was given, and has no place in line until it is polled.
    Absent,
    /// And when.
    Granted(Grant<C>, Moment),
    Failed(Failure<E>),
    /// Its deadline has passed.
    Late(Box<Timeout<E>>),
    /// It has waited too long in an overload.
    Shed(Box<Timeout<E>>),
}

/// Why a waiter leaves the line without a connection.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Closed,
    Paused(Option<Arc<ConnectError<E>>>),
    Connect(Arc<ConnectError<E>>),
}

// By hand: a derived one would ask for `E: Clone`.
impl<E> Clone for Failure<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Closed => Self::Closed,
            Self::Paused(cause) => Self::Paused(cause.clone()),
            Self::Connect(error) => Self::Connect(Arc::clone(error)),
        }
    }
}

impl<E> AcquireError<E> {
    pub(crate) fn from_failure(failure: Failure<E>, pool: &Arc<str>) -> Self {
        match failure {
            Failure::Closed => Self::Closed,
            Failure::Connect(error) => Self::Connect(error),
            Failure::Paused(last_connect_error) => Self::Paused {
                pool: Arc::clone(pool),
                last_connect_error,
            },
        }
    }
}

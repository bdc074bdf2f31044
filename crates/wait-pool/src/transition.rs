//! What goes into a transition of the [state](crate::state) and what comes out of it.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::error::ConnectError;
use crate::line::WaiterId;
use crate::slots::{Doubtful, Grant};
use crate::status::Status;

/// What is left to do after a transition, once the lock is released.
#[derive(Debug)]
#[must_use]
pub(crate) struct Effects<C, E> {
    pub(crate) wake: SmallVec<[Waker; 4]>,
    /// Connections to drop. Each has its place until then.
    pub(crate) close: SmallVec<[Arc<C>; 1]>,
    /// Places for connections to open.
    pub(crate) open: SmallVec<[Opens; 2]>,
    /// Connections to check before they are used again.
    pub(crate) check: SmallVec<[Doubtful<C>; 1]>,
    /// When a keeper has to come.
    pub(crate) keep: Option<Instant>,
    /// Errors that nobody needs any more.
    pub(crate) forget: SmallVec<[Arc<ConnectError<E>>; 1]>,
}

impl<C, E> Effects<C, E> {
    pub(crate) fn none() -> Self {
        Self {
            wake: SmallVec::new(),
            close: SmallVec::new(),
            open: SmallVec::new(),
            check: SmallVec::new(),
            keep: None,
            forget: SmallVec::new(),
        }
    }

    /// Whether nothing is left to do, as after most transitions.
    pub(crate) fn is_none(&self) -> bool {
        self.wake.is_empty()
            && self.close.is_empty()
            && self.open.is_empty()
            && self.check.is_empty()
            && self.keep.is_none()
            && self.forget.is_empty()
    }
}

/// A connection to open, for which there is a place.
#[derive(Debug)]
pub(crate) struct Opens {
    /// How long to wait before.
    pub(crate) after: Duration,
    /// The generation it will belong to.
    pub(crate) generation: u64,
}

/// What a caller gets that would wait.
#[derive(Debug)]
pub(crate) enum Entered<C> {
    Granted(Grant<C>),
    Queued(WaiterId),
    /// As many wait as may.
    Full(Status),
    Closed,
}

/// What a caller gets that does not wait.
#[derive(Debug)]
pub(crate) enum Tried<C> {
    Granted(Grant<C>),
    Empty,
    Closed,
}

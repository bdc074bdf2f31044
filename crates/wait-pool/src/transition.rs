//! What goes into a transition of the [state](crate::state) and what comes out of it.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use smallvec::SmallVec;

use crate::error::{ConnectError, Timeout};
use crate::line::{Failure, Outcome, WaiterId};
use crate::moment::Moment;
use crate::slots::{Doubtful, Grant, Retired};
use crate::status::Status;

/// What is left to do after a transition, once the lock is released.
#[derive(Debug)]
#[must_use]
pub(crate) struct Effects<C, E> {
    pub(crate) wake: SmallVec<[Waker; 4]>,
    /// Connections to drop. Each has its place until then.
    pub(crate) close: SmallVec<[Retired<C>; 1]>,
    /// Places for connections to open.
    pub(crate) open: SmallVec<[Opens; 2]>,
    /// Connections to check before they are used again.
    pub(crate) check: SmallVec<[Doubtful<C>; 1]>,
    pub(crate) keep: Option<Keep>,
    /// Errors that nobody needs any more.
    pub(crate) forget: SmallVec<[Arc<ConnectError<E>>; 1]>,
    /// For how long connections have been held that were taken there: too long.
    pub(crate) leaks: Vec<(Duration, &'static Location<'static>)>,
    /// What the group is to know.
    pub(crate) needs: Option<Needs>,
    /// Whether the group wants to know of a connection that is idle.
    pub(crate) offer: bool,
}

/// What a pool waits for that its group has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The higher, the newer.
    pub(crate) version: u64,
    /// How many of the attempts that are held up are wanted.
    pub(crate) wants: usize,
    /// How many of them callers wait for.
    pub(crate) callers: usize,
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
            leaks: Vec::new(),
            needs: None,
            offer: false,
        }
    }

    /// Whether nothing but waking is left to do, as after a hand-over.
    pub(crate) fn is_waking_only(&self) -> bool {
        self.close.is_empty()
            && self.open.is_empty()
            && self.check.is_empty()
            && self.keep.is_none()
            && self.forget.is_empty()
            && self.leaks.is_empty()
            && self.needs.is_none()
            && !self.offer
    }
}

/// Something is due for which a keeper has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// There is none yet.
    Begin,
    /// Earlier than the one that there is would.
    Sooner,
}

/// A connection to open, for which there is a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opens {
    /// How long to wait before.
    pub(crate) after: Duration,
    /// The generation it will belong to.
    pub(crate) generation: u64,
    /// The connection's number.
    pub(crate) number: u64,
}

/// What a caller gets that would wait.
#[derive(Debug)]
pub(crate) enum Entered<C, E> {
    Granted(Grant<C>),
    Queued(Waiting),
    /// As many wait as may.
    Full(Box<Status>),
    /// Its turn will come after its deadline, in so long.
    TooLate(Duration, Box<Timeout<E>>),
    /// Its deadline has passed while it used what it had been given before.
    Late(Box<Timeout<E>>),
    Refused(Failure<E>),
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: WaiterId,
    pub(crate) since: Moment,
    pub(crate) deadline: Moment,
}

/// What a waiter finds when it is polled.
#[derive(Debug)]
pub(crate) enum Peeked<C, E> {
    Settled(Outcome<C, E>),
    /// It will be woken.
    Waiting,
    /// It has to leave another waker.
    WantsWaker,
}

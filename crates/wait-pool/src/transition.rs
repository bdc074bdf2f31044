//! What goes into a transition of the [state](crate::state) and what comes out of it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use smallvec::SmallVec;

use crate::error::Timeout;
use crate::line::{Failure, WaiterId};
use crate::slots::Grant;

/// What is left to do after a transition, once the lock is released.
#[derive(Debug)]
#[must_use]
pub(crate) struct Effects<C> {
    pub(crate) wake: SmallVec<[Waker; 4]>,
    pub(crate) close: SmallVec<[Arc<C>; 1]>,
    /// One entry for each connection to open: how long to wait before.
    pub(crate) open: SmallVec<[Duration; 2]>,
}

impl<C> Default for Effects<C> {
    fn default() -> Self {
        Self {
            wake: SmallVec::new(),
            close: SmallVec::new(),
            open: SmallVec::new(),
        }
    }
}

/// Where in line a caller goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    /// At the tail, as everybody.
    Back,
    /// At the head: it had its turn and was given a dead connection.
    Front,
}

/// What a caller gets on entering.
#[derive(Debug)]
pub(crate) enum Entered<C> {
    Granted(Grant<C>),
    Queued(WaiterId),
    Closed,
}

/// Why a waiter whose deadline has passed leaves without a connection.
#[derive(Debug)]
pub(crate) enum Expired<E> {
    Failed(Failure<E>),
    Late(Box<Timeout<E>>),
}

//! Who waits, in which order: one ticket counter over two first-in-first-out queues.
//!
//! Exclusive callers and lease callers stand in a queue each, because what can serve the one
//! often cannot serve the other. Tickets, drawn from one counter, say whose head came first.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::error::{ConnectError, Timeout};
use crate::queue::{Id, Queue};
use crate::slots::Grant;

/// How a caller wants to hold a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Alone, as by `get()`.
    Exclusive,
    /// Together with others, as by `lease()`.
    Lease,
}

/// Names a waiter until its outcome is taken or it is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaiterId {
    kind: Kind,
    id: Id,
}

#[derive(Debug)]
pub(crate) struct Line<C, E> {
    exclusive: Queue<Waiter<C, E>>,
    lease: Queue<Waiter<C, E>>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter<C, E> {
    ticket: u64,
    at: &'static Location<'static>,
    since: Instant,
    deadline: Option<Instant>,
    outcome: Outcome<C, E>,
}

/// What has become of a waiter.
#[derive(Debug)]
pub(crate) enum Outcome<C, E> {
    /// Nothing yet; whom to wake.
    Waiting(Waker),
    Granted(Grant<C>),
    Failed(Failure<E>),
    /// Its deadline had passed when its turn came.
    Late(Box<Timeout<E>>),
}

/// Why a waiter leaves the line without a connection.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Closed,
    Connect(Arc<ConnectError<E>>),
}

// By hand: a derived one would ask for `E: Clone`.
impl<E> Clone for Failure<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Closed => Self::Closed,
            Self::Connect(error) => Self::Connect(Arc::clone(error)),
        }
    }
}

impl<C, E> Line<C, E> {
    pub(crate) const fn new() -> Self {
        Self {
            exclusive: Queue::new(),
            lease: Queue::new(),
            next_ticket: 0,
        }
    }

    pub(crate) fn len(&self, kind: Kind) -> usize {
        self.queue(kind).len()
    }

    pub(crate) fn total(&self) -> usize {
        self.exclusive.len() + self.lease.len()
    }

    /// The kind of the waiter that came first.
    pub(crate) fn first(&self) -> Option<Kind> {
        match (
            self.head_ticket(Kind::Exclusive),
            self.head_ticket(Kind::Lease),
        ) {
            (Some(exclusive), Some(lease)) if lease < exclusive => Some(Kind::Lease),
            (Some(_), _) => Some(Kind::Exclusive),
            (None, Some(_)) => Some(Kind::Lease),
            (None, None) => None,
        }
    }

    /// Where the first waiter of a kind was called from.
    pub(crate) fn head_location(&self, kind: Kind) -> Option<&'static Location<'static>> {
        self.queue(kind).front().map(|(_, waiter)| waiter.at)
    }

    pub(crate) fn push(
        &mut self,
        kind: Kind,
        at: &'static Location<'static>,
        waker: Waker,
        since: Instant,
        deadline: Option<Instant>,
    ) -> WaiterId {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let waiter = Waiter {
            ticket,
            at,
            since,
            deadline,
            outcome: Outcome::Waiting(waker),
        };
        let id = self.queue_mut(kind).push_back(waiter);
        WaiterId { kind, id }
    }

    /// Hands a connection to the first waiter of a kind and returns whom to wake.
    pub(crate) fn grant(&mut self, kind: Kind, grant: Grant<C>) -> Waker {
        self.settle_first(kind, Outcome::Granted(grant))
            .expect("a grant is made for a waiter that was seen")
    }

    /// Tells the first waiter of a kind, if there is one, that it gets no connection.
    pub(crate) fn fail(&mut self, kind: Kind, failure: Failure<E>) -> Option<Waker> {
        self.settle_first(kind, Outcome::Failed(failure))
    }

    /// Since when the first waiter of a kind has waited, if its deadline has passed.
    pub(crate) fn first_is_late(&self, kind: Kind, now: Instant) -> Option<Instant> {
        let (_, waiter) = self.queue(kind).front()?;
        let deadline = waiter.deadline?;
        (deadline < now).then_some(waiter.since)
    }

    /// Tells the first waiter of a kind that its turn came too late.
    pub(crate) fn pass_over(&mut self, kind: Kind, report: Box<Timeout<E>>) -> Option<Waker> {
        self.settle_first(kind, Outcome::Late(report))
    }

    /// Since when a waiter waits.
    pub(crate) fn since(&self, id: WaiterId) -> Instant {
        self.queue(id.kind).get(id.id).since
    }

    /// What became of a waiter, which is gone from the line then. `None` while it waits; then
    /// `waker` has changed places with the one from before.
    pub(crate) fn poll(&mut self, id: WaiterId, waker: &mut Waker) -> Option<Outcome<C, E>> {
        match &mut self.queue_mut(id.kind).get_mut(id.id).outcome {
            Outcome::Waiting(current) => {
                std::mem::swap(current, waker);
                None
            }
            Outcome::Granted(_) | Outcome::Failed(_) | Outcome::Late(_) => Some(self.remove(id)),
        }
    }

    /// Whether a waiter has an outcome that it has not taken yet.
    pub(crate) fn is_settled(&self, id: WaiterId) -> bool {
        !matches!(self.queue(id.kind).get(id.id).outcome, Outcome::Waiting(_))
    }

    /// Removes a waiter and says what it had been given.
    pub(crate) fn remove(&mut self, id: WaiterId) -> Outcome<C, E> {
        self.queue_mut(id.kind).remove(id.id).outcome
    }

    /// The waker of the waiter that came first, which leaves a new one when it is polled.
    pub(crate) fn wake_first(&mut self) -> Option<Waker> {
        let kind = self.first()?;
        let queue = self.queue_mut(kind);
        let (id, _) = queue.front()?;
        match &mut queue.get_mut(id).outcome {
            Outcome::Waiting(waker) => Some(std::mem::replace(waker, Waker::noop().clone())),
            Outcome::Granted(_) | Outcome::Failed(_) | Outcome::Late(_) => None,
        }
    }

    /// How many waiters of both kinds came before this one, which must still wait.
    ///
    /// Exact up to [`COUNTED`]; beyond, callers that gave up may be counted too. A crowd whose time
    /// is up at once would otherwise count itself under the lock, one by one.
    pub(crate) fn ahead_of(&self, id: WaiterId) -> usize {
        let ticket = self.queue(id.kind).get(id.id).ticket;
        let mut ahead = 0;
        for queue in [&self.exclusive, &self.lease] {
            let room = COUNTED - ahead;
            let earlier = queue.iter().take_while(|(_, other)| other.ticket < ticket);
            ahead += earlier.take(room).count();
        }
        if ahead < COUNTED {
            return ahead;
        }
        let heads = [Kind::Exclusive, Kind::Lease].map(|kind| self.head_ticket(kind));
        let first = heads.into_iter().flatten().min().unwrap_or(ticket);
        usize::try_from(ticket - first).unwrap_or(usize::MAX)
    }

    fn settle_first(&mut self, kind: Kind, outcome: Outcome<C, E>) -> Option<Waker> {
        let queue = self.queue_mut(kind);
        let (id, _) = queue.front()?;
        match std::mem::replace(&mut queue.detach(id).outcome, outcome) {
            Outcome::Waiting(waker) => Some(waker),
            Outcome::Granted(_) | Outcome::Failed(_) | Outcome::Late(_) => {
                unreachable!("a waiter with an outcome is not linked")
            }
        }
    }

    fn head_ticket(&self, kind: Kind) -> Option<u64> {
        self.queue(kind).front().map(|(_, waiter)| waiter.ticket)
    }

    fn queue(&self, kind: Kind) -> &Queue<Waiter<C, E>> {
        match kind {
            Kind::Exclusive => &self.exclusive,
            Kind::Lease => &self.lease,
        }
    }

    fn queue_mut(&mut self, kind: Kind) -> &mut Queue<Waiter<C, E>> {
        match kind {
            Kind::Exclusive => &mut self.exclusive,
            Kind::Lease => &mut self.lease,
        }
    }
}

/// How far a waiter's place in line is counted one by one.
const COUNTED: usize = 1_000;

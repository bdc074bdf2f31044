//! What pools have of their group: their part in it, the places of their connections, the wait for one.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Shared;
use crate::ledger::{Answer, Ledger, MemberId, Ticket};
use crate::transition::Needs;

/// A pool's part in its group; it ends with the drop.
pub(crate) struct Membership {
    group: Arc<Shared>,
    id: MemberId,
}

impl Membership {
    pub(super) const fn new(group: Arc<Shared>, id: MemberId) -> Self {
        Self { group, id }
    }

    /// Asks for a place, to be waited for.
    pub(crate) fn place(&self) -> Asking {
        // Who is to be woken is told with the first poll.
        let ask = |ledger: &mut Ledger| ledger.ask(self.id, Waker::noop().clone());
        Asking {
            group: Arc::clone(&self.group),
            member: self.id,
            ticket: Some(self.group.change(ask)),
        }
    }

    /// Tells what the pool waits for.
    pub(crate) fn tell(&self, needs: Needs) {
        let refused = self.group.change(|ledger| ledger.hear(self.id, needs));
        refused.into_iter().for_each(Waker::wake);
        self.group.look_for_places(None);
    }

    /// Tells of a connection that is idle.
    pub(crate) fn offer(&self) {
        self.group.look_for_places(Some(self.id));
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut books = self.group.books.lock();
        let refused = books.ledger.leave(self.id);
        let gone = books.members.remove(&self.id);
        drop(books);
        drop(gone);
        refused.into_iter().for_each(Waker::wake);
        self.group.look_for_places(None);
    }
}

/// The right to have one connection, from before it is opened until it is gone. Its drop gives it back.
#[must_use = "without it nothing may be opened"]
pub(crate) struct Place {
    group: Arc<Shared>,
    member: MemberId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.group.change(|ledger| ledger.give_back(self.member));
        self.group.look_for_places(None);
    }
}

/// A wait for a place. Dropped, it leaves the line, and gives back what it has been given.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Asking {
    group: Arc<Shared>,
    member: MemberId,
    ticket: Option<Ticket>,
}

impl Asking {
    /// The place, if there is one without a wait.
    pub(crate) fn at_once(&mut self) -> Option<Place> {
        self.answer(&mut None).flatten()
    }

    fn answer(&mut self, waker: &mut Option<Waker>) -> Option<Option<Place>> {
        let Some(ticket) = self.ticket else {
            return Some(None);
        };
        let answer = self.group.books.lock().ledger.answer(ticket, waker)?;
        self.ticket = None;
        let place = (answer == Answer::Granted).then(|| Place {
            group: Arc::clone(&self.group),
            member: self.member,
        });
        Some(place)
    }
}

impl Future for Asking {
    /// Nothing where it is not wanted any more.
    type Output = Option<Place>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Place>> {
        let mut waker = Some(cx.waker().clone());
        match self.answer(&mut waker) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            drop(self.group.change(|ledger| ledger.withdraw(ticket)));
            self.group.look_for_places(None);
        }
    }
}

/// A connection and its place, which is free once the connection is gone: fields are dropped in order.
pub(crate) struct Placed<C> {
    connection: C,
    _place: Option<Place>,
}

impl<C> Placed<C> {
    pub(crate) const fn new(connection: C, place: Option<Place>) -> Self {
        Self {
            connection,
            _place: place,
        }
    }

    /// The connection without its place.
    pub(crate) fn into_connection(self) -> C {
        self.connection
    }
}

impl<C> Deref for Placed<C> {
    type Target = C;

    #[inline]
    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Placed<C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

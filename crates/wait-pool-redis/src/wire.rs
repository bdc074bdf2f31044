//! A connection that many use at once: one socket, one buffer to write from, one task that reads.
//!
//! Whoever has something to send writes it into the connection's buffer and says who takes the answers. If
//! nothing is under way there, he writes to the socket at once; else the connection's task does, after all
//! that can run has run: so what many callers send leaves in one write. The task reads, and gives each answer to
//! whom it is for, in the order of the requests.
//!
//! One of the users is redis-rs ([`guest`]): its `MultiplexedConnection` has this connection for a socket. So the
//! handshake, and whatever takes a connection of one's own, is redis-rs's business as ever.
//!
//! Nothing here knows of pools, nodes or redirects.

mod call;
mod command;
mod driver;
mod frame;
mod guest;
mod outbox;
mod reply;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use redis::{Cmd, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Lost;

pub(crate) use call::{Call, Calling, Ended};
pub(crate) use command::{write, write_framed, write_more, write_words};
use driver::Driver;
pub(crate) use guest::Guest;
use guest::Inbox;
use outbox::{Expected, Outbox};

/// The end of a socket that is read from.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Sync + Unpin>;
/// The end of a socket that is written to.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// Takes the answers to requests.
pub(crate) trait Receiver: fmt::Debug + Send + Sync {
    /// All answers to a part of a request have come. Leaves `answers` empty.
    fn answered(&self, part: u32, answers: &mut Vec<Value>);

    /// They have not come by the deadline. Should they still come, nobody hears of it.
    fn late(&self, part: u32);

    /// None will come.
    fn lost(&self, part: u32, lost: Lost);
}

/// A connection. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    outbox: Outbox,
    inbox: Inbox,
}

impl Wire {
    /// A connection on a socket, the task that it lives by, and redis-rs's end of it. It ends with its task, and with
    /// the guest. `has_pushes` says that the protocol is RESP3.
    pub(crate) fn new(
        reader: Reader,
        writer: Writer,
        has_pushes: bool,
    ) -> (Self, impl Future<Output = ()> + Send + use<>, Guest) {
        let shared = Arc::new(Shared {
            outbox: Outbox::new(writer),
            inbox: Inbox::default(),
        });
        let driver = Driver::new(Arc::clone(&shared), reader);
        let guest = Guest::new(Arc::clone(&shared), has_pushes);
        (Self { shared }, driver, guest)
    }

    /// Sends what `write` writes, which is answered by so many replies. They go to `receiver`, as a part of what
    /// it waits for, if they come by the deadline.
    ///
    /// Never waits: what the socket does not take now is kept, so [ask for room](Self::poll_room) before. Costs one lock; two and a system call where nothing
    /// else is under way.
    ///
    /// # Errors
    ///
    /// If the connection has ended. The receiver hears nothing then.
    pub(crate) fn send(
        &self,
        receiver: Arc<dyn Receiver>,
        part: u32,
        replies: u32,
        deadline: Option<Instant>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Lost> {
        let expected = Expected::Replies {
            receiver,
            part,
            left: replies,
        };
        self.shared.outbox.send([expected], deadline, write)
    }

    /// Sends commands whose answers nobody waits for.
    pub(crate) fn tell(&self, commands: &[Cmd]) {
        if commands.is_empty() {
            return;
        }
        let nobody = Call::alone(commands.len());
        let count = commands.len() as u32;
        nobody.send(0, count, self, None, |bytes| {
            commands.iter().for_each(|cmd| write(bytes, cmd));
        });
    }

    /// Whether there is room for a request. If not, the task is woken when there is: what a server does not read for long is
    /// bounded. One atomic load where there is.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.shared.outbox.poll_room(cx)
    }

    /// Whether there is no room for a request. One atomic load.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.outbox.is_full()
    }

    /// Whether it has ended. One atomic load.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.outbox.is_ended()
    }

    /// Ends it. Those who wait for answers are told.
    pub(crate) fn close(&self) {
        self.shared.end(closed());
    }
}

impl Shared {
    fn end(&self, error: RedisError) {
        self.outbox.end(error);
        self.inbox.end();
    }
}

/// What redis-rs says of a connection that has ended.
fn closed() -> RedisError {
    io::Error::from(io::ErrorKind::BrokenPipe).into()
}

#[cfg(test)]
mod tests;

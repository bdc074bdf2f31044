//! redis-rs as one of those who use a connection: what it takes for a socket.
//!
//! Commands that it writes wait for their replies among those of others, and get them as they came. It also gets
//! what nobody has asked for. So its `MultiplexedConnection` does what it always does, while others use the same
//! connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::Frame;
use super::outbox::Expected;
use super::{Shared, closed};

/// redis-rs's end of a connection. Its drop ends the connection.
pub(crate) struct Guest {
    shared: Arc<Shared>,
    /// What has been written, up to where a command ends.
    written: BytesMut,
    frame: Frame,
    has_pushes: bool,
}

/// What redis-rs is to read.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Inbound>);

#[derive(Debug, Default)]
struct Inbound {
    bytes: BytesMut,
    reader: Option<Waker>,
    ended: bool,
}

impl Inbox {
    pub(super) fn put(&self, bytes: &[u8]) {
        let mut inbound = self.0.lock();
        inbound.bytes.extend_from_slice(bytes);
        let reader = inbound.reader.take();
        drop(inbound);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(super) fn end(&self) {
        let mut inbound = self.0.lock();
        inbound.ended = true;
        let reader = inbound.reader.take();
        drop(inbound);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Guest {
    pub(super) fn new(shared: Arc<Shared>, has_pushes: bool) -> Self {
        Self {
            shared,
            written: BytesMut::new(),
            frame: Frame::default(),
            has_pushes,
        }
    }

    /// Sends the commands that are complete.
    fn send(&mut self) -> io::Result<()> {
        let (mut end, mut replies) = (0, 0);
        loop {
            let rest = &self.written[end..];
            let garbled = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
            let Some(length) = (match rest {
                [] => None,
                _ => self.frame.end(rest).map_err(garbled)?,
            }) else {
                break;
            };
            let by_pushes = self.has_pushes && is_answered_by_pushes(&rest[..length]);
            replies += usize::from(!by_pushes);
            end += length;
        }
        if end == 0 {
            return Ok(());
        }
        let expected = (0..replies).map(|_| Expected::Guest);
        let commands = &self.written[..end];
        let sent = self
            .shared
            .outbox
            .send(expected, None, |bytes| bytes.extend_from_slice(commands));
        self.written.advance(end);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inbound = self.shared.inbox.0.lock();
        if !inbound.bytes.is_empty() {
            let count = inbound.bytes.len().min(buf.remaining());
            buf.put_slice(&inbound.bytes[..count]);
            inbound.bytes.advance(count);
            return Poll::Ready(Ok(()));
        }
        if inbound.ended {
            return Poll::Ready(Ok(()));
        }
        inbound.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        self.send()?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.end(closed());
        Poll::Ready(Ok(()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shared.end(closed());
    }
}

/// Whether a command is answered by pushes, where the protocol has them.
/// <https://redis.io/docs/latest/develop/pubsub/#wire-protocol-format>
fn is_answered_by_pushes(command: &[u8]) -> bool {
    // The count of words, the length of the first, the word.
    let name = command.split(|&byte| byte == b'\n').nth(2);
    let name = name.and_then(|line| line.strip_suffix(b"\r"));
    name.is_some_and(|name| {
        let is = |known: &&[u8]| name.eq_ignore_ascii_case(known);
        SUBSCRIBING.iter().any(is)
    })
}

const SUBSCRIBING: [&[u8]; 6] = [
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"PSUBSCRIBE",
    b"PUNSUBSCRIBE",
    b"SSUBSCRIBE",
    b"SUNSUBSCRIBE",
];

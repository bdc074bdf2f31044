//! The task of a connection: reads, hands replies out, and writes what has gathered.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use redis::{RedisResult, Value};
use tokio::io::AsyncReadExt;
use tokio::time::{Sleep, sleep_until};

use super::frame::Frame;
use super::outbox::{Expected, Waiting};
use super::reply::Replies;
use super::{Reader, Shared, closed};

pub(super) struct Driver {
    shared: Arc<Shared>,
    reader: Reader,
    /// What has been read and not been handed out.
    buffer: BytesMut,
    /// The reply at its front, as far as it is known.
    replies: Replies,
    /// The same of one that is handed on as it is.
    frame: Frame,
    /// Whom the reply at the front is for, if some of it has come.
    whose: Option<Whose>,
    /// Whom the next replies are for.
    waiting: VecDeque<Waiting>,
    /// How many of them are through.
    served: usize,
    /// Of the first who waits.
    answers: Vec<Value>,
    /// When somebody's time is up.
    alarm: Option<Pin<Box<Sleep>>>,
    /// All that could run has run since there was something to write.
    gathered: bool,
}

/// Whom a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The first of those who wait.
    Waiting,
    /// The same, who is redis-rs.
    Guest,
    /// Nobody waits for it. It is redis-rs's business.
    Nobody,
}

/// How much is read at once.
const READ: usize = 64 * 1024;

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, reader: Reader) -> Self {
        Self {
            shared,
            reader,
            buffer: BytesMut::new(),
            replies: Replies::default(),
            frame: Frame::default(),
            whose: None,
            waiting: VecDeque::new(),
            served: 0,
            answers: Vec::new(),
            alarm: None,
            gathered: false,
        }
    }

    /// Reads once.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<RedisResult<()>> {
        self.buffer.reserve(READ);
        let read = pin!(self.reader.read_buf(&mut self.buffer));
        match ready!(read.poll(cx))? {
            0 => Poll::Ready(Err(closed())),
            _ => Poll::Ready(self.hand_out()),
        }
    }

    /// Hands out all replies that are complete.
    fn hand_out(&mut self) -> RedisResult<()> {
        while !self.buffer.is_empty() {
            if self.waiting.is_empty() {
                self.turn_over();
            }
            let whose = self.whose.unwrap_or_else(|| self.next());
            let is_complete = match whose {
                Whose::Waiting => self.answer()?,
                Whose::Guest | Whose::Nobody => self.pass_on()?,
            };
            self.whose = (!is_complete).then_some(whose);
            if !is_complete {
                break;
            }
            if whose != Whose::Nobody {
                self.count();
            }
        }
        self.turn_over();
        Ok(())
    }

    /// Whom the reply is for whose first byte has come.
    fn next(&self) -> Whose {
        let first = self.waiting.front().map(|first| &first.expected);
        match first {
            // Not a reply, but something in between.
            _ if self.buffer[0] == b'>' => Whose::Nobody,
            Some(Expected::Replies { .. }) => Whose::Waiting,
            Some(Expected::Guest) => Whose::Guest,
            None => Whose::Nobody,
        }
    }

    /// Takes in replies for the first who waits. Tells whether the one at the front was complete.
    fn answer(&mut self) -> RedisResult<bool> {
        let mut input = &self.buffer[..];
        let value = self.replies.next(&mut input)?;
        let taken = self.buffer.len() - input.len();
        self.buffer.advance(taken);
        let Some(value) = value else {
            return Ok(false);
        };
        self.answers.push(value);
        Ok(true)
    }

    /// Gives redis-rs a reply as it is, if it is complete.
    fn pass_on(&mut self) -> RedisResult<bool> {
        let Some(end) = self.frame.end(&self.buffer)? else {
            return Ok(false);
        };
        self.shared.inbox.put(&self.buffer[..end]);
        self.buffer.advance(end);
        Ok(true)
    }

    /// The first who waits has had a reply. With the last one he waits no more.
    fn count(&mut self) {
        let Some(first) = self.waiting.front_mut() else {
            return;
        };
        if let Expected::Replies {
            receiver,
            part,
            left,
        } = &mut first.expected
        {
            *left -= 1;
            if *left > 0 {
                return;
            }
            receiver.answered(*part, &mut self.answers);
        }
        self.waiting.pop_front();
        self.served += 1;
    }

    fn turn_over(&mut self) {
        let outbox = &self.shared.outbox;
        outbox.turn_over(&mut self.waiting, &mut self.served);
    }

    /// Tells those whose time is up. Gives whether there is something to write.
    fn keep_time(&mut self, cx: &mut Context<'_>) -> bool {
        let outbox = &self.shared.outbox;
        loop {
            let (is_told, alarm) = outbox.driven_by(cx.waker());
            let Some(alarm) = alarm else {
                self.alarm = None;
                return is_told;
            };
            let alarm = alarm.into();
            let sleep = self
                .alarm
                .get_or_insert_with(|| Box::pin(sleep_until(alarm)));
            if sleep.deadline() != alarm {
                sleep.as_mut().reset(alarm);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return is_told;
            }
            outbox.expire(&self.waiting, alarm.into_std());
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<RedisResult<()>> {
        while let Poll::Ready(read) = self.read(cx) {
            read?;
        }
        let is_told = self.keep_time(cx);
        if self.shared.outbox.is_ended() {
            return Poll::Ready(Ok(()));
        }
        if is_told {
            // Who is about to run may have something to send, which can go with the rest.
            if !self.gathered {
                self.gathered = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.gathered = false;
            ready!(self.shared.outbox.flush(cx))?;
        }
        Poll::Pending
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.drive(cx)) {
            self.shared.end(error);
        }
        Poll::Ready(())
    }
}

/// However the task ends: so does the connection.
impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.end(closed());
        let waiting = std::mem::take(&mut self.waiting);
        self.shared.outbox.lose(waiting);
    }
}

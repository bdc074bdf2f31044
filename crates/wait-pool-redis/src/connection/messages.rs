//! What the server sends unasked, as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::Stream;
use redis::{PushInfo, RedisResult};

use super::Connection;
use crate::error;
use crate::pushes::{self, Messages};

impl Connection {
    /// What the server sends unasked on this connection from now on: messages of
    /// [subscriptions](Self::subscribe), the confirmations of those, invalidations of `CLIENT
    /// TRACKING`, and at the end `Disconnection`. In the order in which it came.
    ///
    /// There is one stream for a connection: the one before it ends when this is called again. As
    /// long as it is there the connection is in use, as with a clone.
    ///
    /// Costs nothing to call. Up to 16,384 messages wait for their reader; one that falls further
    /// behind [is cut off](PushMessages::is_overrun), as a server does with clients that do not read.
    ///
    /// # Errors
    ///
    /// The protocol has no pushes: it takes `?protocol=resp3` in the URL.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = wait_pool_redis::Pool::builder("redis://127.0.0.1/?protocol=resp3").build()?;
    /// let mut own = pool.get().await?;
    /// let mut messages = own.push_messages()?;
    /// own.subscribe(&["news", "weather"]).await?;
    /// while let Some(message) = messages.recv().await {
    ///     println!("{:?}: {:?}", message.kind, message.data);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn push_messages(&self) -> RedisResult<PushMessages> {
        if !self.own.has_pushes() {
            return Err(error::no_pushes());
        }
        match self.own.pushes() {
            Some(pushes) => Ok(PushMessages {
                messages: pushes.listen(pushes::CAPACITY),
                own: self.clone(),
            }),
            None => Err(error::hung_up()),
        }
    }
}

/// What a server sends unasked. Made by [`Connection::push_messages`].
#[must_use = "messages come to whoever reads them"]
pub struct PushMessages {
    messages: Messages,
    /// The connection is there as long as its messages are wanted.
    own: Connection,
}

impl PushMessages {
    /// The next message. None once the connection is gone, another stream of it has been made, or
    /// this one [has fallen behind](Self::is_overrun).
    ///
    /// Cancel-safe: no message is lost by a dropped future.
    pub async fn recv(&mut self) -> Option<PushInfo> {
        self.messages.from.recv().await
    }

    /// Whether messages came that there was no room for. The stream ends after those before them.
    pub fn is_overrun(&self) -> bool {
        self.messages.overrun.load(Ordering::Relaxed)
    }
}

impl Stream for PushMessages {
    type Item = PushInfo;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PushInfo>> {
        self.messages.from.poll_recv(cx)
    }
}

impl fmt::Debug for PushMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushMessages")
            .field("waiting", &self.messages.from.len())
            .field("overrun", &self.is_overrun())
            .field("own", &self.own)
            .finish()
    }
}

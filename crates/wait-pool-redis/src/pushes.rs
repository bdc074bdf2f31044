//! What a server sends unasked on a connection, on its way to whoever has the connection alone.
//!
//! Every RESP3 connection is opened with a [`Pushes`] behind it. While nobody listens, what comes is
//! thrown away, as on shared connections, where nothing comes.
//!
//! It also watches over a flaw of redis-rs: a server may end a sharded subscription by itself, when the
//! slot goes elsewhere, and redis-rs takes that message for the answer to whatever is asked at the time. From
//! then on each request would have the answer of the one before.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How many messages may wait for their reader.
pub(crate) const CAPACITY: usize = 16_384;

/// The state of one connection's messages.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listener: Option<Listener>,
    /// The sharded channels that the server has confirmed.
    sharded: HashSet<Vec<u8>>,
    /// Requests whose answers are still to come, also those that nobody waits for any more.
    under_way: usize,
    /// The channels of the `SUNSUBSCRIBE`s among them.
    leaving: Vec<Vec<u8>>,
    mixed_up: bool,
}

#[derive(Debug)]
struct Listener {
    to: mpsc::Sender<PushInfo>,
    overrun: Arc<AtomicBool>,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) from: mpsc::Receiver<PushInfo>,
    pub(crate) overrun: Arc<AtomicBool>,
}

impl Pushes {
    /// Has messages sent here from now on. Whoever listened before hears no more.
    pub(crate) fn listen(&self, capacity: usize) -> Messages {
        let (to, from) = mpsc::channel(capacity);
        let overrun = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            to,
            overrun: Arc::clone(&overrun),
        };
        let before = self.state.lock().listener.replace(listener);
        // Wakes the other, without the lock.
        drop(before);
        Messages { from, overrun }
    }

    /// What the connection's own task hands over, in the order in which it came and before the answers
    /// behind it.
    pub(crate) fn take(&self, push: PushInfo) {
        let mut state = self.state.lock();
        match push.kind {
            PushKind::SSubscribe => drop(state.sharded.insert(channel(&push))),
            PushKind::SUnsubscribe => state.left(&channel(&push)),
            _ => {}
        }
        let Some(listener) = &state.listener else {
            return;
        };
        // Does not block, and wakes a task at most.
        let sent = listener.to.try_send(push);
        if let Err(TrySendError::Full(_)) = sent {
            listener.overrun.store(true, Ordering::Relaxed);
        }
        if sent.is_err() {
            let gone = state.listener.take();
            drop(state);
            drop(gone);
        }
    }

    /// A request is about to be sent that leaves these sharded channels.
    pub(crate) fn begin(&self, leaving: &[Vec<u8>]) {
        let mut state = self.state.lock();
        state.under_way += 1;
        state.leaving.extend_from_slice(leaving);
    }

    /// Its answer has come. Tells whether that can be believed.
    pub(crate) fn answered(&self, leaving: &[Vec<u8>]) -> bool {
        let mut state = self.state.lock();
        state.under_way -= 1;
        // Those that were refused.
        for channel in leaving {
            state.stays(channel);
        }
        !state.mixed_up
    }

    /// Whether answers can no longer be matched to requests.
    pub(crate) fn are_mixed_up(&self) -> bool {
        self.state.lock().mixed_up
    }

    /// The sharded channels that the server sends messages of.
    pub(crate) fn sharded(&self) -> Vec<Vec<u8>> {
        self.state.lock().sharded.iter().cloned().collect()
    }
}

impl State {
    /// The server says that a sharded subscription has ended.
    fn left(&mut self, channel: &[u8]) {
        self.sharded.remove(channel);
        let asked = self.stays(channel);
        self.mixed_up |= !asked && self.under_way > 0;
    }

    /// Nobody waits for the end of a subscription any more. Tells whether somebody did.
    fn stays(&mut self, channel: &[u8]) -> bool {
        let place = self.leaving.iter().position(|leaving| leaving == channel);
        place.map(|place| self.leaving.swap_remove(place)).is_some()
    }
}

/// The channel that a confirmation is for; empty if it is for none.
fn channel(push: &PushInfo) -> Vec<u8> {
    match push.data.first() {
        Some(Value::BulkString(name)) => name.clone(),
        Some(Value::SimpleString(name)) => name.clone().into_bytes(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(kind: PushKind, channel: &str) -> PushInfo {
        let channel = Value::BulkString(channel.into());
        PushInfo {
            kind,
            data: vec![channel, Value::Int(0)],
        }
    }

    fn received(messages: &mut Messages) -> Vec<PushInfo> {
        std::iter::from_fn(|| messages.from.try_recv().ok()).collect()
    }

    #[test]
    fn messages_reach_who_listens_last_in_order() {
        let pushes = Pushes::default();
        pushes.take(push(PushKind::Message, "nobody"));
        let mut first = pushes.listen(9);
        pushes.take(push(PushKind::Message, "a"));
        pushes.take(push(PushKind::PMessage, "b"));
        let mut second = pushes.listen(9);
        pushes.take(push(PushKind::Message, "c"));
        assert_eq!(
            received(&mut first),
            [push(PushKind::Message, "a"), push(PushKind::PMessage, "b")]
        );
        assert!(first.from.is_closed());
        assert_eq!(received(&mut second), [push(PushKind::Message, "c")]);
    }

    #[test]
    fn who_falls_behind_hears_no_more_and_knows_it() {
        let pushes = Pushes::default();
        let mut messages = pushes.listen(2);
        for _ in 0..4 {
            pushes.take(push(PushKind::Message, "a"));
        }
        assert!(messages.overrun.load(Ordering::Relaxed));
        assert_eq!(received(&mut messages).len(), 2);
        assert!(messages.from.is_closed());
        drop(messages);
        pushes.take(push(PushKind::Message, "a"));
    }

    #[test]
    fn an_end_that_nobody_asked_for_mixes_answers_up_only_while_one_is_awaited() {
        let gone = || push(PushKind::SUnsubscribe, "a");
        // Nothing is under way.
        let pushes = Pushes::default();
        pushes.take(gone());
        assert!(!pushes.are_mixed_up());
        // Asked for.
        let leaving = [b"a".to_vec()];
        pushes.begin(&leaving);
        pushes.take(gone());
        assert!(pushes.answered(&leaving));
        // Of another channel.
        pushes.begin(&[b"b".to_vec()]);
        pushes.take(gone());
        assert!(!pushes.answered(&[b"b".to_vec()]));
        // With a request whose answer nobody waits for.
        let pushes = Pushes::default();
        pushes.begin(&[]);
        pushes.take(gone());
        assert!(pushes.are_mixed_up());
        // Asked for once, and come twice.
        let pushes = Pushes::default();
        pushes.begin(&leaving);
        pushes.take(gone());
        pushes.take(gone());
        assert!(!pushes.answered(&leaving));
        // Refused: nobody waits for it any more.
        let pushes = Pushes::default();
        pushes.begin(&leaving);
        assert!(pushes.answered(&leaving));
        pushes.begin(&[]);
        pushes.take(gone());
        assert!(!pushes.answered(&[]));
    }

    #[test]
    fn the_sharded_channels_are_known() {
        let pushes = Pushes::default();
        for channel in ["a", "b", "a"] {
            pushes.take(push(PushKind::SSubscribe, channel));
        }
        pushes.take(push(PushKind::SUnsubscribe, "b"));
        assert_eq!(pushes.sharded(), [b"a".to_vec()]);
    }
}

//! Who waits for which read: one of a kind at a time, joined only while it is not under way.
//!
//! Two reads are the same if they have the same bytes on the wire. The first caller that wants one gets a
//! [`Claim`], the duty to have it sent; whoever wants the same meanwhile joins. When the read *departs*, its
//! callers are fixed: who comes later waits for the next one, which departs when this one has *landed*. So
//! everybody's read is sent after he asked for it, and nobody is handed a value older than what he knows
//! already, such as one from before his own write. The price is that his read may begin up to one round trip
//! later.
//!
//! Claims do not belong to callers, so one that gives up leaves the others undisturbed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use redis::{Cmd, Value};
use tokio::sync::oneshot;

use crate::error::Failure;

/// The reads that are claimed, with the callers that wait for the next departure of each.
#[derive(Default)]
pub(super) struct Share {
    claimed: Mutex<HashMap<Arc<[u8]>, Vec<Caller>>>,
}

/// Somebody who waits for an answer.
pub(super) struct Caller {
    pub(super) answer: oneshot::Sender<Result<Value, Failure>>,
    pub(super) deadline: Option<Instant>,
}

impl Caller {
    fn still_waits(&self, now: Instant) -> bool {
        !self.answer.is_closed() && self.deadline.is_none_or(|deadline| deadline > now)
    }
}

/// The duty to have a read sent. Dropped, it leaves its callers without an answer, and they may see to it themselves.
pub(super) struct Claim {
    share: Arc<Share>,
    wire: Arc<[u8]>,
    pub(super) cmd: Cmd,
    held: bool,
}

impl Share {
    /// Joins those who wait for the next departure of a read, and gives the duty to see to it, if
    /// nobody has it yet.
    pub(super) fn join(self: &Arc<Self>, cmd: Cmd, caller: Caller) -> Option<Claim> {
        let wire: Arc<[u8]> = cmd.get_packed_command().into();
        let mut claimed = self.claimed.lock();
        if let Some(callers) = claimed.get_mut(&wire) {
            callers.push(caller);
            return None;
        }
        claimed.insert(Arc::clone(&wire), vec![caller]);
        drop(claimed);
        Some(Claim {
            share: Arc::clone(self),
            wire,
            cmd,
            held: true,
        })
    }
}

impl Claim {
    /// The read as it is on the wire.
    pub(super) fn packed(&self) -> &[u8] {
        &self.wire
    }

    /// How many bytes it has on the wire.
    pub(super) fn size(&self) -> usize {
        self.wire.len()
    }

    /// Those whose answer the read now sent will be. Who comes later waits for the next.
    pub(super) fn depart(&self, now: Instant) -> Vec<Caller> {
        let mut callers = match self.share.claimed.lock().get_mut(&self.wire) {
            Some(callers) => std::mem::take(callers),
            None => Vec::new(),
        };
        callers.retain(|caller| caller.still_waits(now));
        callers
    }

    /// The duty to send the read again, if somebody has come meanwhile.
    pub(super) fn land(mut self) -> Option<Self> {
        let mut claimed = self.share.claimed.lock();
        if claimed.get(&self.wire).is_some_and(|next| !next.is_empty()) {
            drop(claimed);
            return Some(self);
        }
        claimed.remove(&self.wire);
        drop(claimed);
        self.held = false;
        None
    }

    /// Gives up, and tells those who wait why.
    pub(super) fn fail(mut self, failure: &Failure) {
        for caller in self.release() {
            let _ = caller.answer.send(Err(failure.clone()));
        }
    }

    fn release(&mut self) -> Vec<Caller> {
        if !std::mem::take(&mut self.held) {
            return Vec::new();
        }
        let callers = self.share.claimed.lock().remove(&self.wire);
        callers.unwrap_or_default()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Behind the lock: whoever waits is woken.
        drop(self.release());
    }
}

/// Keys and values are the caller's own business.
impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("claimed", &self.claimed.lock().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    type Answer = oneshot::Receiver<Result<Value, Failure>>;

    struct Desk {
        share: Arc<Share>,
        now: Instant,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                share: Arc::default(),
                now: Instant::now(),
            }
        }

        fn ask(&self, key: &str) -> (Option<Claim>, Answer) {
            self.ask_until(key, None)
        }

        fn ask_until(&self, key: &str, deadline: Option<Instant>) -> (Option<Claim>, Answer) {
            let (answer, answered) = oneshot::channel();
            let caller = Caller { answer, deadline };
            let cmd = redis::cmd("GET").arg(key).take();
            (self.share.join(cmd, caller), answered)
        }

        fn is_empty(&self) -> bool {
            self.share.claimed.lock().is_empty()
        }
    }

    fn deliver(callers: Vec<Caller>, value: i64) {
        for caller in callers {
            let _ = caller.answer.send(Ok(Value::Int(value)));
        }
    }

    fn value(answer: &mut Answer) -> Option<i64> {
        match answer.try_recv() {
            Ok(Ok(Value::Int(value))) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn a_read_is_joined_until_it_departs() {
        let desk = Desk::new();
        let (claim, mut first) = desk.ask("k");
        let claim = claim.unwrap();
        let (none, mut second) = desk.ask("k");
        assert!(none.is_none());
        let callers = claim.depart(desk.now);
        let (none, mut third) = desk.ask("k");
        assert!(none.is_none(), "one is under way");
        deliver(callers, 1);
        let claim = claim.land().expect("somebody has come meanwhile");
        assert_eq!(value(&mut first), Some(1));
        assert_eq!(value(&mut second), Some(1));
        assert_eq!(value(&mut third), None);
        deliver(claim.depart(desk.now), 2);
        assert!(claim.land().is_none());
        assert_eq!(value(&mut third), Some(2));
        assert!(desk.is_empty());
    }

    #[test]
    fn other_reads_are_others() {
        let desk = Desk::new();
        let (claim, _first) = desk.ask("k");
        let (other, _second) = desk.ask("l");
        assert!(claim.is_some() && other.is_some());
    }

    #[test]
    fn who_has_given_up_is_not_read_for() {
        let desk = Desk::new();
        let (claim, first) = desk.ask("k");
        let soon = Some(desk.now + Duration::from_secs(1));
        let (_, mut second) = desk.ask_until("k", soon);
        let (_, mut third) = desk.ask("k");
        drop(first);
        let claim = claim.unwrap();
        let callers = claim.depart(desk.now + Duration::from_secs(1));
        assert_eq!(callers.len(), 1);
        deliver(callers, 1);
        assert_eq!((value(&mut second), value(&mut third)), (None, Some(1)));
    }

    #[test]
    fn a_claim_that_is_dropped_lets_everybody_go_and_the_next_begin() {
        let desk = Desk::new();
        let (claim, mut first) = desk.ask("k");
        let callers = claim.as_ref().unwrap().depart(desk.now);
        let (_, mut second) = desk.ask("k");
        drop((claim, callers));
        for answer in [&mut first, &mut second] {
            assert_eq!(answer.try_recv().err(), Some(TryRecvError::Closed));
        }
        assert!(desk.is_empty());
        let (claim, _third) = desk.ask("k");
        // The end of one that has landed is not the end of another.
        let claim = claim.unwrap();
        claim.depart(desk.now);
        assert!(claim.land().is_none());
        let (again, _fourth) = desk.ask("k");
        assert!(again.is_some() && !desk.is_empty());
    }

    #[test]
    fn a_failure_is_told_to_all() {
        let desk = Desk::new();
        let (claim, mut first) = desk.ask("k");
        let (_, mut second) = desk.ask("k");
        claim.unwrap().fail(&Failure::unserved());
        assert!(matches!(first.try_recv(), Ok(Err(_))));
        assert!(matches!(second.try_recv(), Ok(Err(_))));
        assert!(desk.is_empty());
    }
}

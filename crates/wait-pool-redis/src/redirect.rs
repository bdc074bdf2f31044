//! What comes after an answer, or the lack of one: it stands, or the command is sent on, again, or with more.
//!
//! | answer | has it run? | what comes next | topology |
//! |---|---|---|---|
//! | `MOVED slot node` | no | to that node | patched, looked up |
//! | `ASK slot node` | no | to that node, behind `ASKING` | |
//! | `TRYAGAIN` | no | to the same node, after a pause | |
//! | `LOADING` | no | to the same node, after a pause; a read of a replica to its primary | |
//! | `CLUSTERDOWN` | no | to the slot's owner, after a pause | looked up |
//! | `READONLY` | no | to the slot's owner, of one sent to all primaries to who leads its shard then, after a pause | looked up |
//! | `MASTERDOWN` | no | to the slot's owner, after a pause | looked up |
//! | `NOSCRIPT` | no | to the same node, behind `SCRIPT LOAD` if the script is known | |
//! | any other | yes | it stands | |
//! | no connection | no | elsewhere, if somebody else serves the slot by now | looked up |
//! | connection lost before it was written | no | again | looked up |
//! | connection lost | perhaps | again, if it only reads or the user allows it | looked up |
//! | no place, or no answer, in time | perhaps | it stands | |
//!
//! [`Budget`] says how often, and the request's deadline for how long. What has not run may be sent
//! again whatever it is.
//!
//! MOVED, ASK, TRYAGAIN: <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>.

use std::time::Duration;

use redis::{ServerError, ServerErrorKind};

use crate::error::FailureKind;
use crate::node::NodeAddr;
use crate::slot::Slot;

/// What comes after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It stands.
    Stands,
    /// The slot has a new owner, for good.
    Moved(Slot, NodeAddr),
    /// The slot is being moved and this key is there already.
    Ask(NodeAddr),
    /// The same again, to the same node.
    Again,
    /// The same again after a pause, to the same node.
    Later,
    /// The same after a pause, to whoever serves the slot then.
    Owner,
    /// The same at once, if anybody else serves the slot.
    Elsewhere,
    /// The same again, behind the script that the node does not know.
    WithScript,
}

impl Next {
    /// Whether it is the node that could not answer, so that another one might.
    pub(crate) const fn is_about_the_node(&self) -> bool {
        matches!(
            self,
            Self::Later | Self::Owner | Self::Again | Self::Elsewhere
        )
    }
}

/// What an error by the node `asked` asks for.
pub(crate) fn after_error(error: &ServerError, asked: &NodeAddr) -> Next {
    use ServerErrorKind as Kind;
    match error.kind() {
        Some(kind @ (Kind::Moved | Kind::Ask)) => match place(error, asked) {
            // A node that points at itself would be asked again at once, to no avail.
            Some((_, addr)) if addr == *asked => Next::Stands,
            Some((slot, addr)) if kind == Kind::Moved => Next::Moved(slot, addr),
            Some((_, addr)) => Next::Ask(addr),
            None => Next::Stands,
        },
        Some(Kind::TryAgain | Kind::BusyLoading) => Next::Later,
        Some(Kind::ClusterDown | Kind::ReadOnly | Kind::MasterDown) => Next::Owner,
        Some(Kind::NoScript) => Next::WithScript,
        _ => Next::Stands,
    }
}

/// What the lack of an answer allows. `repeatable` says that running it twice does no harm.
pub(crate) const fn after_failure(kind: FailureKind, repeatable: bool) -> Next {
    match kind {
        FailureKind::NoConnection => Next::Elsewhere,
        FailureKind::ConnectionLost if repeatable => Next::Again,
        FailureKind::Unsent => Next::Again,
        _ => Next::Stands,
    }
}

/// The slot and the node that a redirect names.
fn place(error: &ServerError, asked: &NodeAddr) -> Option<(Slot, NodeAddr)> {
    let (slot, addr) = error.details()?.split_once(' ')?;
    let slot = Slot::new(slot.parse().ok()?)?;
    Some((slot, NodeAddr::parse_relative(addr.trim(), asked)?))
}

/// How often a command may still be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    at_once: u32,
    pauses: u32,
}

impl Budget {
    /// Enough at once for a slot that moves twice while it is asked for. Nodes may point at each other for a moment
    /// while a slot is handed over, so after that there are pauses, which add up to 1.2 s and more; a cluster
    /// whose nodes go on pointing at each other ends there.
    pub(crate) const WHOLE: Self = Self {
        at_once: 5,
        pauses: 8,
    };

    /// What is left after the command is sent once more, and the pause before that. `None` if it is used up.
    pub(crate) fn spend(self, pause: bool) -> Option<(Self, Duration)> {
        if pause || self.at_once == 0 {
            let pauses = self.pauses.checked_sub(1)?;
            let before = Self::WHOLE.pauses - self.pauses;
            return Some((Self { pauses, ..self }, pause_after(before)));
        }
        let at_once = self.at_once - 1;
        Some((Self { at_once, ..self }, Duration::ZERO))
    }
}

/// From 10 ms it doubles up to half a second; up to a quarter of it is taken off by chance, so that many
/// callers do not come back at once.
fn pause_after(pauses: u32) -> Duration {
    let longest = Duration::from_millis(500);
    let whole = Duration::from_millis(10).saturating_mul(1 << pauses.min(10));
    whole.min(longest).mul_f64(1.0 - 0.25 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn read(line: &str) -> Next {
        let asked = NodeAddr::new("10.0.0.1", 7000);
        match redis::parse_redis_value(line.as_bytes()).unwrap() {
            Value::ServerError(error) => after_error(&error, &asked),
            _ => Next::Stands,
        }
    }

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    #[test]
    fn redirects_are_read() {
        let there = NodeAddr::new("10.0.0.2", 6381);
        assert_eq!(
            read("-MOVED 3999 10.0.0.2:6381\r\n"),
            Next::Moved(slot(3999), there)
        );
        let there = NodeAddr::new("::1", 6381);
        assert_eq!(read("-ASK 3999 ::1:6381\r\n"), Next::Ask(there));
    }

    #[test]
    fn what_has_not_run_comes_again() {
        for (line, next) in [
            ("-TRYAGAIN Multiple keys\r\n", Next::Later),
            ("-LOADING Redis is loading\r\n", Next::Later),
            ("-CLUSTERDOWN Hash slot not served\r\n", Next::Owner),
            ("-READONLY You can't write\r\n", Next::Owner),
            ("-MASTERDOWN Link\r\n", Next::Owner),
            ("-NOSCRIPT No matching script\r\n", Next::WithScript),
        ] {
            assert_eq!(read(line), next, "{line:?}");
        }
    }

    #[test]
    fn another_node_may_answer_what_this_one_cannot() {
        let there = NodeAddr::new("10.0.0.2", 1);
        for next in [Next::Later, Next::Owner, Next::Again, Next::Elsewhere] {
            assert!(next.is_about_the_node(), "{next:?}");
        }
        for next in [
            Next::Stands,
            Next::WithScript,
            Next::Moved(slot(1), there.clone()),
            Next::Ask(there),
        ] {
            assert!(!next.is_about_the_node(), "{next:?}");
        }
    }

    #[test]
    fn a_node_that_does_not_know_its_host_means_the_one_asked() {
        let there = NodeAddr::new("10.0.0.1", 7001);
        assert_eq!(read("-MOVED 1 :7001\r\n"), Next::Moved(slot(1), there));
    }

    #[test]
    fn anything_else_is_the_answer() {
        for line in [
            "+OK\r\n",
            "$5\r\nMOVED\r\n",
            "-ERR no\r\n",
            "-WRONGTYPE no\r\n",
            "-BUSY no\r\n",
            "-MOVED\r\n",
            "-MOVED 1\r\n",
            "-MOVED 16384 a:1\r\n",
            "-MOVED -1 a:1\r\n",
            "-MOVED x a:1\r\n",
            "-MOVED 1 a\r\n",
            "-ASK 1 a:99999\r\n",
            "-MOVED 1 10.0.0.1:7000\r\n",
        ] {
            assert_eq!(read(line), Next::Stands, "{line:?}");
        }
    }

    #[test]
    fn what_may_have_run_is_left_unless_it_does_no_harm() {
        use FailureKind as Kind;
        assert_eq!(after_failure(Kind::NoConnection, false), Next::Elsewhere);
        assert_eq!(after_failure(Kind::Unsent, false), Next::Again);
        assert_eq!(after_failure(Kind::ConnectionLost, true), Next::Again);
        assert_eq!(after_failure(Kind::ConnectionLost, false), Next::Stands);
        for kind in [Kind::NoAnswer, Kind::Busy, Kind::Refused, Kind::Unserved] {
            assert_eq!(after_failure(kind, true), Next::Stands, "{kind:?}");
        }
    }

    #[test]
    fn a_budget_ends() {
        let count = |pause: bool| {
            let next = |budget: &Budget| budget.spend(pause).map(|(left, _)| left);
            std::iter::successors(Some(Budget::WHOLE), next).count() - 1
        };
        assert_eq!((count(false), count(true)), (5 + 8, 8));
        let pauses = (0..8).map(pause_after);
        let total: Duration = pauses.sum();
        assert!(total >= Duration::from_millis(1200), "{total:?}");
        assert!(pause_after(60) <= Duration::from_millis(500));
    }
}

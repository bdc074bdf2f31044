//! What an answer asks for: nothing, or to try elsewhere.
//!
//! MOVED and ASK: <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>.

use redis::{ServerError, ServerErrorKind, Value};

use crate::node::NodeAddr;
use crate::slot::Slot;

/// How many times a command is sent on after its first time. Enough for a slot that moves twice
/// while it is asked for; a cluster whose nodes point at each other ends here.
pub(crate) const MOST_REPEATS: u32 = 5;

/// Where a command is to be sent instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The slot has a new owner, for good.
    Moved(Slot, NodeAddr),
    /// The slot is being moved and this key is there already; `ASKING` has to come first.
    Ask(NodeAddr),
}

/// Reads the redirect out of an answer by the node `asked`, if it is one.
pub(crate) fn of_value(value: &Value, asked: &NodeAddr) -> Option<Redirect> {
    match value {
        Value::ServerError(error) => of_error(error, asked),
        _ => None,
    }
}

/// The same for an error that stands alone.
pub(crate) fn of_error(error: &ServerError, asked: &NodeAddr) -> Option<Redirect> {
    let kind = error.kind()?;
    if !matches!(kind, ServerErrorKind::Moved | ServerErrorKind::Ask) {
        return None;
    }
    let (slot, addr) = error.details()?.split_once(' ')?;
    let slot = Slot::new(slot.parse().ok()?)?;
    let addr = NodeAddr::parse_relative(addr.trim(), asked)?;
    Some(match kind {
        ServerErrorKind::Moved => Redirect::Moved(slot, addr),
        _ => Redirect::Ask(addr),
    })
}

/// Whether an answer says that the cluster is not what it was: somebody else may serve the slot.
pub(crate) fn casts_doubt(value: &Value) -> bool {
    let Value::ServerError(error) = value else {
        return false;
    };
    matches!(
        error.kind(),
        Some(
            ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Redirect> {
        let value = redis::parse_redis_value(line.as_bytes()).unwrap();
        of_value(&value, &NodeAddr::new("10.0.0.1", 7000))
    }

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    #[test]
    fn redirects_are_read() {
        assert_eq!(
            read("-MOVED 3999 10.0.0.2:6381\r\n"),
            Some(Redirect::Moved(slot(3999), NodeAddr::new("10.0.0.2", 6381)))
        );
        assert_eq!(
            read("-ASK 3999 ::1:6381\r\n"),
            Some(Redirect::Ask(NodeAddr::new("::1", 6381)))
        );
    }

    #[test]
    fn some_errors_cast_doubt_on_the_topology() {
        let doubt = |line: &str| casts_doubt(&redis::parse_redis_value(line.as_bytes()).unwrap());
        assert!(doubt("-CLUSTERDOWN Hash slot not served\r\n"));
        assert!(doubt(
            "-READONLY You can't write against a read only replica.\r\n"
        ));
        assert!(!doubt("-WRONGTYPE no\r\n") && !doubt("+CLUSTERDOWN\r\n"));
    }

    #[test]
    fn a_node_that_does_not_know_its_host_means_the_one_asked() {
        assert_eq!(
            read("-MOVED 1 :7001\r\n"),
            Some(Redirect::Moved(slot(1), NodeAddr::new("10.0.0.1", 7001)))
        );
    }

    #[test]
    fn anything_else_is_the_answer() {
        for line in [
            "+OK\r\n",
            "$5\r\nMOVED\r\n",
            "-ERR no\r\n",
            "-MOVED\r\n",
            "-MOVED 1\r\n",
            "-MOVED 16384 a:1\r\n",
            "-MOVED -1 a:1\r\n",
            "-MOVED x a:1\r\n",
            "-MOVED 1 a\r\n",
            "-ASK 1 a:99999\r\n",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}

//! What can go wrong besides a server's own answer, and how redis-rs is told.
//!
//! Commands on a pool return redis-rs's [`RedisError`]. Errors of our own are put into one, with
//! the kind that redis-rs's predicates (`is_timeout`, `is_io_error`, …) expect and with the
//! original as their source. Where only some positions of a pipeline are concerned they become
//! [`Value::ServerError`]s of those positions, with a code of their own.

mod build;
mod sentinel;
mod topology;

use std::io;
use std::sync::Arc;

use redis::{Arg, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use wait_pool::{AcquireError, ConnectError};

use crate::node::NodeAddr;

pub use build::BuildError;
pub(crate) use sentinel::{
    demoted, garbled, no_master, no_replica, no_sentinel, no_such_master, outdated, replaced,
};
pub(crate) use topology::{cut_short, doubtful, no_slots, no_topology};

/// Why a command has no answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) error: RedisError,
    /// The node that is to blame, where one is known.
    pub(crate) node: Option<NodeAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection could be had, since nobody answers there. Nothing has been sent.
    NoConnection,
    /// No connection came free in time. Nothing has been sent.
    Busy,
    /// As many wait for a connection as may, or for too long. Nothing has been sent.
    QueueFull,
    /// No answer came in time. It may have run.
    NoAnswer,
    /// The connection was found dead, or died before the answer came. It may have run.
    ConnectionLost,
    /// The connection died before any of it was written. Nothing has been sent.
    Unsent,
    /// It was sent and refused, or could not be sent as it was.
    Refused,
    /// No node serves its slot.
    Unserved,
}

/// Why a shared connection gives no answer.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) error: RedisError,
    /// Some of the request has been written, so that it may have run.
    pub(crate) sent: bool,
}

/// Of what redis-rs has carried nobody knows.
impl From<RedisError> for Lost {
    fn from(error: RedisError) -> Self {
        Self { error, sent: true }
    }
}

impl Failure {
    /// No connection to a node.
    pub(crate) fn no_connection(node: &NodeAddr, error: AcquireError<RedisError>) -> Self {
        let kind = match &error {
            // With nothing but attempts to connect the pool is not busy: nobody answers there.
            AcquireError::Timeout(timeout)
                if timeout.status.size > timeout.status.opening || timeout.status.held_up > 0 =>
            {
                FailureKind::Busy
            }
            AcquireError::QueueFull { .. } | AcquireError::Overloaded(_) => FailureKind::QueueFull,
            _ => FailureKind::NoConnection,
        };
        Self {
            kind,
            error: no_connection(node, error),
            node: Some(node.clone()),
        }
    }

    /// What a connection says of a request that it was given.
    pub(crate) fn after_sending(error: RedisError) -> Self {
        let kind = match error.is_unrecoverable_error() || error.is_io_error() {
            true => FailureKind::ConnectionLost,
            false => FailureKind::Refused,
        };
        Self {
            kind,
            error,
            node: None,
        }
    }

    /// A node that does not read what has been sent to it before.
    pub(crate) fn unread(node: &NodeAddr) -> Self {
        let detail = format!("node {node} has not read in time what was sent to it before");
        Self {
            kind: FailureKind::Busy,
            error: timed_out(detail),
            node: Some(node.clone()),
        }
    }

    /// What a shared connection says of a request that it was given.
    pub(crate) fn lost(lost: Lost) -> Self {
        let failure = Self::after_sending(lost.error);
        match failure.kind {
            FailureKind::ConnectionLost if !lost.sent => Self {
                kind: FailureKind::Unsent,
                ..failure
            },
            _ => failure,
        }
    }

    /// A node that answered more or fewer commands than it was sent.
    pub(crate) fn miscounted(node: &NodeAddr) -> Self {
        let detail = format!("node {node} sent another number of answers than it had commands");
        Self {
            kind: FailureKind::ConnectionLost,
            error: io::Error::new(io::ErrorKind::InvalidData, detail).into(),
            node: Some(node.clone()),
        }
    }

    /// What kept a request from being planned: the topology is not known, or the pool is closed.
    pub(crate) fn before_sending(error: RedisError) -> Self {
        let kind = match error.code() {
            Some("CLUSTERDOWN") => FailureKind::Unserved,
            _ if error.is_timeout() => FailureKind::NoAnswer,
            _ if error.is_io_error() => FailureKind::NoConnection,
            _ => FailureKind::Refused,
        };
        Self {
            kind,
            error,
            node: None,
        }
    }

    /// No answer in time.
    pub(crate) fn late(detail: String) -> Self {
        Self {
            kind: FailureKind::NoAnswer,
            error: timed_out(detail),
            node: None,
        }
    }

    /// Answers of several nodes that cannot be made one.
    pub(crate) fn unmergeable() -> Self {
        Self {
            kind: FailureKind::Refused,
            error: (
                ErrorKind::UnexpectedReturnType,
                "the nodes' answers to this command do not fit together",
            )
                .into(),
            node: None,
        }
    }

    /// A scan whose cursor is none.
    pub(crate) fn no_cursor() -> Self {
        Self {
            kind: FailureKind::Refused,
            error: (ErrorKind::Client, "SCAN needs a cursor, which is a number").into(),
            node: None,
        }
    }

    /// A slot that nobody serves, with the code that servers have for it.
    pub(crate) fn unserved() -> Self {
        let detail = "no node serves the slot of this key".to_owned();
        Self {
            kind: FailureKind::Unserved,
            error: redis::make_extension_error("CLUSTERDOWN".to_owned(), Some(detail)),
            node: None,
        }
    }

    /// The failure as the value of one position in a pipeline.
    pub(crate) fn into_position(self) -> Value {
        let code = match self.kind {
            FailureKind::NoConnection => "NOCONNECTION",
            FailureKind::Busy | FailureKind::NoAnswer => "TIMEOUT",
            FailureKind::QueueFull => "QUEUEFULL",
            FailureKind::ConnectionLost | FailureKind::Unsent => "CONNECTIONLOST",
            FailureKind::Unserved => "CLUSTERDOWN",
            FailureKind::Refused => self.error.code().unwrap_or("ERR"),
        };
        server_error(code, &self.error.to_string())
    }
}

/// No connection to a node.
pub(crate) fn no_connection(node: &NodeAddr, error: AcquireError<RedisError>) -> RedisError {
    match &error {
        AcquireError::Closed => return closed(),
        // Callers look for this kind, and another attempt would not help them.
        AcquireError::Connect(cause) if refused_login(cause) => {
            let detail = format!("node {node}: {cause}");
            return (
                ErrorKind::AuthenticationFailed,
                "the server refused the login",
                detail,
            )
                .into();
        }
        _ => {}
    }
    let kind = match &error {
        AcquireError::Timeout(_) => io::ErrorKind::TimedOut,
        // Another attempt at once would only make the crowd larger.
        AcquireError::QueueFull { .. } | AcquireError::Overloaded(_) => io::ErrorKind::ResourceBusy,
        AcquireError::Connect(cause) => match connect_refused(cause) {
            true => io::ErrorKind::ConnectionRefused,
            false => io::ErrorKind::NotConnected,
        },
        _ => io::ErrorKind::NotConnected,
    };
    io::Error::new(
        kind,
        NoConnection {
            node: node.clone(),
            error,
        },
    )
    .into()
}

fn refused_login(cause: &ConnectError<RedisError>) -> bool {
    matches!(cause, ConnectError::Failed(error) if error.kind() == ErrorKind::AuthenticationFailed)
}

fn connect_refused(cause: &Arc<ConnectError<RedisError>>) -> bool {
    matches!(&**cause, ConnectError::Failed(error) if error.is_connection_refusal())
}

/// No answer in time.
pub(crate) fn timed_out(detail: String) -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, detail).into()
}

/// What redis-rs says of a command or pipeline without words.
pub(crate) fn empty() -> RedisError {
    (ErrorKind::Client, "empty command").into()
}

/// A command that may not be sent this way.
pub(crate) fn refused(reason: &'static str, cmd: &Cmd) -> RedisError {
    let name = match cmd.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).to_uppercase(),
        _ => String::new(),
    };
    (ErrorKind::Client, reason, name).into()
}

/// A transaction whose keys no single node has.
pub(crate) fn cross_slot() -> RedisError {
    let reason = "an atomic pipeline runs on one node, so all its keys have to share a slot; give \
                  them one hash tag, as in {user1}.a and {user1}.b";
    (ErrorKind::Server(ServerErrorKind::CrossSlot), reason).into()
}

/// A node that no pool can be made for.
pub(crate) fn unusable(reason: BuildError) -> RedisError {
    (
        ErrorKind::InvalidClientConfig,
        "no pool for this node",
        reason.to_string(),
    )
        .into()
}

/// There is no runtime to open connections or to keep time in.
pub(crate) fn no_runtime() -> RedisError {
    let detail = "the pool was used outside of a tokio runtime";
    io::Error::new(io::ErrorKind::Unsupported, detail).into()
}

/// The pool has been closed.
pub(crate) fn closed() -> RedisError {
    (ErrorKind::Client, "the pool is closed").into()
}

/// An error that shows as `cause` does, with other words.
fn of_the_kind(cause: &RedisError, title: &'static str, told: String) -> RedisError {
    match cause.kind() {
        ErrorKind::Io => {
            let timed_out = cause.is_timeout().then_some(io::ErrorKind::TimedOut);
            let refused = cause
                .is_connection_refusal()
                .then_some(io::ErrorKind::ConnectionRefused);
            let kind = timed_out.or(refused).unwrap_or(io::ErrorKind::NotConnected);
            io::Error::new(kind, told).into()
        }
        kind => (kind, title, told).into(),
    }
}

/// Answers on a connection can no longer be matched to requests.
pub(crate) fn mixed_up() -> RedisError {
    let detail = "the server ended a sharded subscription while an answer was under way, which redis-rs \
                  takes for that answer; this connection is of no more use";
    io::Error::new(io::ErrorKind::ConnectionReset, detail).into()
}

/// A connection that was closed for a command that nobody waits for any more.
pub(crate) fn given_up() -> RedisError {
    let detail = "this connection was closed, since a command that waits (as BLPOP does) was dropped on \
                  it or ran into its timeout: take another";
    io::Error::new(io::ErrorKind::ConnectionReset, detail).into()
}

/// The protocol has no messages that come unasked.
pub(crate) fn no_pushes() -> RedisError {
    let reason = "messages come unasked in RESP3 only; add ?protocol=resp3 to the URL";
    (ErrorKind::Client, reason).into()
}

/// The server has closed the connection.
pub(crate) fn hung_up() -> RedisError {
    let detail = "the server has closed this connection";
    io::Error::new(io::ErrorKind::ConnectionReset, detail).into()
}

/// The cluster has no node with this address.
pub(crate) fn no_such_node(node: &NodeAddr) -> RedisError {
    let detail = node.to_string();
    (
        ErrorKind::Client,
        "the cluster has no node with this address",
        detail,
    )
        .into()
}

/// redis-rs makes server errors in its parser only, so this one is parsed.
fn server_error(code: &str, detail: &str) -> Value {
    let line = detail.replace(['\r', '\n'], " ");
    redis::parse_redis_value(format!("-{code} {line}\r\n").as_bytes())
        .expect("a line without line breaks is a RESP error")
}

#[derive(Debug, thiserror::Error)]
#[error("node {node}: {error}")]
struct NoConnection {
    node: NodeAddr,
    #[source]
    error: AcquireError<RedisError>,
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn code(failure: Failure) -> String {
        match failure.into_position() {
            Value::ServerError(error) => error.code().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn node() -> NodeAddr {
        NodeAddr::new("10.0.0.1", 7000)
    }

    #[test]
    fn the_pools_own_error_is_kept_as_a_source() {
        let failure = Failure::no_connection(&node(), AcquireError::NoRuntime);
        let error = &failure.error;
        assert!(error.is_io_error() && error.is_connection_dropped());
        assert!(
            error.to_string().starts_with("node 10.0.0.1:7000: "),
            "{error}"
        );
        let acquire = error.source().and_then(Error::source);
        let acquire = acquire.and_then(|error| error.downcast_ref::<AcquireError<RedisError>>());
        assert!(matches!(acquire, Some(AcquireError::NoRuntime)));
        assert_eq!(code(failure), "NOCONNECTION");
    }

    #[test]
    fn what_another_attempt_would_not_help_does_not_ask_for_one() {
        let closed = no_connection(&node(), AcquireError::Closed);
        assert_eq!(
            (closed.kind(), closed.is_io_error()),
            (ErrorKind::Client, false)
        );
        let denied = RedisError::from((ErrorKind::AuthenticationFailed, "WRONGPASS"));
        let denied = AcquireError::Connect(Arc::new(ConnectError::Failed(denied)));
        let denied = no_connection(&node(), denied);
        assert_eq!(denied.kind(), ErrorKind::AuthenticationFailed);
    }

    #[test]
    fn every_kind_has_its_code() {
        let late = Failure::late("no answer".into());
        assert!(late.error.is_timeout());
        assert_eq!(code(late), "TIMEOUT");
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(code(Failure::after_sending(pipe.into())), "CONNECTIONLOST");
        assert_eq!(code(Failure::miscounted(&node())), "CONNECTIONLOST");
        assert_eq!(code(Failure::unserved()), "CLUSTERDOWN");
        let client = RedisError::from((ErrorKind::Client, "empty command"));
        assert_eq!(code(Failure::after_sending(client)), "ERR");
    }

    #[test]
    fn line_breaks_do_not_end_a_positions_error() {
        let failure = Failure::late("one\r\n+OK\r\n".into());
        assert_eq!(code(failure), "TIMEOUT");
    }
}

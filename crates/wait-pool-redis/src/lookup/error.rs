//! Why a position of a lookup has no value.

use std::fmt;

use redis::{ErrorKind, ParsingError, RedisError};

use crate::error::{Failure, FailureKind, timed_out};
use crate::node::NodeAddr;

/// Why a position of a lookup has no value, not even the knowledge that there is none.
///
/// It becomes a [`RedisError`] where one is wanted, with the kind that other requests have in the same case.
/// Shows no value: what redis-rs says of one that does not fit has the value in it, and is in
/// [`Unfit`](Self::Unfit) for whoever wants it.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No answer by the deadline, or not even a connection.
    #[error("no answer in time{}", at(.node.as_ref()))]
    TimedOut {
        /// The node that owed the answer; `None` if nobody knew of one yet.
        node: Option<NodeAddr>,
        /// What the caller was up against, where it waited for a connection.
        source: Option<RedisError>,
    },
    /// The node could not be reached, or refused the login.
    #[error("no connection{}: {source}", at(.node.as_ref()))]
    NoConnection {
        /// The node; `None` if it is the topology that nobody tells.
        node: Option<NodeAddr>,
        /// Why.
        source: RedisError,
    },
    /// As many wait for a connection as may, or for too long already.
    #[error("too many wait{}: {source}", at(.node.as_ref()))]
    QueueFull {
        /// The node; `None` if it is not known.
        node: Option<NodeAddr>,
        /// The pool's figures.
        source: RedisError,
    },
    /// The connection was lost, and another try did not help.
    #[error("the connection was lost{}: {source}", at(.node.as_ref()))]
    ConnectionLost {
        /// The node.
        node: Option<NodeAddr>,
        /// How it shows.
        source: RedisError,
    },
    /// No node serves the slot of this key, or the cluster is down.
    #[error("the key is not served: {0}")]
    Unserved(RedisError),
    /// The key holds something else: no string, or no hash.
    #[error("the key holds another kind of value")]
    WrongType,
    /// The server refused the command.
    #[error("the server refused: {0}")]
    Server(RedisError),
    /// The value is there and cannot be made into the type asked for. What redis-rs says of that shows the value.
    #[error("the value does not fit the type asked for")]
    Unfit(ParsingError),
    /// The request could not be made: the pool is closed, or there is no runtime.
    #[error("{0}")]
    Client(RedisError),
}

fn at(node: Option<&NodeAddr>) -> String {
    node.map_or_else(String::new, |node| format!(" (node {node})"))
}

impl LookupError {
    /// What became of a read; `owner` is asked who serves its key.
    pub(super) fn of(failure: Failure, owner: impl FnOnce() -> Option<NodeAddr>) -> Self {
        let Failure { kind, error, node } = failure;
        let node = || node.or_else(owner);
        match kind {
            FailureKind::NoAnswer => Self::TimedOut {
                node: node(),
                source: None,
            },
            FailureKind::Busy => Self::TimedOut {
                node: node(),
                source: Some(error),
            },
            FailureKind::NoConnection | FailureKind::Refused
                if error.kind() == ErrorKind::Client =>
            {
                Self::Client(error)
            }
            FailureKind::NoConnection => Self::NoConnection {
                node: node(),
                source: error,
            },
            FailureKind::QueueFull => Self::QueueFull {
                node: node(),
                source: error,
            },
            FailureKind::ConnectionLost | FailureKind::Unsent => Self::ConnectionLost {
                node: node(),
                source: error,
            },
            FailureKind::Unserved => Self::Unserved(error),
            FailureKind::Refused => Self::of_server(error),
        }
    }

    /// What a server answered.
    pub(super) fn of_server(error: RedisError) -> Self {
        match error.code() {
            Some("WRONGTYPE") => Self::WrongType,
            Some("CLUSTERDOWN") => Self::Unserved(error),
            _ => Self::Server(error),
        }
    }

    /// Whether the lookup's own time ran out, not the node's chance to be reached.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }
}

impl fmt::Debug for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, node, source) = match self {
            Self::TimedOut { node, source } => ("TimedOut", node.as_ref(), source.as_ref()),
            Self::NoConnection { node, source } => ("NoConnection", node.as_ref(), Some(source)),
            Self::QueueFull { node, source } => ("QueueFull", node.as_ref(), Some(source)),
            Self::ConnectionLost { node, source } => {
                ("ConnectionLost", node.as_ref(), Some(source))
            }
            Self::Unserved(error) => ("Unserved", None, Some(error)),
            Self::WrongType => ("WrongType", None, None),
            Self::Server(error) => ("Server", None, Some(error)),
            Self::Unfit(_) => ("Unfit", None, None),
            Self::Client(error) => ("Client", None, Some(error)),
        };
        let mut shown = f.debug_struct(name);
        if let Some(node) = node {
            shown.field("node", node);
        }
        if let Some(source) = source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl From<LookupError> for RedisError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::TimedOut {
                source: Some(source),
                ..
            } => source,
            LookupError::TimedOut { source: None, .. } => timed_out(error.to_string()),
            LookupError::NoConnection { source, .. }
            | LookupError::QueueFull { source, .. }
            | LookupError::ConnectionLost { source, .. } => source,
            LookupError::Unserved(error)
            | LookupError::Server(error)
            | LookupError::Client(error) => error,
            LookupError::WrongType => {
                redis::make_extension_error("WRONGTYPE".to_owned(), Some(error.to_string()))
            }
            LookupError::Unfit(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_redis_rs_error_the_wrong_type_has_the_servers_code() {
        let answer = redis::make_extension_error("WRONGTYPE".to_owned(), None);
        assert!(matches!(
            LookupError::of_server(answer.clone()),
            LookupError::WrongType
        ));
        let error = RedisError::from(LookupError::WrongType);
        assert_eq!((error.kind(), error.code()), (answer.kind(), answer.code()));
    }
}

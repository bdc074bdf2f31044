//! Why a request failed, in few enough kinds to count them.

use std::borrow::Cow;
use std::fmt;

use redis::{ErrorKind, RedisError};

/// A kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Failure(Cow<'static, str>);

impl Failure {
    /// The limit is reached, and this client does not wait.
    pub(super) const MAX_CONNECTIONS: Self = Self(Cow::Borrowed("max connections"));
    /// A value is missing or not the one of its key.
    pub(super) const WRONG_VALUE: Self = Self(Cow::Borrowed("wrong value"));
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let words = if error.is_timeout() {
            "timed out"
        } else if error.is_connection_refusal() {
            "refused"
        } else if error.is_connection_dropped() {
            "connection lost"
        } else if let Some(first) = first_code(&error) {
            return Self(Cow::Owned(first));
        } else if error.kind() == ErrorKind::Client {
            // The client's own words; its details would make a kind of every error.
            let text = error.to_string();
            let words = text.split(" - ").next().unwrap_or_default();
            return Self(Cow::Owned(words.to_lowercase()));
        } else {
            return Self(Cow::Owned(error.category().to_owned()));
        };
        Self(Cow::Borrowed(words))
    }
}

/// An error for people. Without its source, which says the same again.
pub(super) fn told(error: RedisError) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// The code of a server's error. For a pipeline that failed in part it is the first one's; there
/// wait-pool has codes for what is no server's error.
fn first_code(error: &RedisError) -> Option<String> {
    let errors = error.clone().into_server_errors()?;
    let (_, first) = errors.first()?;
    Some(match first.code() {
        "TIMEOUT" => "timed out".to_owned(),
        "CONNECTIONLOST" => "connection lost".to_owned(),
        "NOCONNECTION" => "no connection".to_owned(),
        code => code.to_owned(),
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[track_caller]
    fn check(error: impl Into<RedisError>, expected: &str) {
        assert_eq!(Failure::from(error.into()).to_string(), expected);
    }

    #[test]
    fn kinds() {
        check(io::Error::from(io::ErrorKind::TimedOut), "timed out");
        check(io::Error::from(io::ErrorKind::ConnectionRefused), "refused");
        check(
            io::Error::from(io::ErrorKind::BrokenPipe),
            "connection lost",
        );
        check((ErrorKind::Parse, "no"), "parse error");
        check(
            (ErrorKind::Client, "Queue full", "3 of 3".to_owned()),
            "queue full",
        );
        let server = |code: &str| redis::make_extension_error(code.to_owned(), None);
        check(server("CLUSTERDOWN"), "CLUSTERDOWN");
        check(server("TIMEOUT"), "timed out");
    }
}

//! Errors that a client may give while its cluster is being broken.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Whether an error is one that users are told to expect: something was lost, late or refused, and it says so.
pub(crate) fn is_documented(error: &RedisError) -> bool {
    if error.is_timeout() || error.is_io_error() || error.is_connection_dropped() {
        return true;
    }
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ExecAbort
        ),
        _ => matches!(
            error.code(),
            Some("TIMEOUT" | "QUEUEFULL" | "NOCONNECTION" | "CONNECTIONLOST" | "CLUSTERDOWN")
        ),
    }
}

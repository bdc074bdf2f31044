//! A redis-rs connection to nothing, for whoever still has a handle when the real one is closed.

use std::io::Cursor;

use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};

/// Every request on it fails. None if redis-rs cannot make one without asking a server.
pub(crate) fn closed() -> Option<MultiplexedConnection> {
    // With these there is nothing to say to the server before the first request.
    let info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    let nothing = Cursor::new(Vec::new());
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let made = MultiplexedConnection::new_with_config(&info, nothing, config).now_or_never()?;
    // Without its driver nothing is ever sent.
    made.ok().map(|(connection, _)| connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_on_it_fails_at_once() {
        let mut connection = closed().unwrap();
        let ping = redis::cmd("PING");
        let answer = connection.send_packed_command(&ping).now_or_never();
        let error = answer.unwrap().unwrap_err();
        assert!(error.is_connection_dropped(), "{error}");
    }
}

//! What a connection needs so that reads may go to replicas, and what is learnt on the way.

use std::sync::OnceLock;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value};

/// The zone that a server says it is in; an empty one if it says none.
pub(super) type Zone = OnceLock<String>;

/// Prepares a new connection: `READONLY`, without which a replica in a cluster sends every read to its primary.
/// In the same write asks what the server is and, with `zone`, where.
///
/// # Errors
///
/// If the server is a replica without a link to its primary, whose data grow older and older.
pub(super) async fn prepare(
    connection: &mut MultiplexedConnection,
    zone: Option<&Zone>,
) -> RedisResult<()> {
    let mut pipeline = Pipeline::with_capacity(3);
    pipeline.cmd("READONLY").cmd("ROLE");
    if zone.is_some() {
        pipeline.cmd("INFO").arg("server");
    }
    let count = pipeline.len();
    let answers = connection.send_packed_commands(&pipeline, 0, count).await?;
    // A server without cluster mode knows no READONLY, and a user may not be allowed to ask for the role: neither
    // is a reason not to read there.
    if answers.get(1).is_some_and(has_lost_its_primary) {
        return Err(lost());
    }
    if let (Some(zone), Some(info)) = (zone, answers.get(2)) {
        zone.get_or_init(|| zone_in(info).unwrap_or_default());
    }
    Ok(())
}

/// Reads `ROLE`: a replica says `slave host port state offset`.
/// <https://redis.io/docs/latest/commands/role/>
fn has_lost_its_primary(role: &Value) -> bool {
    let Value::Array(role) = role else {
        return false;
    };
    let is = |at: usize, word: &str| match role.get(at) {
        Some(Value::BulkString(text)) => text == word.as_bytes(),
        _ => false,
    };
    is(0, "slave") && !is(3, "connected")
}

fn lost() -> RedisError {
    (ErrorKind::Client, "the replica has no link to its primary").into()
}

fn zone_in(info: &Value) -> Option<String> {
    let info: String = redis::from_redis_value(info.clone()).ok()?;
    let zone = info
        .lines()
        .find_map(|line| line.strip_prefix("availability_zone:"))?;
    Some(zone.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn a_replica_has_to_follow_its_primary() {
        let replica = |state| {
            let fields = [text("slave"), text("h"), Value::Int(1), text(state)];
            Value::Array(fields.into())
        };
        assert!(!has_lost_its_primary(&replica("connected")));
        for state in ["connect", "connecting", "sync"] {
            assert!(has_lost_its_primary(&replica(state)), "{state}");
        }
        assert!(!has_lost_its_primary(&Value::Array(vec![text("master")])));
        assert!(!has_lost_its_primary(&Value::Nil));
    }

    #[test]
    fn a_zone_is_read() {
        let info = "# Server\r\nvalkey_version:8.1.0\r\navailability_zone:eu-1a\r\nport:1\r\n";
        assert_eq!(zone_in(&text(info)).as_deref(), Some("eu-1a"));
        assert_eq!(zone_in(&text("# Server\r\nport:1\r\n")), None);
        assert_eq!(zone_in(&Value::Nil), None);
    }
}

//! A cursor over a whole cluster.
//!
//! A node's own `SCAN` cursor is a number; the cluster's has the node in its upper bits, as the lowest slot that
//! it serves, and the node's own cursor in the others. When a node is through, the scan goes on at the node
//! with the next higher lowest slot. So the cursor is all that there is to a scan: any handle may go on with it,
//! and `0` begins and ends it as it does on one server.
//!
//! As on one server, every key that is there from beginning to end is returned, some of them several times. But a
//! key whose slot moves meanwhile to a node that the scan has passed is missed.
//! <https://redis.io/docs/latest/commands/scan/>

use redis::{Cmd, Value};

use crate::slot::Slot;

/// Bits of the node's own cursor. It counts the buckets of a hash table, and with a cluster's tables the slot
/// in the lowest 14 bits: 2^34 buckets of a slot are left.
const OWN_BITS: u32 = 48;

/// One step of a scan: at which node it is, and which one comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The lowest slot of the node.
    pub(crate) at: Slot,
    /// The lowest slot of the next node.
    pub(crate) next: Option<Slot>,
}

impl Scan {
    /// Reads a `SCAN` command: the slot where the scan is, and the command for the node there.
    /// `None` if its cursor is none.
    pub(crate) fn read(cmd: &Cmd) -> Option<(Slot, Cmd)> {
        // A cursor that redis-rs's iterators count on is not among the arguments.
        let Ok(Value::Array(words)) = redis::parse_redis_value(&cmd.get_packed_command()) else {
            return None;
        };
        let mut words = words.iter().map(|word| match word {
            Value::BulkString(word) => &word[..],
            _ => b"",
        });
        let name = words.next()?;
        let cursor: u64 = str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let slot = Slot::new(u16::try_from(cursor >> OWN_BITS).ok()?)?;
        let mut own = Cmd::new();
        own.arg(name).arg(cursor & ((1 << OWN_BITS) - 1));
        for word in words {
            own.arg(word);
        }
        Some((slot, own))
    }

    /// The node's answer, with the cursor made the cluster's. `None` if it is no answer to `SCAN`.
    pub(crate) fn onward(self, answer: Value) -> Option<Value> {
        let Value::Array(mut answer) = answer else {
            return None;
        };
        let [Value::BulkString(cursor), _] = answer.as_slice() else {
            return None;
        };
        let own: u64 = str::from_utf8(cursor).ok()?.parse().ok()?;
        let cursor = match (own, self.next) {
            (0, None) => 0,
            (0, Some(next)) => u64::from(next.number()) << OWN_BITS,
            (own, _) if own >> OWN_BITS == 0 => u64::from(self.at.number()) << OWN_BITS | own,
            _ => return None,
        };
        answer[0] = Value::BulkString(cursor.to_string().into());
        Some(Value::Array(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    fn text(text: impl ToString) -> Value {
        Value::BulkString(text.to_string().into())
    }

    fn read(cursor: u64) -> Option<(u16, String)> {
        let cmd = redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(5).take();
        let (slot, own) = Scan::read(&cmd)?;
        let packed = String::from_utf8(own.get_packed_command()).unwrap();
        Some((slot.number(), packed.split("\r\n").nth(4)?.to_owned()))
    }

    fn onward(next: Option<u16>, own: u64) -> u64 {
        let scan = Scan {
            at: slot(5461),
            next: next.map(slot),
        };
        let answer = Value::Array(vec![text(own), Value::Array(vec![])]);
        match scan.onward(answer).unwrap() {
            Value::Array(answer) => redis::from_redis_value(answer[0].clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cursor_goes_through_all_nodes_and_ends_at_zero() {
        assert_eq!(read(0), Some((0, "0".into())));
        let second = onward(Some(10_923), 17);
        assert_eq!(read(second), Some((5461, "17".into())));
        let third = onward(Some(10_923), 0);
        assert_eq!(read(third), Some((10_923, "0".into())));
        assert_eq!(onward(None, 0), 0);
    }

    #[test]
    fn cursors_that_redis_rs_counts_on_are_read() {
        let mut cmd = redis::cmd("SCAN");
        cmd.cursor_arg(0).arg("MATCH").arg("a*");
        let (at, own) = Scan::read(&cmd).unwrap();
        assert_eq!(at, slot(0));
        assert_eq!(
            own.get_packed_command(),
            b"*4\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n$2\r\na*\r\n"
        );
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        assert!(Scan::read(&redis::cmd("SCAN")).is_none());
        assert!(Scan::read(redis::cmd("SCAN").arg("x")).is_none());
        assert!(Scan::read(redis::cmd("SCAN").arg(u64::MAX)).is_none());
        let scan = Scan {
            at: slot(0),
            next: None,
        };
        assert_eq!(scan.onward(Value::Nil), None);
        let huge = Value::Array(vec![text(u64::MAX), Value::Array(vec![])]);
        assert_eq!(scan.onward(huge), None);
    }
}

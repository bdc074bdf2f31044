//! Commands as bytes.
//!
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server>

use redis::{Arg, Cmd};

/// Writes a command as redis-rs would.
pub(crate) fn write(bytes: &mut Vec<u8>, cmd: &Cmd) {
    let words = cmd.args_iter();
    let count = words.len();
    let mut size = 0;
    for word in words.clone() {
        match word {
            Arg::Simple(word) => size += word.len() + HEAD,
            // Only redis-rs knows what a scan's cursor is by now.
            _ => return cmd.write_packed_command(bytes),
        }
    }
    bytes.reserve(size + HEAD);
    number(bytes, b"*", count);
    for word in words {
        if let Arg::Simple(word) = word {
            number(bytes, b"\r\n$", word.len());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(word);
        }
    }
    bytes.extend_from_slice(b"\r\n");
}

/// What a word takes beside itself, and more than most do.
const HEAD: usize = 12;

fn number(bytes: &mut Vec<u8>, before: &[u8], mut number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(cmd: &Cmd) {
        let mut bytes = b"before".to_vec();
        write(&mut bytes, cmd);
        assert_eq!(bytes[6..], cmd.get_packed_command(), "{cmd:?}");
    }

    #[test]
    fn commands_are_written_as_by_redis_rs() {
        same(&redis::cmd("PING"));
        for size in [0, 1, 9, 10, 99, 100, 101, 1000, 70_000] {
            let word = vec![b'x'; size];
            same(redis::cmd("SET").arg(&word).arg(size).arg(&word));
        }
        same(redis::cmd("MSET").arg(vec!["k"; 250]));
        same(redis::cmd("SCAN").cursor_arg(17).arg("COUNT").arg(10));
    }
}

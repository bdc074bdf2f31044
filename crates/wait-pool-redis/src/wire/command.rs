//! Commands as bytes.
//!
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server>

use redis::{Arg, Cmd};

/// Writes a command as redis-rs would.
pub(crate) fn write(bytes: &mut Vec<u8>, cmd: &Cmd) {
    // Only redis-rs knows what a scan's cursor is by now.
    if cmd.in_scan_mode() {
        return cmd.write_packed_command(bytes);
    }
    let words = cmd.args_iter();
    write_words(bytes, words.len(), words.map(simple));
}

/// Writes a command of so many words.
pub(crate) fn write_words<'a>(
    bytes: &mut Vec<u8>,
    count: usize,
    words: impl Iterator<Item = &'a [u8]>,
) {
    number(bytes, b"*", count);
    write_more(bytes, words);
}

fn simple(word: Arg<&[u8]>) -> &[u8] {
    match word {
        Arg::Simple(word) => word,
        _ => &[],
    }
}

/// Writes words of a command.
pub(crate) fn write_more<'a>(bytes: &mut Vec<u8>, words: impl Iterator<Item = &'a [u8]>) {
    for word in words {
        write_framed(bytes, b"$", word, b"\r\n");
    }
}

/// Writes a word with its length, between what is before them and what is behind.
pub(crate) fn write_framed(bytes: &mut Vec<u8>, before: &[u8], word: &[u8], behind: &[u8]) {
    bytes.reserve(before.len() + LINE + word.len() + behind.len());
    number(bytes, before, word.len());
    bytes.extend_from_slice(word);
    bytes.extend_from_slice(behind);
}

/// Writes a number behind what is before it, and the end of its line.
fn number(bytes: &mut Vec<u8>, before: &[u8], mut number: usize) {
    let mut line = [b'\n'; LINE];
    let mut at = LINE - 2;
    line[at] = b'\r';
    loop {
        at -= 1;
        line[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(&line[at..]);
}

/// Room for the longest number and the line's end.
const LINE: usize = 20 + 2;

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

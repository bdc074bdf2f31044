//! Replies against redis-rs's parser: by example, at random, cut and damaged.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

mod frames;

use frames::{frame, garbage};

thread_local! {
    static SEARCHED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that were searched for the end of a line.
pub(super) fn searched(bytes: usize) {
    SEARCHED.with(|all| all.set(all.get() + bytes));
}

/// What becomes of bytes whose first is the first of a reply.
#[derive(Debug)]
enum Verdict {
    Value(Value),
    Partial,
    Broken(RedisError),
}

fn verdict(result: RedisResult<Option<Value>>) -> Verdict {
    match result {
        Ok(Some(value)) => Verdict::Value(value),
        Ok(None) => Verdict::Partial,
        Err(error) => Verdict::Broken(error),
    }
}

fn theirs(bytes: &[u8]) -> Verdict {
    match redis::parse_redis_value(bytes) {
        // Which is how redis-rs says that the end is missing.
        Err(error) if error.is_io_error() => Verdict::Partial,
        other => verdict(other.map(Some)),
    }
}

fn ours(bytes: &[u8]) -> Verdict {
    verdict(Replies::default().next(&mut &bytes[..]))
}

/// The first reply of bytes that come in pieces.
fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut replies = Replies::default();
    for mut piece in pieces {
        match replies.next(&mut piece) {
            Ok(None) => assert!(piece.is_empty(), "{piece:?} is left"),
            other => return verdict(other),
        }
    }
    Verdict::Partial
}

fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in cuts {
        pieces.push(&bytes[from..at]);
        from = at;
    }
    pieces.push(&bytes[from..]);
    pieces
}

/// Equal, where no number is unequal to itself.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || (format!("{one:?}") == format!("{other:?}") && format!("{one:?}").contains("NaN"))
}

/// Whether we say of `bytes` what redis-rs says.
///
/// Two errors come sooner here: that of a length which redis-rs would wait for without end, and those of
/// a reply's first byte, which redis-rs tells with the next one.
fn agree(bytes: &[u8], ours: &Verdict) -> bool {
    match (ours, theirs(bytes)) {
        (Verdict::Value(ours), Verdict::Value(theirs)) => same(ours, &theirs),
        (Verdict::Partial, Verdict::Partial) => true,
        (Verdict::Broken(ours), Verdict::Broken(theirs)) => {
            ours.kind() == theirs.kind() && ours.is_unrecoverable_error()
        }
        (Verdict::Broken(ours), Verdict::Partial) => {
            let why = ours.to_string();
            let next = || matches!(theirs(&[bytes, b"\n"].concat()), Verdict::Broken(_));
            why.contains("impossible length")
                || ((why.contains("unknown type") || why.contains("too deep")) && next())
        }
        _ => false,
    }
}

#[track_caller]
fn check(bytes: &[u8]) {
    for ours in [ours(bytes), in_pieces(bytes.chunks(1))] {
        let (shown, theirs) = (bytes.escape_ascii(), theirs(bytes));
        assert!(agree(bytes, &ours), "{shown}: {ours:?}, {theirs:?}");
    }
}

#[test]
fn values_are_those_of_redis_rs() {
    let examples: &[&[u8]] = &[
        b"+OK\r\n",
        b"+OK \r\n",
        b"+ok\r\n",
        b"+QUEUED\r\n",
        b"+\r\n",
        b"+a\rb\nc\r\r\n",
        b"+\xc3\xa4\r\n",
        b"-ERR wrong\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n",
        b"-MYOWN\r\n",
        b"-\r\n",
        b"- a b\r\n",
        b":0\r\n",
        b":-0\r\n",
        b":+7\r\n",
        b": 7\t\r\n",
        b":\xc2\xa07\r\n",
        b":007\r\n",
        b":999999999999999999\r\n",
        b":-999999999999999999\r\n",
        b":9223372036854775807\r\n",
        b":-9223372036854775808\r\n",
        b":000000000000000000000000000000000001\r\n",
        b"$0\r\n\r\n",
        b"$3\r\nabc\r\n",
        b"$ +3 \r\nabc\r\n",
        b"$2\r\n\r\n\r\n",
        b"$4\r\n\xff\0\r\n\r\n",
        b"$-1\r\n",
        b"$-17\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*3\r\n:1\r\n$-1\r\n*1\r\n+OK\r\n",
        b"*2\r\n-LOADING it\r\n+OK\r\n",
        b"_\r\n",
        b"_anything\r\n",
        b"#t\r\n",
        b"#f\r\n",
        b",1.5\r\n",
        b", 2e-3 \r\n",
        b",inf\r\n",
        b",-inf\r\n",
        b",nan\r\n",
        b",+.5\r\n",
        b"(-3492890328409238509324850943850943825024385\r\n",
        b"=7\r\ntxt:a\r\n\r\n",
        b"=6\r\nmkd:a:\r\n",
        b"=2\r\n:\xff\r\n",
        b"=5\r\nhm:ok\r\n",
        b"!21\r\nSYNTAX invalid syntax\r\n",
        b"!8\r\nERR a\r\nb\r\n",
        b"!3\r\n\xff \xfe\r\n",
        b"!0\r\n\r\n",
        b"~0\r\n",
        b"~-1\r\n",
        b"~2\r\n:1\r\n:1\r\n",
        b"%0\r\n",
        b"%2\r\n+a\r\n:1\r\n$1\r\nb\r\n%1\r\n_\r\n#t\r\n",
        b"|0\r\n:5\r\n",
        b"|1\r\n+ttl\r\n:3600\r\n*1\r\n|1\r\n:1\r\n:2\r\n:3\r\n",
        b">0\r\n",
        b">-3\r\n",
        b">1\r\n+message\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        b">2\r\n$3\r\nnew\r\n:1\r\n",
    ];
    for bytes in examples {
        let reply = theirs(bytes);
        assert!(
            matches!(reply, Verdict::Value(_)),
            "{}: {reply:?}",
            bytes.escape_ascii()
        );
        check(bytes);
        for end in 0..bytes.len() {
            let front = ours(&bytes[..end]);
            assert!(
                matches!(front, Verdict::Partial),
                "{}: {front:?}",
                bytes[..end].escape_ascii()
            );
            check(&bytes[..end]);
        }
    }
}

#[test]
fn kinds_of_pushes_are_those_of_redis_rs() {
    let kinds = [
        "invalidate",
        "message",
        "pmessage",
        "smessage",
        "unsubscribe",
        "punsubscribe",
        "sunsubscribe",
        "subscribe",
        "psubscribe",
        "ssubscribe",
        "disconnection",
        "Message",
        "",
    ];
    for kind in kinds {
        check(format!(">2\r\n+{kind}\r\n:1\r\n").as_bytes());
        check(format!(">2\r\n${}\r\n{kind}\r\n:1\r\n", kind.len()).as_bytes());
    }
}

#[test]
fn the_sign_of_no_number_is_kept() {
    for (bytes, negative) in [(b",-nan\r\n", true), (b",+nan\r\n", false)] {
        let Verdict::Value(Value::Double(double)) = ours(bytes) else {
            panic!("no double");
        };
        assert!(double.is_nan());
        assert_eq!(double.is_sign_negative(), negative);
    }
}

#[test]
fn what_redis_rs_refuses_is_refused() {
    let examples: &[&[u8]] = &[
        b"x\n",
        b"\r\n",
        b"?1\r\n",
        b"+\xff\r\n",
        b"-\xff\r\n",
        b"_\xff\r\n",
        b":\r\n",
        b":1x\r\n",
        b":--1\r\n",
        b":1 2\r\n",
        b":1\r2\r\n",
        b":9223372036854775808\r\n",
        b":-9223372036854775809\r\n",
        b":\xff\r\n",
        b"$\r\n",
        b"$a\r\n",
        b"$1\r\nab",
        b"$1\r\na\n",
        b"$1\r\na\rb",
        b"$0\r\n ",
        b"*\r\n",
        b"*1\r\nx ",
        b"*1e3\r\n",
        b"%-1\r\n_",
        b"|-1\r\n_",
        b"#\r\n",
        b"#T\r\n",
        b"#true\r\n",
        b",\r\n",
        b",1,5\r\n",
        b"=3\r\ntxt\r\n",
        b"=0\r\n\r\n",
        b">1\r\n+OK\r\n",
        b">1\r\n:1\r\n",
        b">1\r\n$1\r\n\xff\r\n",
        b">2\r\n$-1\r\n:1\r\n",
    ];
    for bytes in examples {
        let reply = theirs(bytes);
        assert!(
            matches!(reply, Verdict::Broken(_)),
            "{}: {reply:?}",
            bytes.escape_ascii()
        );
        check(bytes);
    }
}

#[test]
fn impossible_lengths_are_refused_at_once() {
    for bytes in [
        "!-1\r\n",
        "%-1\r\n",
        "|-1\r\n",
        "=-1\r\n",
        "$9223372036854775807\r\n",
        "*9223372036854775807\r\n",
        "~4611686018427387904\r\n",
        ">4611686018427387904\r\n",
        "%4611686018427387904\r\n",
        "%9223372036854775807\r\n",
        "|9223372036854775807\r\n",
    ] {
        let reply = ours(bytes.as_bytes());
        assert!(matches!(reply, Verdict::Broken(_)), "{bytes}: {reply:?}");
        check(bytes.as_bytes());
    }
}

#[test]
fn possible_lengths_are_waited_for_without_memory() {
    for kind in "$!=*~%|>".chars() {
        let mut replies = Replies::default();
        let head = format!("{kind}4611686018427387903\r\n+");
        assert_eq!(replies.next(&mut head.as_bytes()), Ok(None));
        let text = "$!=".contains(kind);
        assert_eq!(replies.wanted(), if text { 1 << 62 } else { 0 });
    }
}

#[test]
fn what_is_reserved_for_elements_is_bounded() {
    let most: usize = (0..MAX_DEPTH)
        .map(|depth| open::room(usize::MAX, depth))
        .sum();
    assert!(most * size_of::<[Value; 2]>() < 1 << 20, "{most}");
}

#[test]
fn replies_are_as_deep_as_those_of_redis_rs() {
    for head in ["*1\r\n", "~1\r\n", "%1\r\n+a\r\n", "|0\r\n", ">2\r\n+a\r\n"] {
        let deep = head.repeat(MAX_DEPTH - 1);
        assert!(matches!(
            ours(format!("{deep}*0\r\n").as_bytes()),
            Verdict::Value(_)
        ));
        check(format!("{deep}*0\r\n").as_bytes());
        let deep = head.repeat(MAX_DEPTH);
        assert!(matches!(
            ours(format!("{deep}_").as_bytes()),
            Verdict::Broken(_)
        ));
        check(format!("{deep}_").as_bytes());
        check(format!("{deep}_\r\n").as_bytes());
        check(head.repeat(MAX_DEPTH * 3).as_bytes());
    }
    check("*1\r\n".repeat(MAX_DEPTH).as_bytes());
}

#[test]
fn what_a_text_lacks_is_known() {
    let mut replies = Replies::default();
    let mut lacks = Vec::new();
    for mut piece in [&b"*1\r\n$5"[..], b"\r\n", b"ab", b"cde", b"\r"] {
        assert_eq!(replies.next(&mut piece), Ok(None));
        lacks.push(replies.wanted());
    }
    assert_eq!(lacks, [0, 7, 5, 2, 1]);
    let text = Value::BulkString(b"abcde".to_vec());
    assert_eq!(
        replies.next(&mut &b"\n"[..]),
        Ok(Some(Value::Array(vec![text])))
    );
    assert_eq!(replies.wanted(), 0);
}

#[test]
fn texts_have_no_room_to_spare() {
    let size = 5 << 20;
    let reply = [
        format!("${size}\r\n").as_bytes(),
        &vec![b'x'; size],
        b"\r\n",
    ]
    .concat();
    for step in [reply.len(), 64 << 10, 1 << 20, 1000] {
        let Verdict::Value(Value::BulkString(text)) = in_pieces(reply.chunks(step)) else {
            panic!("no text");
        };
        assert_eq!((text.len(), text.capacity()), (size, size));
    }
}

#[test]
fn arrays_have_no_room_to_spare() {
    let count = 100_000;
    let reply = format!("*{count}\r\n{}", ":7\r\n".repeat(count));
    for step in [reply.len(), 64 << 10, 1000] {
        let Verdict::Value(Value::Array(items)) = in_pieces(reply.as_bytes().chunks(step)) else {
            panic!("no array");
        };
        assert_eq!((items.len(), items.capacity()), (count, count));
    }
}

#[test]
fn the_end_of_a_line_is_sought_once() {
    let line = format!("+{}\r\n", "abc\r".repeat(10_000));
    let array = format!("*10000\r\n{}", "$5\r\na\r\nbc\r\n".repeat(10_000));
    for reply in [line, array] {
        for step in [1, 2, 7, 1000] {
            SEARCHED.set(0);
            let value = in_pieces(reply.as_bytes().chunks(step));
            assert!(matches!(value, Verdict::Value(_)));
            assert!(
                SEARCHED.get() <= 2 * reply.len(),
                "{} in steps of {step}",
                SEARCHED.get()
            );
        }
    }
}

proptest! {
    #[test]
    fn cut_replies_are_those_of_redis_rs(
        frames in prop::collection::vec(frame(), 1..5),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let bytes = frames.concat();
        let mut replies = Replies::default();
        let mut values = Vec::new();
        for mut piece in cut(&bytes, &cuts) {
            while let Some(value) = replies.next(&mut piece).unwrap() {
                values.push(value);
            }
            prop_assert!(piece.is_empty());
        }
        prop_assert_eq!(values.len(), frames.len());
        for (value, frame) in values.iter().zip(&frames) {
            let theirs = redis::parse_redis_value(frame).unwrap();
            prop_assert!(same(value, &theirs), "{:?}, {:?}", value, theirs);
        }
    }

    #[test]
    fn damaged_replies_are_judged_as_by_redis_rs(
        frame in frame(),
        damage in prop::collection::vec((any::<Index>(), 0..3, garbage(1..3)), 1..4),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut bytes = frame;
        for (place, way, with) in damage {
            let at = place.index(bytes.len() + 1);
            match way {
                0 => drop(bytes.splice(at..at, with)),
                1 => drop(bytes.drain(at..bytes.len().min(at + with.len()))),
                _ => drop(bytes.splice(at..bytes.len().min(at + with.len()), with)),
            }
        }
        for ours in [ours(&bytes), in_pieces(cut(&bytes, &cuts))] {
            let (shown, theirs) = (bytes.escape_ascii(), theirs(&bytes));
            prop_assert!(agree(&bytes, &ours), "{}: {:?}, {:?}", shown, ours, theirs);
        }
    }

    #[test]
    fn garbage_is_judged_as_by_redis_rs(
        bytes in garbage(0..40),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        for ours in [ours(&bytes), in_pieces(cut(&bytes, &cuts))] {
            let (shown, theirs) = (bytes.escape_ascii(), theirs(&bytes));
            prop_assert!(agree(&bytes, &ours), "{}: {:?}, {:?}", shown, ours, theirs);
        }
    }
}

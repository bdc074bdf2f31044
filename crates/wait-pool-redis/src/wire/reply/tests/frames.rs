//! Random replies, as bytes.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

/// A whole reply.
pub(super) fn frame() -> impl Strategy<Value = Vec<u8>> {
    scalar().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(|items| head('*', items.len(), &items)),
            vec(inner.clone(), 0..8).prop_map(|items| head('~', items.len(), &items)),
            vec([inner.clone(), inner.clone()], 0..5).prop_map(|pairs| head(
                '%',
                pairs.len(),
                pairs.as_flattened()
            )),
            (vec([inner.clone(), inner.clone()], 0..5), inner.clone()).prop_map(|(pairs, data)| {
                let count = pairs.len();
                let mut items = pairs.concat();
                items.push(data);
                head('|', count, &items)
            }),
            (push_kind(), vec(inner, 0..5)).prop_map(|(kind, mut items)| {
                items.insert(0, kind);
                head('>', items.len(), &items)
            }),
        ]
    })
}

/// Bytes of which replies are made, in no order.
pub(super) fn garbage(length: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        6 => prop::sample::select(&b"\r\n"[..]),
        6 => prop::sample::select(&b"+-:$*%~|>!=_#,("[..]),
        6 => prop::sample::select(&b"0123456789"[..]),
        2 => prop::sample::select(&b"tf eE.OK"[..]),
        1 => any::<u8>(),
    ]
    .prop_map(|byte| vec![byte]);
    let pieces = prop_oneof![
        3 => bytes,
        1 => Just(b"\r\n".to_vec()),
        1 => scalar(),
        1 => (prop::sample::select(&b"+-:$*%~|>!=_#,("[..]), -2..5)
            .prop_map(|(kind, number)| format!("{}{number}\r\n", char::from(kind)).into_bytes()),
    ];
    vec(pieces, length).prop_map(|pieces| pieces.concat())
}

fn scalar() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..200).prop_map(|text| bulk('$', &text)),
        2 => vec(prop::sample::select(&b"\r\n:$a"[..]), 0..12).prop_map(|text| bulk('$', &text)),
        1 => prop::sample::select(vec!["$-1", "*-1", "~-1", "_", "+OK", "+QUEUED", "#t", "#f"])
            .prop_map(line),
        2 => any::<i64>().prop_map(|number| line(format!(":{number}"))),
        1 => (-99..99_i64).prop_map(|number| line(format!(": {number:+} "))),
        2 => "[^\r\n]{0,20}".prop_map(|text| line(format!("+{text}"))),
        1 => "[a-z]\r[^\n\r]{1,4}\n\r\r".prop_map(|text| line(format!("+{text}"))),
        2 => "(ERR|MOVED|ASK|OTHER|LOADING)( [^\r\n]{0,20})?".prop_map(|text| line(format!("-{text}"))),
        1 => any::<f64>().prop_map(|number| line(format!(",{number}"))),
        1 => "-?[1-9][0-9]{0,40}".prop_map(|number| line(format!("({number}"))),
        1 => (prop::sample::select(vec!["txt", "mkd", "abc", ""]), vec(any::<u8>(), 0..20))
            .prop_map(|(format, text)| bulk('=', &[format.as_bytes(), b":", &text].concat())),
        1 => vec(any::<u8>(), 0..30).prop_map(|text| bulk('!', &text)),
    ]
}

fn push_kind() -> impl Strategy<Value = Vec<u8>> {
    let kinds = vec!["message", "smessage", "invalidate", "subscribe", "new"];
    (prop::sample::select(kinds), any::<bool>()).prop_map(|(kind, simple)| {
        if simple {
            line(format!("+{kind}"))
        } else {
            bulk('$', kind.as_bytes())
        }
    })
}

fn line(text: impl AsRef<str>) -> Vec<u8> {
    format!("{}\r\n", text.as_ref()).into_bytes()
}

fn bulk(kind: char, text: &[u8]) -> Vec<u8> {
    [
        format!("{kind}{}\r\n", text.len()).as_bytes(),
        text,
        b"\r\n",
    ]
    .concat()
}

fn head(kind: char, count: usize, items: &[Vec<u8>]) -> Vec<u8> {
    [format!("{kind}{count}\r\n").into_bytes(), items.concat()].concat()
}

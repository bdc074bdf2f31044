//! What Feast itself writes: the keys and the row that its Redis online store left in a server.
//!
//! Made with Feast 0.67.0 (Python 3.11, protobuf 7.36, mmh3 5.3) and Redis 7.0.15: for the project `fleet` and a feature
//! view `driver_stats` with the features below, `RedisOnlineStore().online_write_batch(config, view, rows, None)` with the
//! event time 2026-01-02 03:04:05.6 UTC, once with `entity_key_serialization_version=2` and once with 3; then `KEYS *`
//! and `HGETALL`, in hexadecimal digits. The entities are `driver_id` = int64 1001; `zone` = "Zürich" with `driver` = int32 -7;
//! `a` = bytes 00ff with `b` = unix timestamp 1700000000.

pub(super) const KEYS_V2: [&str; 3] = [
    "020000006472697665725f69640400000008000000e903000000000000666c656574",
    "02000000647269766572020000007a6f6e650300000004000000f9ffffff02000000070000005ac3bc72696368666c656574",
    "02000000610200000062010000000200000000ff080000000800000000f1536500000000666c656574",
];

pub(super) const KEYS_V3: [&str; 3] = [
    "0100000002000000090000006472697665725f69640400000008000000e903000000000000666c656574",
    "02000000020000000600000064726976657202000000040000007a6f6e650300000004000000f9ffffff02000000070000005ac3bc72696368666c656574",
    "02000000020000000100000061020000000100000062010000000200000000ff080000000800000000f1536500000000666c656574",
];

/// Name, field, value: -3, 0.25, 1.5, "Lisboa", true, [0.5, -2.0], null.
pub(super) const FEATURES: [(&str, &str, &str); 7] = [
    ("trips_today", "cd97675e", "20fdffffffffffffffff01"),
    ("conv_rate", "fa731014", "29000000000000d03f"),
    ("acc_rate", "5956e084", "350000c03f"),
    ("city", "d89d016b", "12064c6973626f61"),
    ("is_new", "549eb655", "3801"),
    ("embedding", "d8f227b5", "82010a0a080000003f000000c0"),
    ("empty", "c46c0fcb", ""),
];

/// The value of `_ts:driver_stats`.
pub(super) const TIMESTAMP: &str = "08a5ebdcca0610808c8d9e02";

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).unwrap();
            u8::from_str_radix(pair, 16).unwrap()
        })
        .collect()
}

//! The messages that features are stored as: Feast's `Value.proto`, as far as scalars and their lists go.

use std::time::{Duration, SystemTime};

/// The value of a feature. Without a kind it is null.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// The value itself.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 16")]
    pub kind: Option<Kind>,
}

/// What a value is. Of Feast's kinds those that are not listed read as null.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// Bytes.
    #[prost(bytes, tag = "1")]
    Bytes(Vec<u8>),
    /// A string.
    #[prost(string, tag = "2")]
    String(String),
    /// A small integer.
    #[prost(int32, tag = "3")]
    Int32(i32),
    /// An integer.
    #[prost(int64, tag = "4")]
    Int64(i64),
    /// A number.
    #[prost(double, tag = "5")]
    Double(f64),
    /// A number of less precision.
    #[prost(float, tag = "6")]
    Float(f32),
    /// Yes or no.
    #[prost(bool, tag = "7")]
    Bool(bool),
    /// Seconds since 1970.
    #[prost(int64, tag = "8")]
    UnixTimestamp(i64),
    /// Strings.
    #[prost(message, tag = "12")]
    Strings(StringList),
    /// Integers.
    #[prost(message, tag = "14")]
    Int64s(Int64List),
    /// Numbers.
    #[prost(message, tag = "15")]
    Doubles(DoubleList),
    /// Numbers of less precision, as in embeddings.
    #[prost(message, tag = "16")]
    Floats(FloatList),
}

/// Strings.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringList {
    /// In order.
    #[prost(string, repeated, tag = "1")]
    pub val: Vec<String>,
}

/// Integers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Int64List {
    /// In order.
    #[prost(int64, repeated, tag = "1")]
    pub val: Vec<i64>,
}

/// Numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DoubleList {
    /// In order.
    #[prost(double, repeated, tag = "1")]
    pub val: Vec<f64>,
}

/// Numbers of less precision.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FloatList {
    /// In order.
    #[prost(float, repeated, tag = "1")]
    pub val: Vec<f32>,
}

/// A moment, as protobuf has it.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Timestamp {
    /// Since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Below a second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl From<Timestamp> for SystemTime {
    /// What lies before 1970 is shown as 1970: no feature does.
    fn from(timestamp: Timestamp) -> Self {
        let seconds = u64::try_from(timestamp.seconds).unwrap_or(0);
        let nanos = u32::try_from(timestamp.nanos).unwrap_or(0);
        Self::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanos.into())
    }
}

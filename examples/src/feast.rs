//! Feature rows as Feast's Redis online store lays them out, read through lookups.
//!
//! All features of an entity, those of all its feature views, are one hash:
//!
//! | | is made of |
//! |---|---|
//! | the key | the entity's join keys and their values ([`EntityKey`]), and the name of the project |
//! | a field | the murmur3 hash of `view:feature`, four bytes, the lowest first ([`feature_field`]) |
//! | its value | a protobuf message, [`Value`] |
//! | the field `_ts:view` | the time that the view's features are of, a protobuf message, [`Timestamp`] |
//!
//! So ten features of twenty entities, of any number of views, are twenty `HMGET`s in one
//! [`Lookup`](wait_pool_redis::Lookup).

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]
mod golden;
mod layout;
mod proto;
mod reader;

pub use layout::{EntityKey, KeyVersion, feature_field, timestamp_field};
pub use proto::{DoubleList, FloatList, Int64List, Kind, StringList, Timestamp, Value};
pub use reader::{FeatureReader, FeatureRow, ReadError};

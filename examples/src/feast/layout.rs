//! Where things are: keys of entities, names of fields.

use super::proto::Kind;

/// Who the features are of: join keys with their values.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityKey {
    /// In the order of their names, so that the same entity has the same key however it is written down.
    joins: Vec<(String, KeyValue)>,
}

/// What may stand in a key: the kinds that Feast allows there.
#[derive(Clone, Debug, PartialEq)]
enum KeyValue {
    Bytes(Vec<u8>),
    String(String),
    Int32(i32),
    Int64(i64),
    UnixTimestamp(i64),
}

/// How keys are written: Feast's `entity_key_serialization_version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyVersion {
    /// Without lengths; Feast warns of it today.
    V2,
    /// With lengths before all that has one.
    #[default]
    V3,
}

impl EntityKey {
    /// An entity by its join keys.
    ///
    /// # Errors
    ///
    /// Names the join key whose value is of a kind that Feast has no key for.
    pub fn new<N: Into<String>>(
        joins: impl IntoIterator<Item = (N, Kind)>,
    ) -> Result<Self, String> {
        let joins = joins.into_iter().map(|(name, kind)| {
            let name = name.into();
            match kind {
                Kind::Bytes(bytes) => Ok((name, KeyValue::Bytes(bytes))),
                Kind::String(string) => Ok((name, KeyValue::String(string))),
                Kind::Int32(number) => Ok((name, KeyValue::Int32(number))),
                Kind::Int64(number) => Ok((name, KeyValue::Int64(number))),
                Kind::UnixTimestamp(seconds) => Ok((name, KeyValue::UnixTimestamp(seconds))),
                _ => Err(format!(
                    "{name}: no value of this kind can be part of a key"
                )),
            }
        });
        let mut joins = joins.collect::<Result<Vec<_>, _>>()?;
        joins.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { joins })
    }

    /// The Redis key of the entity's row.
    pub fn redis_key(&self, project: &str, version: KeyVersion) -> Vec<u8> {
        let mut key = Vec::with_capacity(64 + project.len());
        let lengths = version == KeyVersion::V3;
        if lengths {
            put_length(&mut key, self.joins.len());
        }
        for (name, _) in &self.joins {
            key.extend(STRING.to_le_bytes());
            if lengths {
                put_length(&mut key, name.len());
            }
            key.extend(name.as_bytes());
        }
        for (_, value) in &self.joins {
            value.put(&mut key);
        }
        key.extend(project.as_bytes());
        key
    }
}

impl KeyValue {
    fn put(&self, key: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) => put(key, BYTES, bytes),
            Self::String(string) => put(key, STRING, string.as_bytes()),
            Self::Int32(number) => put(key, INT32, &number.to_le_bytes()),
            Self::Int64(number) => put(key, INT64, &number.to_le_bytes()),
            Self::UnixTimestamp(seconds) => put(key, UNIX_TIMESTAMP, &seconds.to_le_bytes()),
        }
    }
}

fn put(key: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
    key.extend(kind.to_le_bytes());
    put_length(key, bytes.len());
    key.extend(bytes);
}

fn put_length(key: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    key.extend(length.to_le_bytes());
}

/// The field that holds a feature, named as `view:feature`.
pub fn feature_field(feature: &str) -> [u8; 4] {
    let mut name = feature.as_bytes();
    let hash = murmur3::murmur3_32(&mut name, 0);
    hash.expect("bytes can always be read").to_le_bytes()
}

/// The field that holds the time of a view's features.
pub fn timestamp_field(view: &str) -> Vec<u8> {
    format!("_ts:{view}").into_bytes()
}

/// The numbers of Feast's `ValueType`.
const BYTES: u32 = 1;
const STRING: u32 = 2;
const INT32: u32 = 3;
const INT64: u32 = 4;
const UNIX_TIMESTAMP: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feast::golden;

    #[test]
    fn keys_are_those_of_feast() {
        let one = EntityKey::new([("driver_id", Kind::Int64(1001))]).unwrap();
        let two = [
            ("zone", Kind::String("Zürich".into())),
            ("driver", Kind::Int32(-7)),
        ];
        let two = EntityKey::new(two).unwrap();
        let other = [
            ("a", Kind::Bytes(vec![0, 255])),
            ("b", Kind::UnixTimestamp(1_700_000_000)),
        ];
        let other = EntityKey::new(other).unwrap();
        for (version, expected) in [
            (KeyVersion::V2, golden::KEYS_V2),
            (KeyVersion::V3, golden::KEYS_V3),
        ] {
            for (entity, expected) in [&one, &two, &other].into_iter().zip(expected) {
                let key = entity.redis_key("fleet", version);
                assert_eq!(golden::hex(&key), expected, "{version:?} {entity:?}");
            }
        }
    }

    #[test]
    fn fields_are_those_of_feast() {
        for (name, field, _) in golden::FEATURES {
            let feature = format!("driver_stats:{name}");
            assert_eq!(golden::hex(&feature_field(&feature)), field, "{feature}");
        }
        assert_eq!(timestamp_field("driver_stats"), b"_ts:driver_stats");
    }

    #[test]
    fn a_number_with_a_fraction_is_no_key() {
        let refused = EntityKey::new([("rate", Kind::Double(0.5))]);
        assert!(refused.unwrap_err().starts_with("rate: "));
    }
}

//! Many features of many entities, in one lookup.

use std::collections::BTreeMap;
use std::time::SystemTime;

use prost::{DecodeError, Message};
use wait_pool_redis::{Lookup, LookupError};

use super::layout::{EntityKey, KeyVersion, feature_field, timestamp_field};
use super::proto::{Timestamp, Value};

/// Reads the features of one project.
#[derive(Clone, Debug)]
pub struct FeatureReader {
    lookup: Lookup,
    project: String,
    version: KeyVersion,
}

/// What is known of an entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureRow {
    /// In the order asked for; `None` where nothing is stored, or null.
    pub values: Vec<Option<Value>>,
    /// The time that the features of a view are of, by the view's name.
    pub event_times: BTreeMap<String, SystemTime>,
}

/// Why there is nothing to be said of an entity.
#[derive(Clone, Debug)]
pub enum ReadError {
    /// Its row was not read.
    Lookup(LookupError),
    /// What is stored was not written by Feast.
    Decode(DecodeError),
}

impl FeatureReader {
    /// For a project, through a lookup that has the settings wanted.
    pub fn new(lookup: Lookup, project: impl Into<String>, version: KeyVersion) -> Self {
        Self {
            lookup,
            project: project.into(),
            version,
        }
    }

    /// Reads features, named `view:feature`, of entities: one result for each entity, in order, `Ok(None)` where
    /// nothing is stored of it. One `HMGET` for each, whatever the number of views.
    pub async fn read(
        &self,
        features: &[&str],
        entities: &[EntityKey],
    ) -> Vec<Result<Option<FeatureRow>, ReadError>> {
        let mut views: Vec<&str> = features.iter().map(|feature| view(feature)).collect();
        views.sort_unstable();
        views.dedup();
        let fields = features
            .iter()
            .map(|feature| feature_field(feature).to_vec());
        let fields = fields.chain(views.iter().map(|view| timestamp_field(view)));
        let keys = entities
            .iter()
            .map(|entity| entity.redis_key(&self.project, self.version));
        let rows = self.lookup.rows(keys).fields(fields).get::<Vec<u8>>().await;
        let row = |fields: Vec<Option<Vec<u8>>>| FeatureRow::decode(fields, &views);
        rows.into_iter()
            .map(|fields| match fields {
                Ok(fields) => fields.map(row).transpose().map_err(ReadError::Decode),
                Err(error) => Err(ReadError::Lookup(error)),
            })
            .collect()
    }
}

impl FeatureRow {
    /// The values come first, then the times.
    fn decode(mut fields: Vec<Option<Vec<u8>>>, views: &[&str]) -> Result<Self, DecodeError> {
        let times = fields.split_off(fields.len().saturating_sub(views.len()));
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let value = field.map(|bytes| Value::decode(&*bytes)).transpose()?;
            values.push(value.filter(|value| value.kind.is_some()));
        }
        let mut event_times = BTreeMap::new();
        for (view, time) in views.iter().zip(times) {
            if let Some(time) = time {
                event_times.insert((*view).to_owned(), Timestamp::decode(&*time)?.into());
            }
        }
        Ok(Self {
            values,
            event_times,
        })
    }
}

/// The view that a feature belongs to.
fn view(feature: &str) -> &str {
    feature.split_once(':').map_or(feature, |(view, _)| view)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]
mod tests {
    use std::time::Duration;

    use testbed::Server;
    use wait_pool_redis::Pool;

    use super::*;
    use crate::feast::golden;
    use crate::feast::proto::{FloatList, Kind};

    /// A row as Feast left it, read here.
    #[tokio::test]
    async fn a_row_of_feasts_is_read() {
        let server = Server::start().unwrap();
        let mut pool = Pool::builder(server.url()).build().unwrap();
        let mut write = redis::cmd("HSET");
        write.arg(golden::bytes(golden::KEYS_V3[0]));
        for (_, field, value) in golden::FEATURES {
            write.arg(golden::bytes(field)).arg(golden::bytes(value));
        }
        write
            .arg("_ts:driver_stats")
            .arg(golden::bytes(golden::TIMESTAMP));
        write.exec_async(&mut pool).await.unwrap();

        let names = golden::FEATURES.map(|(name, ..)| format!("driver_stats:{name}"));
        let mut features: Vec<&str> = names.iter().map(String::as_str).collect();
        features.push("other_view:feature");
        let entity = |id| EntityKey::new([("driver_id", Kind::Int64(id))]).unwrap();
        let reader = FeatureReader::new(pool.lookup(), "fleet", KeyVersion::V3);
        let rows = reader.read(&features, &[entity(1), entity(1001)]).await;
        assert!(matches!(rows[0], Ok(None)));
        let row = rows[1].as_ref().unwrap().as_ref().unwrap();
        let kinds = [
            Kind::Int64(-3),
            Kind::Double(0.25),
            Kind::Float(1.5),
            Kind::String("Lisboa".into()),
            Kind::Bool(true),
            Kind::Floats(FloatList {
                val: vec![0.5, -2.0],
            }),
        ];
        let mut expected = kinds.map(|kind| Some(kind.into())).to_vec();
        expected.extend([None, None]);
        assert_eq!(row.values, expected);
        let time = Duration::from_millis(1_767_323_045_600);
        let times = [("driver_stats".to_owned(), SystemTime::UNIX_EPOCH + time)];
        assert_eq!(row.event_times, BTreeMap::from(times));
        for ((.., hex), value) in golden::FEATURES.iter().zip(&row.values) {
            let written = value.as_ref().map_or_else(Vec::new, Message::encode_to_vec);
            assert_eq!(golden::hex(&written), *hex);
        }
    }

    #[tokio::test]
    async fn what_feast_did_not_write_is_an_error_of_its_entity() {
        let server = Server::start().unwrap();
        let mut pool = Pool::builder(server.url()).build().unwrap();
        let entity = |id| EntityKey::new([("driver_id", Kind::Int64(id))]).unwrap();
        let key = |id| entity(id).redis_key("fleet", KeyVersion::V3);
        let field = feature_field("v:f");
        let mut write = redis::pipe();
        write
            .hset(key(1), &field, "\u{0}")
            .ignore()
            .set(key(2), "x")
            .ignore();
        write.exec_async(&mut pool).await.unwrap();
        let reader = FeatureReader::new(pool.lookup(), "fleet", KeyVersion::V3);
        let rows = reader
            .read(&["v:f"], &[entity(1), entity(2), entity(3)])
            .await;
        assert!(matches!(rows[0], Err(ReadError::Decode(_))));
        assert!(matches!(
            rows[1],
            Err(ReadError::Lookup(LookupError::WrongType))
        ));
        assert!(matches!(rows[2], Ok(None)));
    }
}

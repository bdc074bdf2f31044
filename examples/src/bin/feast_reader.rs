//! Ten features of twenty entities in one lookup, out of rows laid out as Feast's Redis online store has them.
//!
//! ```text
//! cargo run -p examples --bin feast_reader                          # starts a server of its own
//! cargo run -p examples --bin feast_reader -- redis://127.0.0.1:PORT  # uses that one
//! ```

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use examples::feast::{
    EntityKey, FeatureReader, KeyVersion, Kind, Timestamp, Value, feature_field, timestamp_field,
};
use prost::Message;
use testbed::Server;
use wait_pool_redis::Pool;

const PROJECT: &str = "fleet";
const ENTITIES: i64 = 20;

/// Of two views, whose features share a row.
const FEATURES: [&str; 10] = [
    "driver_stats:trips_today",
    "driver_stats:trips_7d",
    "driver_stats:conv_rate",
    "driver_stats:acc_rate",
    "driver_stats:rating",
    "driver_profile:age",
    "driver_profile:years_driving",
    "driver_profile:languages",
    "driver_profile:vehicles",
    "driver_profile:level",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let own_server;
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => {
            own_server = Server::start().context("no server could be started")?;
            own_server.url()
        }
    };
    let pool = Pool::builder(url).name("features").build()?;
    let drivers: Result<Vec<_>, _> = (0..ENTITIES).map(driver).collect();
    let drivers = drivers.map_err(anyhow::Error::msg)?;
    // One of them is not known.
    write(&pool, &drivers[1..]).await?;

    let lookup = pool.lookup().timeout(Duration::from_millis(500));
    let reader = FeatureReader::new(lookup, PROJECT, KeyVersion::V3);
    let begun = Instant::now();
    let rows = reader.read(&FEATURES, &drivers).await;
    let took = begun.elapsed();
    for (driver, row) in rows.iter().enumerate() {
        match row {
            Ok(Some(row)) => {
                let shown = row.values.iter().flatten().filter_map(show);
                println!("driver {driver}: {}", shown.collect::<Vec<_>>().join(" "));
            }
            Ok(None) => println!("driver {driver}: unknown"),
            Err(error) => println!("driver {driver}: {error:?}"),
        }
    }
    println!(
        "{} features of {ENTITIES} drivers in {took:?}",
        FEATURES.len()
    );
    Ok(())
}

fn driver(id: i64) -> Result<EntityKey, String> {
    EntityKey::new([("driver_id", Kind::Int64(id))])
}

/// As a materialization job does.
async fn write(pool: &Pool, drivers: &[EntityKey]) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = Timestamp {
        seconds: now.as_secs().try_into()?,
        nanos: 0,
    };
    let mut rows = redis::pipe();
    for (number, driver) in (1..).zip(drivers) {
        let row = rows
            .cmd("HSET")
            .arg(driver.redis_key(PROJECT, KeyVersion::V3));
        for (place, feature) in FEATURES.iter().enumerate() {
            let value = Value::from(match place % 2 {
                0 => Kind::Int64(number),
                _ => Kind::Double(f64::from(u32::try_from(place)?) / 10.0),
            });
            row.arg(&feature_field(feature)).arg(value.encode_to_vec());
        }
        for view in ["driver_stats", "driver_profile"] {
            row.arg(timestamp_field(view)).arg(now.encode_to_vec());
        }
        row.ignore();
    }
    rows.exec_async(&mut pool.clone()).await?;
    Ok(())
}

fn show(value: &Value) -> Option<String> {
    match value.kind.as_ref()? {
        Kind::Int64(number) => Some(number.to_string()),
        Kind::Double(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

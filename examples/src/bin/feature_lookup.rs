//! Ten features a request out of a cluster, from many tasks at once, in one pipeline each.
//!
//! ```text
//! cargo xtask cluster up
//! cargo run -p examples --bin feature_lookup -- redis://127.0.0.1:PORT
//! ```

use std::time::{Duration, Instant};

use anyhow::Context;
use wait_pool_redis::cluster::Pool;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let pool = Pool::builder(urls)
        .name("features")
        .max_connections_per_node(16)
        .request_timeout(Duration::from_secs(1))
        .build()
        .context("give the URLs of one or more nodes of a cluster")?;

    let mut features = redis::pipe();
    for user in 0..1_000 {
        features.set(format!("example:user:{user}"), user).ignore();
    }
    features.query_async::<()>(&mut pool.clone()).await?;

    let begun = Instant::now();
    let lookups: Vec<_> = (0..256_u64)
        .map(|task| tokio::spawn(serve(pool.clone(), task)))
        .collect();
    let mut values = 0;
    for lookup in lookups {
        values += lookup.await??;
    }
    println!("{values} values in {:?}", begun.elapsed());
    for (node, status) in pool.status_by_node() {
        println!(
            "{node}: {} connections of at most {}",
            status.size, status.max_size
        );
    }
    Ok(())
}

/// Serves 100 requests of ten features each.
async fn serve(mut pool: Pool, task: u64) -> redis::RedisResult<usize> {
    let mut values = 0;
    for request in 0..100 {
        let mut lookup = redis::pipe();
        for feature in 0..10 {
            lookup.get(format!(
                "example:user:{}",
                (task * 31 + request * 7 + feature) % 1_000
            ));
        }
        let found: Vec<Option<u64>> = lookup.query_async(&mut pool).await?;
        values += found.iter().flatten().count();
    }
    Ok(values)
}

//! bb8-redis: a pool for each server, used by hand. It has none for clusters.

use bb8_redis::RedisConnectionManager;
use bb8_redis::bb8::Pool;
use futures_util::future::try_join_all;

use super::Contestant;
use super::owners::{Owners, merged};
use crate::lookups::data::Keys;

/// How many connections a pool has at most.
const SIZE: u32 = 16;

/// A pipeline for each server, on a connection out of that server's pool.
pub(crate) struct PerNode {
    owners: Owners,
    pools: Vec<Pool<RedisConnectionManager>>,
}

impl Contestant for PerNode {
    const NAME: &'static str = "bb8-redis";
    const VARIANT: &'static str = "per node, pipe";
    const PACKAGE: Option<&'static str> = Some("bb8-redis");
    const SETTINGS: &'static str =
        "a pool of 16 for each server, no test on checkout; its other defaults";

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let owners = Owners::ask(&urls).await?;
        let mut pools = Vec::new();
        for address in &owners.addresses {
            let manager = RedisConnectionManager::new(format!("redis://{address}"))?;
            // By default it asks the server at every checkout.
            let builder = Pool::builder().max_size(SIZE).test_on_check_out(false);
            pools.push(builder.build(manager).await?);
        }
        Ok(Self { owners, pools })
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let parts = self.owners.cut(keys);
        let answers = parts.iter().map(|part| async move {
            let mut connection = self.pools[part.node].get().await?;
            anyhow::Ok(part.pipeline(keys).query_async(&mut *connection).await?)
        });
        Ok(merged(&parts, try_join_all(answers).await?))
    }
}

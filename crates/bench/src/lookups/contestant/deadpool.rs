//! deadpool-redis: its pool of cluster clients, and a pool for each server used by hand.

use deadpool_redis::{Config, Pool, PoolConfig, Runtime, cluster};
use futures_util::future::try_join_all;

use super::owners::{Owners, merged};
use super::{Contestant, redis_rs};
use crate::lookups::data::Keys;

const NAME: &str = "deadpool-redis";
const PACKAGE: Option<&str> = Some("deadpool-redis");
const CLUSTER: &str = "a pool of 16 `ClusterConnection`s; its other defaults";

/// How many connections a pool has at most.
const SIZE: usize = 16;

/// Ten `GET` side by side on a cluster client out of the pool.
pub(crate) struct Joined(cluster::Pool);

/// One `MGET` on a cluster client out of the pool.
pub(crate) struct Mget(cluster::Pool);

/// A pipeline for each server, on a connection out of that server's pool.
pub(crate) struct PerNode {
    owners: Owners,
    pools: Vec<Pool>,
}

impl Contestant for Joined {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "cluster, joined";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = CLUSTER;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(of_clusters(urls)?))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        redis_rs::joined(&*self.0.get().await?, keys).await
    }
}

impl Contestant for Mget {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "cluster, mget";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = CLUSTER;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(of_clusters(urls)?))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        redis_rs::mget(&*self.0.get().await?, keys).await
    }
}

impl Contestant for PerNode {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "per node, pipe";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = "a pool of 16 for each server; its other defaults";

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let owners = Owners::ask(&urls).await?;
        let mut pools = Vec::new();
        for address in &owners.addresses {
            let config = Config {
                pool: Some(PoolConfig::new(SIZE)),
                ..Config::from_url(format!("redis://{address}"))
            };
            pools.push(config.create_pool(Some(Runtime::Tokio1))?);
        }
        Ok(Self { owners, pools })
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let parts = self.owners.cut(keys);
        let answers = parts.iter().map(|part| async move {
            let mut connection = self.pools[part.node].get().await?;
            anyhow::Ok(part.pipeline(keys).query_async(&mut connection).await?)
        });
        Ok(merged(&parts, try_join_all(answers).await?))
    }
}

fn of_clusters(urls: Vec<String>) -> anyhow::Result<cluster::Pool> {
    let config = cluster::Config {
        pool: Some(PoolConfig::new(SIZE)),
        ..cluster::Config::from_urls(urls)
    };
    Ok(config.create_pool(Some(Runtime::Tokio1))?)
}

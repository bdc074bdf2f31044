//! redis-rs's own cluster client: one connection to each server, one task for all of them.

use futures_util::future::try_join_all;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cmd;

use super::Contestant;
use crate::lookups::data::Keys;

const NAME: &str = "redis-rs cluster";
const PACKAGE: Option<&str> = Some("redis");
const SETTINGS: &str = "one `ClusterConnection`, cloned for each request; its defaults";

/// Ten `GET` side by side.
pub(crate) struct Joined(ClusterConnection);

/// One `MGET`, which it cuts by slot.
pub(crate) struct Mget(ClusterConnection);

impl Contestant for Joined {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "joined";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = SETTINGS;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(open(urls).await?))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        joined(&self.0, keys).await
    }
}

impl Contestant for Mget {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "mget";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = SETTINGS;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(open(urls).await?))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        mget(&self.0, keys).await
    }
}

async fn open(urls: Vec<String>) -> anyhow::Result<ClusterConnection> {
    let client = ClusterClientBuilder::new(urls).build()?;
    Ok(client.get_async_connection().await?)
}

pub(super) async fn joined(
    connection: &ClusterConnection,
    keys: &Keys,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let gets = keys.iter().map(|key| {
        let mut connection = connection.clone();
        async move {
            cmd("GET")
                .arg(key.as_ref())
                .query_async(&mut connection)
                .await
        }
    });
    Ok(try_join_all(gets).await?)
}

pub(super) async fn mget(
    connection: &ClusterConnection,
    keys: &Keys,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut mget = cmd("MGET");
    for key in keys {
        mget.arg(key.as_ref());
    }
    Ok(mget.query_async(&mut connection.clone()).await?)
}

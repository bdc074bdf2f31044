//! redis-rs's own cluster client: one connection per node that all callers share, and a task
//! between them and it.

use futures_util::future::try_join_all;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cmd;

use super::crowd::Reader;
use super::failure::Failure;
use super::phase::REQUEST_TIMEOUT;
use super::site::Site;

/// Ten single GETs side by side.
#[derive(Clone)]
pub(super) struct Joined(ClusterConnection);

impl Joined {
    /// Connects to the cluster.
    pub(super) async fn open(site: &Site) -> anyhow::Result<Self> {
        let client = ClusterClientBuilder::new(site.seeds.clone())
            .connection_timeout(REQUEST_TIMEOUT)
            .response_timeout(REQUEST_TIMEOUT)
            .build()?;
        Ok(Self(client.get_async_connection().await?))
    }
}

impl Reader for Joined {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<String>>, Failure> {
        let gets = keys
            .iter()
            .map(async |key| cmd("GET").arg(key).query_async(&mut self.0.clone()).await);
        Ok(try_join_all(gets).await?)
    }
}

//! wait-pool's cluster pool, asked in two ways.

use std::time::Duration;

use futures_util::future::try_join_all;
use redis::cmd;
use wait_pool_redis::cluster::Pool;

use super::crowd::Reader;
use super::failure::Failure;
use super::site::Site;

/// Most connections to one node.
pub(super) const PER_NODE: usize = 16;

/// A pool that gives up a request after so long.
pub(super) fn pool(site: &Site, timeout: Duration) -> anyhow::Result<Pool> {
    Ok(Pool::builder(site.seeds.clone())
        .name("demo")
        .max_connections_per_node(PER_NODE)
        .wait_timeout(timeout)
        .request_timeout(timeout)
        .build()?)
}

/// Most connections it may have: sixteen to each master, and one to each node that asks it who
/// serves what.
pub(super) fn cap(site: &Site) -> u64 {
    let masters = site.slots.masters.len();
    (PER_NODE * masters + site.slots.nodes().count()) as u64
}

/// Ten single GETs side by side.
#[derive(Clone)]
pub(super) struct Single(pub(super) Pool);

/// One pipeline of ten GETs.
#[derive(Clone)]
pub(super) struct Pipelined(pub(super) Pool);

impl Reader for Single {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<String>>, Failure> {
        let gets = keys
            .iter()
            .map(async |key| cmd("GET").arg(key).query_async(&mut self.0.clone()).await);
        Ok(try_join_all(gets).await?)
    }
}

impl Reader for Pipelined {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<String>>, Failure> {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.cmd("GET").arg(key);
        }
        Ok(pipe.query_async(&mut self.0.clone()).await?)
    }
}

//! This project's own pool, at its defaults, in each of the ways it can be asked.

use futures_util::future::try_join_all;
use redis::{cmd, pipe};
use wait_pool_redis::cluster::Pool;
use wait_pool_redis::{Handle, Lookup};

use super::Contestant;
use crate::lookups::data::Keys;

const NAME: &str = "wait-pool-redis";
const PACKAGE: Option<&str> = Some("wait-pool-redis");
const DEFAULTS: &str = "its defaults";

/// One pipeline of ten `GET`.
pub(crate) struct Piped(Handle);

/// The lookup API.
pub(crate) struct LookedUp(Lookup);

/// Ten `GET` side by side.
pub(crate) struct Joined(Handle);

/// One `MGET`, which the pool cuts.
pub(crate) struct Mget(Handle);

/// What can be set and bears upon the throughput.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) connections_per_node: usize,
    pub(crate) leases_per_connection: usize,
    pub(crate) max_connecting: usize,
}

/// A pool that is not at its defaults.
pub(crate) async fn tuned(urls: Vec<String>, settings: Settings) -> anyhow::Result<Piped> {
    let pool = Pool::builder(urls)
        .max_connections_per_node(settings.connections_per_node)
        .max_leases(settings.leases_per_connection)
        .max_connecting(settings.max_connecting)
        .build()?;
    Ok(Piped(pool.handle()))
}

impl Contestant for Piped {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "pipe";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = DEFAULTS;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(Pool::builder(urls).build()?.handle()))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let mut batch = pipe();
        for key in keys {
            batch.get(key.as_ref());
        }
        Ok(batch.query_async(&mut self.0.clone()).await?)
    }
}

impl Contestant for LookedUp {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "lookup";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = DEFAULTS;

    type Values = Vec<Option<Vec<u8>>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(Pool::builder(urls).build()?.lookup()))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        Ok(self.0.keys(keys).get().await.all()?)
    }
}

impl Contestant for Joined {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "joined";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = DEFAULTS;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(Pool::builder(urls).build()?.handle()))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let gets = keys.iter().map(|key| {
            let mut handle = self.0.clone();
            async move { cmd("GET").arg(key.as_ref()).query_async(&mut handle).await }
        });
        Ok(try_join_all(gets).await?)
    }
}

impl Contestant for Mget {
    const NAME: &'static str = NAME;
    const VARIANT: &'static str = "mget";
    const PACKAGE: Option<&'static str> = PACKAGE;
    const SETTINGS: &'static str = DEFAULTS;

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self(Pool::builder(urls).build()?.handle()))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let mut mget = cmd("MGET");
        for key in keys {
            mget.arg(key.as_ref());
        }
        Ok(mget.query_async(&mut self.0.clone()).await?)
    }
}

//! fred: its pool of clients in turns, and its pipelines, which it takes apart by slot.

use anyhow::Context as _;
use fred::bytes::Bytes as Shared;
use fred::clients::Pool;
use fred::interfaces::{ClientLike as _, KeysInterface as _};
use fred::types::Builder;
use fred::types::config::Config;

use crate::lookups::contestant::Contestant;
use crate::lookups::data::{Bytes, Keys};

/// How many clients the pool has, each with a connection to each server.
const SIZE: usize = 1;

pub(crate) struct Fred(Pool);

impl Contestant for Fred {
    const NAME: &'static str = "fred";
    const VARIANT: &'static str = "pipeline";
    const PACKAGE: Option<&'static str> = Some("fred");
    const SETTINGS: &'static str = "a pool of one client; its other defaults";

    type Values = Vec<Option<Shared>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let url = urls.first().context("no servers")?;
        let url = url.replacen("redis", "redis-cluster", 1);
        let pool = Builder::from_config(Config::from_url_clustered(&url)?).build_pool(SIZE)?;
        pool.init().await?;
        Ok(Self(pool))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let batch = self.0.next().pipeline();
        for key in keys {
            let () = batch.get(key.as_ref()).await?;
        }
        Ok(batch.all().await?)
    }
}

impl Bytes for Shared {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

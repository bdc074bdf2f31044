//! rustis: its client and its pipelines, which it takes apart by slot.

use anyhow::Context as _;
use rustis::client::{BatchPreparedCommand as _, Client};
use rustis::commands::StringCommands as _;
use rustis::resp::BulkString;

use crate::lookups::contestant::Contestant;
use crate::lookups::data::{Bytes, Keys};

pub(crate) struct Rustis(Client);

impl Contestant for Rustis {
    const NAME: &'static str = "rustis";
    const VARIANT: &'static str = "pipeline";
    const PACKAGE: Option<&'static str> = Some("rustis");
    const SETTINGS: &'static str = "one client, cloned for each request; its defaults";

    type Values = Vec<Option<BulkString>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let url = urls.first().context("no servers")?;
        let url = url.replacen("redis", "redis+cluster", 1);
        Ok(Self(Client::connect(url).await?))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let mut batch = self.0.create_pipeline();
        batch.reserve(keys.len());
        for key in keys {
            // Bytes would be taken for a list of numbers.
            batch.get::<()>(str::from_utf8(key.as_ref())?).queue();
        }
        Ok(batch.execute().await?)
    }
}

impl Bytes for BulkString {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

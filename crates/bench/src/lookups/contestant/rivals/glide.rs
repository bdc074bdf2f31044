//! valkey-glide, the Valkey project's own client: its pipelines, which it takes apart by slot.

use std::time::Duration;

use glide::{GlideClusterClient, GlideClusterClientConfiguration, PipelineExt as _, pipe};

use crate::lookups::contestant::Contestant;
use crate::lookups::data::Keys;

/// Its own limit of 1,000 would refuse what comes beyond.
const IN_FLIGHT: u32 = 1_000_000;
/// Its own limit of a quarter of a second is too short for a thousand callers.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Glide(GlideClusterClient);

impl Contestant for Glide {
    const NAME: &'static str = "valkey-glide";
    const VARIANT: &'static str = "pipeline";
    const PACKAGE: Option<&'static str> = Some("valkey-glide");
    const SETTINGS: &'static str = "one client, cloned for each request; a request timeout of 10 s, no limit of requests in flight";

    type Values = Vec<Option<Vec<u8>>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let config = GlideClusterClientConfiguration::from_urls(urls)?
            .request_timeout(TIMEOUT)
            .inflight_requests_limit(IN_FLIGHT);
        Ok(Self(GlideClusterClient::connect(config).await?))
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let mut batch = pipe();
        for key in keys {
            batch.cmd("GET").arg(key.as_ref());
        }
        Ok(batch.query_async(&self.0).await?)
    }
}

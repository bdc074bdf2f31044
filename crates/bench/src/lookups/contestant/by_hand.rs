//! A program without a pool: one or two redis-rs connections to each server, which it never replaces, and
//! a pipeline for each server. What redis-rs can do at best, for somebody who needs nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use super::Contestant;
use super::owners::{Owners, merged};
use crate::lookups::data::Keys;

/// So many connections to each server.
pub(crate) struct Multiplexed<const CONNECTIONS: usize> {
    owners: Owners,
    nodes: Vec<Vec<MultiplexedConnection>>,
    turn: AtomicUsize,
}

impl<const CONNECTIONS: usize> Contestant for Multiplexed<CONNECTIONS> {
    const NAME: &'static str = match CONNECTIONS {
        1 => "ideal-mux-1",
        _ => "ideal-mux-2",
    };
    const VARIANT: &'static str = "";
    const PACKAGE: Option<&'static str> = None;
    const SETTINGS: &'static str =
        "redis-rs's `MultiplexedConnection` without timeouts, used in turns";

    type Values = Vec<Vec<u8>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let owners = Owners::ask(&urls).await?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut nodes = Vec::new();
        for address in &owners.addresses {
            let client = Client::open(format!("redis://{address}"))?;
            let open = || client.get_multiplexed_async_connection_with_config(&config);
            nodes.push(try_join_all((0..CONNECTIONS).map(|_| open())).await?);
        }
        Ok(Self {
            owners,
            nodes,
            turn: AtomicUsize::new(0),
        })
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let parts = self.owners.cut(keys);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let answers = parts.iter().map(|part| {
            let mut connection = self.nodes[part.node][turn].clone();
            let batch = part.pipeline(keys);
            async move { batch.query_async(&mut connection).await }
        });
        Ok(merged(&parts, try_join_all(answers).await?))
    }
}

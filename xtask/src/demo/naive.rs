//! The client that the usual ones are: every command takes a free connection of its node, or opens
//! another one if none is free. With a limit it fails there instead of waiting.
//!
//! The connections are redis-rs's, used for one command at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};

use super::crowd::Reader;
use super::failure::Failure;
use super::phase::REQUEST_TIMEOUT;
use super::site::Site;
use super::slots::Slots;

/// A list of connections per node.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    nodes: Arc<[List]>,
    slots: Arc<Slots>,
}

/// The connections to one node.
#[derive(Debug)]
struct List {
    client: Client,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: VecDeque<MultiplexedConnection>,
    /// Free, taken and being opened.
    open: usize,
}

impl Lists {
    /// Empty lists, with this limit on each.
    pub(super) fn new(site: &Site, limit: usize) -> anyhow::Result<Self> {
        let list = |node| {
            Ok(List {
                client: Client::open(site.info(node))?,
                limit,
                state: Mutex::default(),
            })
        };
        Ok(Self {
            nodes: site
                .slots
                .masters
                .iter()
                .map(list)
                .collect::<anyhow::Result<_>>()?,
            slots: Arc::clone(&site.slots),
        })
    }

    async fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        let node = &self.nodes[self.slots.owner(key)];
        let mut connection = node.take().await?;
        let result = cmd("GET").arg(key).query_async(&mut connection).await;
        node.put(result.is_ok().then_some(connection));
        Ok(result?)
    }
}

impl Reader for Lists {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<String>>, Failure> {
        // All of them run to their end, even if one fails at once: nothing calls them back.
        let results = join_all(keys.iter().map(|key| self.get(key))).await;
        results.into_iter().collect()
    }
}

impl List {
    async fn take(&self) -> Result<MultiplexedConnection, Failure> {
        {
            let mut state = self.state.lock();
            if let Some(connection) = state.free.pop_front() {
                return Ok(connection);
            }
            if state.open >= self.limit {
                return Err(Failure::MAX_CONNECTIONS);
            }
            state.open += 1;
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REQUEST_TIMEOUT))
            .set_response_timeout(Some(REQUEST_TIMEOUT));
        let opened = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        if opened.is_err() {
            self.put(None);
        }
        Ok(opened?)
    }

    /// Gives back a connection, or only its place.
    fn put(&self, connection: Option<MultiplexedConnection>) {
        let mut state = self.state.lock();
        match connection {
            Some(connection) => state.free.push_back(connection),
            None => state.open -= 1,
        }
    }
}

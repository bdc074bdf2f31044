//! rustis: its client, alone or several in turns, and its pipelines, which it takes apart by slot.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use rustis::client::{BatchPreparedCommand as _, Client};
use rustis::commands::StringCommands as _;
use rustis::resp::BulkString;

use crate::lookups::contestant::Contestant;
use crate::lookups::data::{Bytes, Keys};

/// So many clients, each with a connection to each server.
pub(crate) struct Rustis<const CLIENTS: usize> {
    clients: Vec<Client>,
    turn: AtomicUsize,
}

impl<const CLIENTS: usize> Contestant for Rustis<CLIENTS> {
    const NAME: &'static str = "rustis";
    const VARIANT: &'static str = match CLIENTS {
        1 => "pipeline",
        _ => "16 clients, pipeline",
    };
    const PACKAGE: Option<&'static str> = Some("rustis");
    const SETTINGS: &'static str = "its defaults; where there are several clients, in turns";

    type Values = Vec<Option<BulkString>>;

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let url = urls.first().context("no servers")?;
        let url = url.replacen("redis", "redis+cluster", 1);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Client::connect(url.as_str()).await?);
        }
        Ok(Self {
            clients,
            turn: AtomicUsize::new(0),
        })
    }

    async fn request(&self, keys: &Keys) -> anyhow::Result<Self::Values> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % CLIENTS;
        let mut batch = self.clients[turn].create_pipeline();
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

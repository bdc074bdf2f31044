//! What a program without a cluster client knows: which server owns which slot.

use anyhow::{Context as _, ensure};
use redis::{Client, Value, cmd};

use crate::lookups::data::Keys;

const SLOTS: u16 = 16_384;

/// The servers, and the owner of each slot.
#[derive(Debug)]
pub(crate) struct Owners {
    pub(crate) addresses: Vec<String>,
    by_slot: Vec<u8>,
}

/// The keys of a request that one server has.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) node: usize,
    /// Where they stand in the request.
    pub(crate) positions: Vec<u8>,
}

impl Owners {
    /// Asks a server. Where there are no replicas each range has one server.
    pub(crate) async fn ask(urls: &[String]) -> anyhow::Result<Self> {
        let client = Client::open(urls.first().context("no servers")?.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        type Server = (String, u16, Value, Value);
        let ranges: Vec<(u16, u16, Server)> = cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut connection)
            .await?;
        let mut owners = Self {
            addresses: Vec::new(),
            by_slot: vec![0; SLOTS.into()],
        };
        for (node, (first, last, (host, port, ..))) in ranges.into_iter().enumerate() {
            owners.addresses.push(format!("{host}:{port}"));
            owners.by_slot[usize::from(first)..=usize::from(last)].fill(node as u8);
        }
        ensure!(owners.addresses.len() == urls.len(), "slots are scattered");
        Ok(owners)
    }

    /// Which server has the key.
    pub(crate) fn of(&self, key: &[u8]) -> usize {
        let slot = crc16::State::<crc16::XMODEM>::calculate(key) % SLOTS;
        self.by_slot[usize::from(slot)].into()
    }

    /// Cuts a request into one part for each server that it needs.
    pub(crate) fn cut(&self, keys: &Keys) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::with_capacity(self.addresses.len());
        for (key, position) in keys.iter().zip(0..) {
            let node = self.of(key.as_ref());
            match parts.iter_mut().find(|part| part.node == node) {
                Some(part) => part.positions.push(position),
                None => parts.push(Part {
                    node,
                    positions: vec![position],
                }),
            }
        }
        parts
    }
}

impl Part {
    /// A pipeline of its keys.
    pub(crate) fn pipeline(&self, keys: &Keys) -> redis::Pipeline {
        let mut batch = redis::Pipeline::with_capacity(self.positions.len());
        for &position in &self.positions {
            batch.get(keys[usize::from(position)].as_ref());
        }
        batch
    }
}

/// Puts the answers of all parts where their keys stand.
pub(crate) fn merged(parts: &[Part], answers: Vec<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    let mut values = vec![Vec::new(); parts.iter().map(|part| part.positions.len()).sum()];
    for (part, answers) in parts.iter().zip(answers) {
        for (&position, answer) in part.positions.iter().zip(answers) {
            values[usize::from(position)] = answer;
        }
    }
    values
}

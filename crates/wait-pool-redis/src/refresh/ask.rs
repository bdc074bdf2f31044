//! One node, asked for the topology of its cluster.

use std::net::{IpAddr, SocketAddr};

use redis::io::AsyncDNSResolver;
use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, RedisFuture, RedisResult, Value};

use super::Search;
use crate::connector::{Connector, addresses};
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::Nodes;
use crate::topology::{self, Topology, TopologyError};

/// Somebody who can be asked.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) addr: NodeAddr,
    pub(super) info: ConnectionInfo,
    pub(super) reached: Reached,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Reached {
    /// As any connection is.
    Directly,
    /// By a name that may stand for several nodes, as the one name of a whole cluster does.
    ByName,
    /// At one of the addresses of such a name.
    At(SocketAddr),
}

pub(super) enum Answer {
    Topology(NodeAddr, Topology),
    /// The name stands for all of these.
    Several(Vec<Candidate>),
    Nothing(redis::RedisError),
}

impl Candidate {
    /// Asks it, or finds out whom its name stands for. Takes no longer than `connect_timeout`.
    pub(super) async fn ask(self, search: &Search<'_>) -> Answer {
        let limit = search.nodes.settings().connect_timeout;
        let addr = self.addr.clone();
        match tokio::time::timeout(limit, self.answer(search)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Nothing(error::no_topology(&addr, error)),
            Err(_) => Answer::Nothing(error::timed_out(format!(
                "node {addr} did not tell the topology within {limit:?} (connect_timeout)"
            ))),
        }
    }

    async fn answer(mut self, search: &Search<'_>) -> RedisResult<Answer> {
        if matches!(self.reached, Reached::ByName) {
            let addresses = self.resolve(search.nodes).await?;
            if addresses.len() > 1 {
                let candidates = addresses.into_iter().map(|address| self.at(address));
                return Ok(Answer::Several(candidates.collect()));
            }
            self.reached = Reached::Directly;
        }
        search.asks();
        let (addr, topology) = self.topology(search.nodes).await?;
        Ok(Answer::Topology(addr, topology))
    }

    /// `CLUSTER SHARDS`, or `CLUSTER SLOTS` from servers that have or allow nothing newer, on a connection of
    /// its own.
    async fn topology(self, nodes: &Nodes) -> RedisResult<(NodeAddr, Topology)> {
        let mut connector = Connector::apart(self.info, nodes.settings(), "topology")?;
        if let Reached::At(address) = self.reached {
            connector = connector.resolved_by(Only(address));
        }
        let mut connection = connector.open().await?;
        let mut questions = redis::pipe();
        questions
            .cmd("CLUSTER")
            .arg("SHARDS")
            .cmd("CLUSTER")
            .arg("INFO");
        let mut answers = connection
            .send_packed_commands(&questions, 0, 2)
            .await?
            .into_iter();
        let (shards, info) = (answers.next(), answers.next());
        let shards = shards.unwrap_or(Value::Nil).extract_error();
        let told = shards.map(|reply| Topology::from_shards(&reply, &self.addr, nodes.is_tls()));
        let topology = match told {
            Ok(Err(TopologyError::SeveralPrimaries)) | Err(_) => {
                let slots = redis::cmd("CLUSTER").arg("SLOTS").take();
                let slots = connection.send_packed_command(&slots).await?;
                let reply = slots.extract_error();
                let reply = reply.map_err(|refused| told.err().unwrap_or(refused))?;
                Topology::from_slots(&reply, &self.addr)
            }
            Ok(topology) => topology,
        };
        match topology {
            Ok(told) => {
                let epoch = info.as_ref().and_then(topology::epoch);
                Ok((self.addr, told.with_epoch(epoch)))
            }
            Err(reason) => {
                let detail = format!("node {}: {reason}", self.addr);
                Err((ErrorKind::Client, "the topology is not understood", detail).into())
            }
        }
    }

    async fn resolve(&self, nodes: &Nodes) -> RedisResult<Vec<SocketAddr>> {
        let (host, port) = (self.addr.host(), self.addr.port());
        if host.parse::<IpAddr>().is_ok() {
            return Ok(Vec::new());
        }
        let resolver = nodes.settings().finding.resolver.as_ref();
        let mut addresses = addresses(resolver, host, port).await?;
        addresses.sort_unstable();
        addresses.dedup();
        fastrand::shuffle(&mut addresses);
        Ok(addresses)
    }

    /// It at one of the addresses of its name. Where a node leaves its host open, that address is meant, for the
    /// name is everybody's; but a certificate is made out for the name.
    fn at(&self, address: SocketAddr) -> Self {
        let addr = match self.info.addr() {
            ConnectionAddr::TcpTls { .. } => self.addr.clone(),
            _ => NodeAddr::new(address.ip().to_string(), address.port()),
        };
        Self {
            addr,
            info: self.info.clone(),
            reached: Reached::At(address),
        }
    }
}

/// Resolves every name to one address.
struct Only(SocketAddr);

impl AsyncDNSResolver for Only {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let only: Box<dyn Iterator<Item = SocketAddr> + Send> = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(only)))
    }
}

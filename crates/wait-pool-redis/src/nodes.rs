//! The nodes of a cluster, each with a pool of its own, for as long as they are part of it.

mod health;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use redis::{ConnectionAddr, ConnectionInfo, Pipeline, RedisResult, Value};
use tokio::time::timeout_at;
use wait_pool::{Lease, Pool, Status};

use crate::connector::Connector;
use crate::error::{self, BuildError, Failure};
use crate::node::NodeAddr;
use crate::plan::Outgoing;
use crate::readers::ReadFrom;
use crate::settings::Settings;
use crate::topology::Topology;
use crate::turns::hook_up;
use crate::wire::Wire;

pub(crate) use health::Health;

/// One server and its connections.
pub(crate) struct Node {
    addr: NodeAddr,
    pool: Pool<Connector>,
    health: Health,
    /// Where it is, if the user says so.
    zone: Option<String>,
    /// Whether it matters how fast it answers.
    timed: bool,
}

impl Node {
    pub(crate) fn new(
        addr: NodeAddr,
        info: ConnectionInfo,
        settings: &Settings,
        pool_name: Arc<str>,
    ) -> Result<Self, BuildError> {
        let connector = Connector::new(info, settings).map_err(BuildError::Url)?;
        let pool = settings
            .core
            .apply(hook_up(Pool::builder(connector), &settings.hooks))
            .name(pool_name)
            .max_size(settings.max_connections)
            .max_leases(settings.max_leases)
            .max_connecting(settings.max_connecting)
            .wait_timeout(settings.core_wait_timeout())
            .connect_timeout(settings.connect_timeout)
            .check_idle_after(settings.check_idle_after)
            .connect_backoff(settings.connect_backoff.0, settings.connect_backoff.1)
            .build();
        let pool = pool.map_err(|refused| BuildError::Setting {
            setting: settings.own_name(refused.setting()),
            reason: refused.reason(),
        })?;
        Ok(Self {
            zone: settings.zones.as_ref().and_then(|zones| zones.of(&addr)),
            timed: settings.read_from == ReadFrom::LowestLatency,
            health: Health::new(),
            addr,
            pool,
        })
    }

    pub(crate) const fn addr(&self) -> &NodeAddr {
        &self.addr
    }

    pub(crate) const fn pool(&self) -> &Pool<Connector> {
        &self.pool
    }

    /// Whether those who share its connections do so by way of a wire.
    pub(crate) fn is_wired(&self) -> bool {
        self.pool.manager().is_wired()
    }

    /// Whether a connection to it is open.
    pub(crate) fn is_connected(&self) -> bool {
        let status = self.pool.status();
        status.idle + status.in_use > 0
    }

    pub(crate) const fn health(&self) -> &Health {
        &self.health
    }

    /// The zone it is in, if that is known by now. An empty one if nobody can tell.
    pub(crate) fn zone(&self) -> Option<&str> {
        self.zone.as_deref().or_else(|| self.pool.manager().zone())
    }

    /// Sends commands in one write on a shared connection and waits for their answers, one for each.
    ///
    /// Cancel-safe: a dropped future gives its lease back, and answers that still come are thrown
    /// away by the connection. What has been sent may run all the same.
    pub(crate) async fn commands(
        &self,
        commands: &[Outgoing<'_>],
        deadline: Option<Instant>,
    ) -> Result<Vec<Value>, Failure> {
        let link = self.lease(deadline).await?;
        let begun = self.timed.then(now);
        let sent = link.commands(commands).await;
        self.note(begun);
        self.counted(sent.map_err(Failure::lost)?, commands.len(), link)
    }

    /// Sends a pipeline as it is in one write on a shared connection.
    ///
    /// Cancel-safe as [`commands`](Self::commands).
    pub(crate) async fn pipeline(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<Value>, Failure> {
        let link = self.lease(deadline).await?;
        let begun = self.timed.then(now);
        let sent = link.pipeline(pipeline, offset, count).await;
        self.note(begun);
        self.counted(sent.map_err(Failure::after_sending)?, count, link)
    }

    /// Sends a transaction behind `ASKING`, which holds for all of it.
    ///
    /// Cancel-safe as [`commands`](Self::commands).
    pub(crate) async fn asking(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<Value>, Failure> {
        let link = self.lease(deadline).await?;
        let sent = link.asking(pipeline, offset, count).await;
        self.counted(sent.map_err(Failure::after_sending)?, count, link)
    }

    fn note(&self, begun: Option<Instant>) {
        if let Some(begun) = begun {
            self.health.took(now().duration_since(begun));
        }
    }

    /// A connection with too many or too few answers would give somebody else's to the next.
    fn counted(
        &self,
        values: Vec<Value>,
        expected: usize,
        link: Lease<Connector>,
    ) -> Result<Vec<Value>, Failure> {
        if values.len() == expected {
            return Ok(values);
        }
        link.discard();
        Err(Failure::miscounted(&self.addr))
    }

    /// A part in a connection that has room for a request, by the deadline.
    ///
    /// Cancel-safe: a place in line is left, a lease given back.
    pub(crate) async fn lease(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Lease<Connector>, Failure> {
        let lease = self.pool.request().deadline(deadline).lease().await;
        let lease = lease.map_err(|error| Failure::no_connection(&self.addr, error))?;
        if let Some(wire) = lease.wire() {
            let room = poll_fn(|cx| wire.poll_room(cx));
            match deadline {
                Some(deadline) => timeout_at(deadline.into(), room)
                    .await
                    .map_err(|_| Failure::unread(&self.addr))?,
                None => room.await,
            }
        }
        Ok(lease)
    }

    /// The same if there is one at once.
    pub(crate) fn try_lease(&self) -> Option<Lease<Connector>> {
        let lease = self.pool.try_lease().ok()?;
        let is_full = lease.wire().is_some_and(Wire::is_full);
        (!is_full).then_some(lease)
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("addr", &self.addr)
            .field("status", &self.pool.status())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Known {
    present: HashMap<NodeAddr, Arc<Node>>,
    /// Those that have left and may still be in use. If one comes back, it is the same: two pools for
    /// one address would have twice the bound.
    departed: HashMap<NodeAddr, Weak<Node>>,
    /// The bound on connections to each, where it is another one than at the beginning.
    resized: Option<usize>,
    closed: bool,
}

impl Known {
    fn all(&self) -> Vec<Arc<Node>> {
        let departed = self.departed.values().filter_map(Weak::upgrade);
        self.present.values().cloned().chain(departed).collect()
    }
}

/// Makes nodes and keeps those that the cluster has.
pub(crate) struct Nodes {
    known: Mutex<Known>,
    /// What all nodes have in common; the address is replaced.
    template: ConnectionInfo,
    settings: Settings,
}

impl Nodes {
    pub(crate) fn new(template: ConnectionInfo, settings: Settings) -> Self {
        Self {
            known: Mutex::default(),
            template,
            settings,
        }
    }

    /// Puts in a node that was made elsewhere.
    pub(crate) fn with(self, node: Node) -> Self {
        let mut known = self.known.lock();
        known.present.insert(node.addr.clone(), Arc::new(node));
        drop(known);
        self
    }

    /// The node at an address. Opens nothing.
    pub(crate) fn at(&self, addr: &NodeAddr) -> RedisResult<Arc<Node>> {
        let mut known = self.known.lock();
        if let Some(node) = known.present.get(addr) {
            return Ok(Arc::clone(node));
        }
        if known.closed {
            return Err(error::closed());
        }
        let returned = known.departed.remove(addr).and_then(|node| node.upgrade());
        let node = match returned {
            Some(node) => node,
            None => self.make(addr, known.resized)?,
        };
        known.present.insert(addr.clone(), Arc::clone(&node));
        drop(known);
        // One that went as a master that was replaced has been left to itself.
        node.pool.ready();
        Ok(node)
    }

    fn make(&self, addr: &NodeAddr, resized: Option<usize>) -> RedisResult<Arc<Node>> {
        let name = format!("{}/{addr}", self.settings.name);
        let mut settings = self.settings.clone();
        settings.max_connections = resized.unwrap_or(settings.max_connections);
        let node = Node::new(addr.clone(), self.info(addr), &settings, name.into());
        Ok(Arc::new(node.map_err(error::unusable)?))
    }

    /// Lets go of the nodes that have left the cluster. They close once the last request on its
    /// way to them is done.
    pub(crate) fn retain(&self, topology: &Topology) {
        let members: HashSet<&NodeAddr> = topology.nodes().collect();
        let mut known = self.known.lock();
        let gone = known.present.extract_if(|addr, _| !members.contains(addr));
        let gone: Vec<_> = gone.collect();
        known.departed.retain(|_, node| node.strong_count() > 0);
        let left = gone
            .iter()
            .map(|(addr, node)| (addr.clone(), Arc::downgrade(node)));
        known.departed.extend(left);
        drop(known);
        // Connections are dropped here, without the lock.
        drop(gone);
    }

    /// How to connect to a node: as to the startup nodes, but there.
    pub(crate) fn info(&self, addr: &NodeAddr) -> ConnectionInfo {
        let addr = self.settings.finding.address_map.reached_at(addr);
        there(&self.template, &addr)
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.template.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// Every known node's figures, in the order of their addresses.
    pub(crate) fn status(&self) -> Vec<(NodeAddr, Status)> {
        let known = self.known.lock();
        let mut figures: Vec<_> = known
            .present
            .values()
            .map(|node| (node.addr.clone(), node.pool.status()))
            .collect();
        drop(known);
        figures.sort_by(|(one, _), (other, _)| one.cmp(other));
        figures
    }

    /// Every known node.
    pub(crate) fn present(&self) -> Vec<Arc<Node>> {
        self.known.lock().present.values().cloned().collect()
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the bound on connections to each node, those that are yet to come included.
    pub(crate) fn resize(&self, max_connections: usize) {
        let mut known = self.known.lock();
        known.resized = Some(max_connections);
        let all = known.all();
        drop(known);
        for node in all {
            // What it could refuse is 0.
            let _ = node.pool.resize(max_connections);
        }
    }

    pub(crate) fn close(&self) {
        let mut known = self.known.lock();
        known.closed = true;
        let all = known.all();
        drop(known);
        for node in all {
            node.pool.close();
        }
    }
}

/// The same connection to another address.
pub(crate) fn there(template: &ConnectionInfo, addr: &NodeAddr) -> ConnectionInfo {
    let (host, port) = (addr.host().to_owned(), addr.port());
    let there = match template.addr().clone() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure,
            tls_params,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    template.clone().set_addr(there)
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.known.lock().present.values())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    fn nodes() -> Nodes {
        let template = "redis://a:1".into_connection_info().unwrap();
        Nodes::new(template, Settings::new("max_connections_per_node"))
    }

    #[test]
    fn a_node_that_comes_back_while_in_use_is_the_same() {
        let (nodes, here) = (nodes(), NodeAddr::new("a", 1));
        let elsewhere = Topology::single(NodeAddr::new("b", 2), Vec::new());
        let in_use = nodes.at(&here).unwrap();
        nodes.retain(&elsewhere);
        assert!(nodes.status().is_empty());
        assert!(Arc::ptr_eq(&in_use, &nodes.at(&here).unwrap()));
        nodes.retain(&elsewhere);
        let gone = Arc::downgrade(&in_use);
        drop(in_use);
        assert_eq!(gone.strong_count(), 0, "it closes with its last user");
        nodes.at(&here).unwrap();
        assert_eq!(nodes.status().len(), 1);
    }

    #[test]
    fn a_closed_pool_gets_no_new_nodes() {
        let (nodes, known) = (nodes(), NodeAddr::new("a", 1));
        let node = nodes.at(&known).unwrap();
        nodes.close();
        assert!(node.pool().is_closed());
        assert!(nodes.at(&NodeAddr::new("b", 2)).is_err());
        assert!(nodes.at(&known).unwrap().pool().is_closed());
    }
}

//! The cluster it runs on: one of our own, or the user's.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use redis::{Client, Connection, ConnectionAddr, ConnectionInfo, InfoDict, Value, cmd};
use testbed::{Cluster, Node};

use super::failure::told;
use super::slots::{Address, Slots};

const MASTERS: usize = 3;
const REPLICAS_PER_MASTER: usize = 1;
/// Redis's own default, so that a node that hangs for three seconds is not replaced: the figures
/// then show what the client does, and not how fast the cluster is.
const NODE_TIMEOUT: Duration = Duration::from_secs(15);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer than a node is stopped.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster, and what is known of it.
#[derive(Debug)]
pub(super) struct Site {
    /// What a client is told to begin with.
    pub(super) seeds: Vec<ConnectionInfo>,
    pub(super) slots: Arc<Slots>,
    /// Name and version of its servers.
    pub(super) server: String,
    own: Option<Cluster>,
}

impl Site {
    /// Starts a cluster that ends with this value, or with this process.
    pub(super) fn start() -> anyhow::Result<Self> {
        let cluster =
            Cluster::start(MASTERS, REPLICAS_PER_MASTER).context("cannot start a cluster")?;
        for node in cluster.nodes() {
            // Only now: until it is whole, a cluster's nodes hear of each other at the pace of it.
            cmd("CONFIG")
                .arg("SET")
                .arg("cluster-node-timeout")
                .arg(NODE_TIMEOUT.as_millis() as u64)
                .exec(&mut node.connection()?)?;
        }
        let seeds = cluster
            .masters()
            .iter()
            .map(|node| node.url().parse())
            .collect::<Result<_, _>>()?;
        Self::new(seeds, Some(cluster))
    }

    /// Goes to a cluster of the user's.
    pub(super) fn visit(seeds: &[ConnectionInfo]) -> anyhow::Result<Self> {
        Self::new(seeds.to_vec(), None)
    }

    fn new(seeds: Vec<ConnectionInfo>, own: Option<Cluster>) -> anyhow::Result<Self> {
        let (mut connection, asked) = first_that_answers(&seeds)?;
        let reply: Value = cmd("CLUSTER")
            .arg("SLOTS")
            .query(&mut connection)
            .map_err(told)
            .with_context(|| format!("{} does not tell its cluster", seeds[asked].addr()))?;
        let host = match seeds[asked].addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            other => bail!("{other} is no address of a cluster's node"),
        };
        let mut slots = Slots::read(reply, host)?;
        let nodes: String = cmd("CLUSTER").arg("NODES").query(&mut connection)?;
        slots.add_replicas(&nodes);
        Ok(Self {
            slots: Arc::new(slots),
            server: version(&mut connection)?,
            seeds,
            own,
        })
    }

    /// Whether the cluster is the user's.
    pub(super) fn is_visited(&self) -> bool {
        self.own.is_none()
    }

    /// How to connect to one of its nodes.
    pub(super) fn info(&self, node: &Address) -> ConnectionInfo {
        let seed = self.seeds[0].clone();
        let addr = match seed.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: node.host.clone(),
                port: node.port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(node.host.clone(), node.port),
        };
        seed.set_addr(addr)
    }

    /// A blocking connection to one of its nodes.
    pub(super) fn connection(&self, node: &Address) -> anyhow::Result<Connection> {
        connect(self.info(node))
    }

    /// The process that is this node, if the cluster is ours.
    pub(super) fn process(&self, node: &Address) -> Option<&Node> {
        let cluster = self.own.as_ref()?;
        cluster
            .nodes()
            .iter()
            .find(|process| process.port() == node.port)
    }
}

fn first_that_answers(seeds: &[ConnectionInfo]) -> anyhow::Result<(Connection, usize)> {
    let mut last = None;
    for (index, seed) in seeds.iter().enumerate() {
        match connect(seed.clone()) {
            Ok(connection) => return Ok((connection, index)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no node to begin with")?)
}

fn connect(info: ConnectionInfo) -> anyhow::Result<Connection> {
    let addr = info.addr().to_string();
    let connection = Client::open(info)?
        .get_connection_with_timeout(CONNECT_TIMEOUT)
        .map_err(told)
        .with_context(|| format!("cannot connect to {addr}"))?;
    connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
    connection.set_write_timeout(Some(REPLY_TIMEOUT))?;
    Ok(connection)
}

/// `redis 7.0.15` or `valkey 8.1.1`.
fn version(connection: &mut Connection) -> anyhow::Result<String> {
    let info: InfoDict = cmd("INFO").arg("server").query(connection)?;
    // Valkey also names the version of Redis that it is compatible with.
    for name in ["valkey", "redis"] {
        if let Some(version) = info.get::<String>(&format!("{name}_version")) {
            return Ok(format!("{name} {version}"));
        }
    }
    bail!("the server does not say its version");
}

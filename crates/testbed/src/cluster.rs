//! A cluster.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::detached::{Detached, DetachedNode};
use crate::fleet::Fleet;
use crate::formation;
use crate::node::Node;
use crate::tls::Tls;

/// What a [`Cluster`] is to be.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    masters: usize,
    replicas_per_master: usize,
    node_timeout: Duration,
    settings: Vec<(String, String)>,
    tls: Option<Tls>,
}

impl ClusterOptions {
    /// So many masters, each with so many replicas.
    #[must_use]
    pub fn new(masters: usize, replicas_per_master: usize) -> Self {
        Self {
            masters,
            replicas_per_master,
            node_timeout: Duration::from_secs(2),
            settings: Vec::new(),
            tls: None,
        }
    }

    /// How long a node may be silent before the others call it failed and a replica takes over;
    /// two seconds unless set.
    #[must_use]
    pub fn node_timeout(mut self, timeout: Duration) -> Self {
        self.node_timeout = timeout;
        self
    }

    /// One more line of every node's configuration, such as `cluster-require-full-coverage no`.
    /// It wins over the testbed's own.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the nodes speak TLS with each other, and on a port of its own with clients:
    /// [`Node::tls_url`].
    #[must_use]
    pub fn tls(mut self, tls: &Tls) -> Self {
        self.tls = Some(tls.clone());
        self.setting("tls-cluster", "yes")
            .setting("tls-replication", "yes")
    }
}

/// A cluster that ends when it is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub struct Cluster {
    fleet: Fleet,
    masters: usize,
}

impl Cluster {
    /// Starts a cluster and waits until it is whole, as [`wait_until_ok`](Self::wait_until_ok) says.
    ///
    /// # Errors
    /// If there is no server program, or the cluster does not come up.
    pub fn start(masters: usize, replicas_per_master: usize) -> anyhow::Result<Self> {
        Self::start_with(ClusterOptions::new(masters, replicas_per_master))
    }

    /// Like [`start`](Self::start), with more said.
    ///
    /// # Errors
    /// If there is no server program, or the cluster does not come up with these options.
    pub fn start_with(options: ClusterOptions) -> anyhow::Result<Self> {
        ensure!(options.masters > 0, "a cluster needs a master");
        let millis = options.node_timeout.as_millis().to_string();
        let mut settings = vec![
            ("cluster-enabled".to_owned(), "yes".to_owned()),
            ("cluster-node-timeout".to_owned(), millis),
        ];
        settings.extend(options.settings);
        let count = options.masters * (1 + options.replicas_per_master);
        let fleet = Fleet::start(count, &settings, options.tls.as_ref())?;
        formation::form(fleet.nodes(), options.masters)?;
        Ok(Self {
            fleet,
            masters: options.masters,
        })
    }

    /// All nodes: first those that began as masters, then those that began as replicas.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        self.fleet.nodes()
    }

    /// The nodes that *began* as masters, in the order of their slots. A failover makes no
    /// difference here; [`current_masters`](Self::current_masters) asks.
    #[must_use]
    pub fn masters(&self) -> &[Node] {
        &self.nodes()[..self.masters]
    }

    /// The nodes that *began* as replicas: number `i` of master number `i` modulo the masters.
    #[must_use]
    pub fn replicas(&self) -> &[Node] {
        &self.nodes()[self.masters..]
    }

    /// The nodes that serve slots now, as the first running node knows it.
    ///
    /// # Errors
    /// If no node answers.
    pub fn current_masters(&self) -> anyhow::Result<Vec<&Node>> {
        let view = self.view()?;
        let serves = |node: &&Node| {
            view.iter()
                .any(|peer| peer.port == node.port() && !peer.slots.is_empty())
        };
        Ok(self.nodes().iter().filter(serves).collect())
    }

    /// The node that serves `slot` now, as the first running node knows it.
    ///
    /// # Errors
    /// If no node answers, or nobody serves the slot.
    pub fn slot_owner(&self, slot: u16) -> anyhow::Result<&Node> {
        let view = self.view()?;
        let owner = view
            .iter()
            .find(|peer| {
                peer.slots
                    .iter()
                    .any(|&(first, last)| (first..=last).contains(&slot))
            })
            .with_context(|| format!("nobody serves slot {slot}"))?;
        let node = self.nodes().iter().find(|node| node.port() == owner.port);
        node.context("the owner is none of ours")
    }

    /// The URLs of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes().iter().map(Node::url).collect()
    }

    /// Waits until the cluster is whole: the nodes that run (neither killed nor stopped) reach each
    /// other, agree who serves what and who replicates whom, serve all 16,384 slots, and every
    /// running replica is in sync.
    ///
    /// # Errors
    /// If that has not come about after a minute; the message says what was missing last.
    pub fn wait_until_ok(&self) -> anyhow::Result<()> {
        formation::wait_until_whole(self.nodes())
    }

    /// What [`stop_detached`](crate::stop_detached) needs to know.
    #[must_use]
    pub fn record(&self) -> Detached {
        let nodes = self.nodes().iter();
        Detached {
            dir: self.fleet.dir().to_owned(),
            server: self.nodes()[0].binary().to_string(),
            nodes: nodes
                .filter_map(|node| {
                    Some(DetachedNode {
                        port: node.port(),
                        pid: node.pid()?,
                    })
                })
                .collect(),
        }
    }

    /// Lets the cluster go on after this process. Keep its [`record`](Self::record) first: from
    /// here on nothing else knows how to end it.
    ///
    /// # Errors
    /// If the reaper does not answer; then the cluster has ended.
    pub fn detach(self) -> anyhow::Result<()> {
        self.fleet.detach()
    }

    fn view(&self) -> anyhow::Result<Vec<crate::view::Peer>> {
        let node = self.nodes().iter().find(|node| node.is_running());
        formation::peers(&mut node.context("no node is running")?.connection()?)
    }
}

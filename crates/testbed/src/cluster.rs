//! A cluster.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use redis::cmd;

use crate::detached::{Detached, DetachedNode};
use crate::fleet::Fleet;
use crate::formation;
use crate::node::Node;
use crate::proxy::Proxy;
use crate::tls::Tls;

/// What a [`Cluster`] is to be.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    masters: usize,
    replicas_per_master: usize,
    node_timeout: Duration,
    settings: Vec<(String, String)>,
    proxied: bool,
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
            proxied: false,
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

    /// Every node behind a [`Proxy`]: [`Cluster::urls`] names the proxies, and so does the cluster
    /// whenever it tells clients where a node is. The nodes reach each other without them.
    ///
    /// The proxies listen at 127.0.0.2, which Linux has and other systems have to be given; servers
    /// before 7.0 cannot be told to name it.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
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

/// Where the proxies are, each at the port of its node: so a node is known to its peers by its address,
/// and to clients by this name, which need not be one.
const PROXIES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A cluster that ends when it is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub struct Cluster {
    fleet: Fleet,
    /// How many began as masters; they come first.
    masters: usize,
    /// How many were there from the beginning; those added since come behind.
    first: usize,
    /// By node, if there are any.
    proxies: Vec<Proxy>,
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
        if options.proxied {
            let names = [
                ("cluster-announce-hostname", &*PROXIES.to_string()),
                ("cluster-preferred-endpoint-type", "hostname"),
            ];
            settings.extend(names.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        settings.extend(options.settings);
        let count = options.masters * (1 + options.replicas_per_master);
        let fleet = Fleet::start(count, &settings, options.tls.as_ref())?;
        formation::form(fleet.nodes(), options.masters)?;
        let mut proxies = Vec::new();
        if options.proxied {
            for node in fleet.nodes() {
                proxies.push(proxy_of(node)?);
            }
        }
        Ok(Self {
            first: fleet.nodes().len(),
            fleet,
            masters: options.masters,
            proxies,
        })
    }

    /// All nodes: first those that began as masters, then those that began as replicas, then those
    /// [added](Self::add_node) since.
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
        &self.nodes()[self.masters..self.first]
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

    /// The URLs of all nodes, as clients reach them: those of the proxies if there are any.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if self.proxies.is_empty() {
            self.nodes().iter().map(Node::url).collect()
        } else {
            self.proxies.iter().map(Proxy::url).collect()
        }
    }

    /// The proxy in front of a node.
    ///
    /// # Panics
    /// If the cluster is not [proxied](ClusterOptions::proxied), or the node is of another one.
    #[must_use]
    pub fn proxy(&self, node: &Node) -> &Proxy {
        let mut proxies = self.proxies.iter();
        proxies
            .find(|proxy| proxy.addr().port() == node.port())
            .expect("a node of this cluster, which is proxied")
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

    /// Starts one more node, behind a proxy if the others are, and waits until all know it. It is a
    /// master without slots, and the last of [`nodes`](Self::nodes). Returns its index there.
    ///
    /// # Errors
    /// If it does not come up, or does not become known in a minute.
    pub fn add_node(&mut self) -> anyhow::Result<usize> {
        let old = self.nodes().len();
        self.fleet.add()?;
        let new = &self.nodes()[old];
        for node in self.nodes()[..old].iter().filter(|node| node.is_running()) {
            formation::meet(&mut node.connection()?, new)?;
        }
        if !self.proxies.is_empty() {
            let proxy = proxy_of(new)?;
            self.proxies.push(proxy);
        }
        self.wait_until_ok()?;
        Ok(old)
    }

    /// Takes a node out of the cluster: all others forget it, and no longer name it to clients. Its
    /// slots have to be elsewhere already. It goes on running, behind its proxy if it has one, and
    /// still believes that it belongs to the cluster; it ends with the cluster.
    ///
    /// # Errors
    /// If a running node does not forget it, or the others are not whole in a minute.
    pub fn forget_node(&mut self, index: usize) -> anyhow::Result<(Node, Option<Proxy>)> {
        let id = self.nodes()[index].cluster_id()?;
        let others = self.nodes().iter().enumerate();
        for (_, node) in others.filter(|(other, node)| *other != index && node.is_running()) {
            let mut connection = node.connection()?;
            cmd("CLUSTER")
                .arg("FORGET")
                .arg(&id)
                .exec(&mut connection)?;
        }
        self.masters -= usize::from(index < self.masters);
        self.first -= usize::from(index < self.first);
        let node = self.fleet.remove(index);
        let proxy = (!self.proxies.is_empty()).then(|| self.proxies.remove(index));
        self.wait_until_ok()?;
        Ok((node, proxy))
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

fn proxy_of(node: &Node) -> anyhow::Result<Proxy> {
    let target = (Ipv4Addr::LOCALHOST, node.port());
    Proxy::start_at((PROXIES, node.port()).into(), target.into())
}

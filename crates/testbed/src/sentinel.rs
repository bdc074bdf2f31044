//! A master with its replicas, and the sentinels that watch them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use redis::{InfoDict, cmd};

use crate::fleet::Fleet;
use crate::formation::wait;
use crate::node::Node;
use crate::tls::Tls;

const REPLICAS: usize = 2;
const SENTINELS: usize = 3;

/// What [`Sentinels`] are to be.
#[derive(Debug, Clone)]
pub struct SentinelOptions {
    master_name: String,
    down_after: Duration,
    server_settings: Vec<(String, String)>,
    sentinel_settings: Vec<(String, String)>,
    tls: Option<Tls>,
}

impl SentinelOptions {
    /// A master of this name.
    #[must_use]
    pub fn new(master_name: &str) -> Self {
        Self {
            master_name: master_name.to_owned(),
            down_after: Duration::from_secs(1),
            server_settings: Vec::new(),
            sentinel_settings: Vec::new(),
            tls: None,
        }
    }

    /// How long a server may be silent before a sentinel takes it for dead; a second unless set.
    #[must_use]
    pub fn down_after(mut self, silence: Duration) -> Self {
        self.down_after = silence;
        self
    }

    /// One more line of the servers' configuration. The testbed itself logs in to none of them, so the default
    /// user stays as it is.
    #[must_use]
    pub fn server_setting(mut self, name: &str, value: &str) -> Self {
        self.server_settings
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more line of the sentinels' configuration.
    #[must_use]
    pub fn sentinel_setting(mut self, name: &str, value: &str) -> Self {
        self.sentinel_settings
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has all of them speak TLS with each other, and on a port of its own with clients: [`Node::tls_url`].
    #[must_use]
    pub fn tls(mut self, tls: &Tls) -> Self {
        self.tls = Some(tls.clone());
        self.server_setting("tls-replication", "yes")
            .sentinel_setting("tls-replication", "yes")
    }
}

/// A master, two replicas and three sentinels that end when this is dropped, or when this process ends in whatever
/// way.
#[derive(Debug)]
pub struct Sentinels {
    servers: Fleet,
    sentinels: Fleet,
    master_name: String,
}

impl Sentinels {
    /// Starts them, with the master under this name, and waits until [all is well](Self::wait_until_ok).
    ///
    /// # Errors
    /// If there is no server program, or they do not come up.
    pub fn start(master_name: &str) -> anyhow::Result<Self> {
        Self::start_with(SentinelOptions::new(master_name))
    }

    /// Like [`start`](Self::start), with more said.
    ///
    /// # Errors
    /// If there is no server program, or they do not come up with these options.
    pub fn start_with(options: SentinelOptions) -> anyhow::Result<Self> {
        let servers = Fleet::start(1 + REPLICAS, &options.server_settings, options.tls.as_ref())?;
        let master = peer_port(&servers.nodes()[0]);
        for replica in &servers.nodes()[1..] {
            let mut follow = cmd("REPLICAOF");
            follow.arg("127.0.0.1").arg(master);
            follow.exec(&mut replica.connection()?)?;
        }
        let name = &options.master_name;
        let silence = options.down_after.as_millis();
        let mut settings: Vec<_> = [
            format!("monitor {name} 127.0.0.1 {master} 2"),
            format!("down-after-milliseconds {name} {silence}"),
            format!("failover-timeout {name} 10000"),
        ]
        .into_iter()
        .map(|line| ("sentinel".to_owned(), line))
        .collect();
        settings.extend(options.sentinel_settings);
        let all = Self {
            servers,
            sentinels: Fleet::start(SENTINELS, &settings, options.tls.as_ref())?,
            master_name: options.master_name,
        };
        all.wait_until_ok()?;
        Ok(all)
    }

    /// The servers: first the one that began as the master.
    #[must_use]
    pub fn servers(&self) -> &[Node] {
        self.servers.nodes()
    }

    /// The sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Node] {
        self.sentinels.nodes()
    }

    /// The URLs of the sentinels.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels().iter().map(Node::url).collect()
    }

    /// The server that the running sentinels agree is the master.
    ///
    /// # Errors
    /// If they do not answer, or do not agree.
    pub fn master(&self) -> anyhow::Result<&Node> {
        let mut agreed = None;
        for sentinel in self.running() {
            let mut who = cmd("SENTINEL");
            who.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master_name);
            let (_, port): (String, u16) = who.query(&mut sentinel.connection()?)?;
            ensure!(
                *agreed.get_or_insert(port) == port,
                "the sentinels do not agree"
            );
        }
        let port = agreed.context("no sentinel is running")?;
        let master = self.servers().iter().find(|node| peer_port(node) == port);
        master.context("the master is none of ours")
    }

    /// Has a replica take over, in all good order, and waits until every running sentinel knows.
    ///
    /// # Errors
    /// If the sentinels refuse, or the failover does not come about.
    pub fn fail_over(&self) -> anyhow::Result<&Node> {
        let before = self.master()?.port();
        let sentinel = self.running().next().context("no sentinel is running")?;
        let mut order = cmd("SENTINEL");
        order.arg("FAILOVER").arg(&self.master_name);
        order.exec(&mut sentinel.connection()?)?;
        self.wait_for_another(before)
    }

    /// Waits until all running sentinels name another master than the one at this port, and that one says so.
    ///
    /// # Errors
    /// If that has not come about after a minute.
    pub fn wait_for_another(&self, port: u16) -> anyhow::Result<&Node> {
        wait("another master", || {
            let master = self.master()?;
            ensure!(master.port() != port, "{port} still is the master");
            ensure!(
                role(master)? == "master",
                "{} has not been promoted",
                master.port()
            );
            Ok(())
        })?;
        self.master()
    }

    /// Waits until all is well: the running sentinels know each other and agree on a master, and every other
    /// running server follows it.
    ///
    /// # Errors
    /// If that has not come about after a minute; the message says what was missing last.
    pub fn wait_until_ok(&self) -> anyhow::Result<()> {
        wait("the sentinels to be content", || self.check())
    }

    fn check(&self) -> anyhow::Result<()> {
        let master = self.master()?;
        ensure!(role(master)? == "master", "{} is no master", master.port());
        let running = |node: &&Node| node.is_running() && node.port() != master.port();
        let replicas: Vec<&Node> = self.servers().iter().filter(running).collect();
        for replica in &replicas {
            let info: InfoDict = cmd("INFO")
                .arg("replication")
                .query(&mut replica.connection()?)?;
            let port: String = info.get("master_port").unwrap_or_default();
            let link: String = info.get("master_link_status").unwrap_or_default();
            ensure!(
                port == peer_port(master).to_string() && link == "up",
                "server {} does not follow the master",
                replica.port()
            );
        }
        let others = self.running().count() - 1;
        for sentinel in self.running() {
            let mut connection = sentinel.connection()?;
            let mut state = cmd("SENTINEL");
            state.arg("MASTER").arg(&self.master_name);
            let state: HashMap<String, String> = state.query(&mut connection)?;
            ensure!(
                state["flags"] == "master",
                "the master is {}",
                state["flags"]
            );
            let known: usize = state["num-other-sentinels"].parse()?;
            ensure!(known >= others, "a sentinel knows {known} others");
            let mut list = cmd("SENTINEL");
            list.arg("REPLICAS").arg(&self.master_name);
            let list: Vec<HashMap<String, String>> = list.query(&mut connection)?;
            let well = |it: &&HashMap<String, String>| {
                it["flags"] == "slave"
                    && it["master-link-status"] == "ok"
                    && it["role-reported"] == "slave"
            };
            let well = list.iter().filter(well).count();
            ensure!(
                well >= replicas.len(),
                "a sentinel knows {well} replicas that are well"
            );
        }
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = &Node> {
        self.sentinels().iter().filter(|node| node.is_running())
    }
}

/// The port by which the others know it.
fn peer_port(node: &Node) -> u16 {
    node.tls_port().unwrap_or_else(|| node.port())
}

fn role(node: &Node) -> anyhow::Result<String> {
    let info: InfoDict = cmd("INFO")
        .arg("replication")
        .query(&mut node.connection()?)?;
    info.get("role").context("no role")
}

//! The cluster that all contestants ask: three masters on loopback, filled with the keys.

use anyhow::Context as _;
use parking_lot::Mutex;
use redis::{Connection, InfoDict, cmd};
use testbed::{Binary, Cluster, ClusterOptions};

use super::data::{KEYS, Key};

const MASTERS: usize = 3;
/// How many keys are written at once.
const BATCH: u32 = 1_000;

/// The cluster, and a connection to each of its servers that asks what they have done.
pub(crate) struct Site {
    cluster: Cluster,
    observers: Mutex<Vec<Connection>>,
}

/// What all servers together have done since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work {
    /// Time on a processor.
    pub(crate) cpu_seconds: f64,
    /// How often they have read from connections, and written to some.
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

impl Site {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let cluster = Cluster::start_with(ClusterOptions::new(MASTERS, 0))?;
        let observers = cluster.masters().iter().map(testbed::Node::connection);
        let observers = observers.collect::<anyhow::Result<_>>()?;
        let site = Self {
            cluster,
            observers: Mutex::new(observers),
        };
        site.fill()?;
        Ok(site)
    }

    /// The URLs of the servers.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.cluster.urls()
    }

    /// `redis 7.0.15`.
    pub(crate) fn server(&self) -> String {
        let Binary { name, version, .. } = self.binary();
        format!("{name} {version}")
    }

    /// What the servers' own benchmark is called.
    pub(crate) fn benchmark(&self) -> String {
        format!("{}-benchmark", self.binary().name)
    }

    pub(crate) fn binary(&self) -> &Binary {
        self.cluster.masters()[0].binary()
    }

    pub(crate) fn port(&self) -> u16 {
        self.cluster.masters()[0].port()
    }

    /// How many connections clients have open to all servers together.
    pub(crate) fn connections(&self) -> anyhow::Result<u64> {
        let mut connections = 0;
        for observer in self.observers.lock().iter_mut() {
            let info: InfoDict = cmd("INFO").arg("clients").query(observer)?;
            let clients: u64 = info
                .get("connected_clients")
                .context("INFO is incomplete")?;
            // The observer is one of them.
            connections += clients.saturating_sub(1);
        }
        Ok(connections)
    }

    /// Waits until the connections of whoever was here before are gone.
    pub(crate) fn wait_until_left(&self) -> anyhow::Result<()> {
        for _ in 0..500 {
            if self.connections()? == 0 {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        anyhow::bail!("connections are still open 5 s after their owner has gone")
    }

    pub(crate) fn work(&self) -> anyhow::Result<Work> {
        let mut work = Work::default();
        for observer in self.observers.lock().iter_mut() {
            let info: InfoDict = cmd("INFO").arg("cpu").query(observer)?;
            for part in ["used_cpu_user", "used_cpu_sys"] {
                work.cpu_seconds += info.get::<f64>(part).context("INFO is incomplete")?;
            }
            let info: InfoDict = cmd("INFO").arg("stats").query(observer)?;
            // Servers before 6.0 do not tell.
            work.reads += info.get("total_reads_processed").unwrap_or(0);
            work.writes += info.get("total_writes_processed").unwrap_or(0);
        }
        Ok(work)
    }

    fn fill(&self) -> anyhow::Result<()> {
        let nodes = redis::cluster::ClusterClient::new(self.urls())?;
        let mut connection = nodes.get_connection()?;
        for first in (0..KEYS).step_by(BATCH as usize) {
            let mut batch = redis::cluster::cluster_pipe();
            for key in (first..first + BATCH).map(Key::new) {
                batch.set(key.as_ref(), key.value()).ignore();
            }
            batch.query::<()>(&mut connection)?;
        }
        for key in Key::large() {
            let mut set = cmd("SET");
            set.arg(key.as_ref()).arg(key.value());
            set.query::<()>(&mut connection)?;
        }
        Ok(())
    }
}

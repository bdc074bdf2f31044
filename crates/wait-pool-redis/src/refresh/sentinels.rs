//! The topology of a master and its replicas, as sentinels tell it.
//!
//! All sentinels are asked, and the newest configuration wins: one that was cut off may still name the master
//! of yesterday. What is named has to say itself that it is a master. Sentinels that others tell of are
//! asked from then on; those that the user named are asked always.

mod watch;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use redis::{ConnectionInfo, RedisResult, Value};

use super::{Search, Snapshot, Told, Topologies};
use crate::connector::Connector;
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::{Nodes, there};
use crate::settings::Settings;
use crate::topology::{SentinelReply, Topology};

use watch::Watch;

/// How long the other sentinels have once the first has answered.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long a master may take to say that it is one. It may be the very one that is being replaced.
const ROLE_LIMIT: Duration = Duration::from_secs(1);

/// Sentinels, and the master that is watched.
#[derive(Debug)]
pub(crate) struct Sentinels {
    group: Arc<Group>,
    watch: Watch,
}

/// What is known of the sentinels.
pub(crate) struct Group {
    /// What the sentinels call the master.
    master: Arc<str>,
    /// Asked always, and never forgotten.
    startup: Vec<(NodeAddr, ConnectionInfo)>,
    /// Those that others have told of.
    learned: Mutex<HashSet<NodeAddr>>,
    /// Of the newest configuration that was believed.
    epoch: AtomicU64,
    /// For connections to sentinels.
    settings: Settings,
}

impl Sentinels {
    /// `startup` is not empty.
    pub(crate) fn new(
        master: Arc<str>,
        startup: Vec<(NodeAddr, ConnectionInfo)>,
        settings: Settings,
    ) -> Self {
        Self {
            group: Arc::new(Group {
                master,
                startup,
                learned: Mutex::default(),
                epoch: AtomicU64::new(0),
                settings,
            }),
            watch: Watch::default(),
        }
    }

    /// Asks who the master is, and it whether it is one.
    pub(super) async fn fetch(&self, search: &Search<'_>) -> RedisResult<Told> {
        // All of it counts as one: a question costs a sentinel next to nothing.
        search.asks();
        let (told_by, told) = self.group.newest().await?;
        self.group.see_master(search.nodes, &told.master).await?;
        self.group.epoch.store(told.epoch, Ordering::Relaxed);
        self.group.learned.lock().extend(told.sentinels);
        Ok(Told {
            topology: Topology::single(told.master, told.replicas),
            told_by,
        })
    }

    /// Has failovers followed as they are announced, for as long as the pool is there.
    pub(super) fn follow(&self, topologies: &Arc<Topologies>) {
        self.watch.begin(&self.group, topologies);
    }

    /// Nothing is followed any more.
    pub(super) fn close(&self) {
        self.watch.end();
    }
}

/// Leaves the master of before to itself if there is another now. Who waits for a connection to it goes to the
/// new one; its connections are closed, those in use as soon as their answers have come.
pub(super) fn retire(before: &Snapshot, now: &Snapshot) {
    let (old, new) = (&before.primaries[0], &now.primaries[0]);
    if old.addr() == new.addr() {
        return;
    }
    new.pool().ready();
    old.pool().pause();
    old.pool().clear();
    // One that follows the new master may be read from.
    if now.topology.nodes().any(|addr| addr == old.addr()) {
        old.pool().ready();
    }
}

impl Group {
    /// What the sentinel with the newest configuration tells, of those that answer.
    async fn newest(&self) -> RedisResult<(NodeAddr, SentinelReply)> {
        let candidates = self.candidates().into_iter();
        let mut asked: FuturesUnordered<_> = candidates
            .map(|(addr, info)| self.ask_in_time(addr, info))
            .collect();
        let mut newest: Option<(NodeAddr, SentinelReply)> = None;
        let mut failure = None;
        let mut answered = false;
        let mut patience = pin!(None);
        loop {
            let told = match patience.as_mut().as_pin_mut() {
                None => asked.next().await,
                Some(patience) => match select(asked.next(), patience).await {
                    Either::Left((told, _)) => told,
                    Either::Right(_) => break,
                },
            };
            match told {
                Some(Ok((addr, Some(told)))) => {
                    answered = true;
                    if newest
                        .as_ref()
                        .is_none_or(|(_, newest)| newest.epoch < told.epoch)
                    {
                        newest = Some((addr, told));
                    }
                }
                Some(Ok((_, None))) => answered = true,
                Some(Err(error)) => failure = Some(error),
                None => break,
            }
            if answered && patience.is_none() {
                patience.set(Some(tokio::time::sleep(PATIENCE)));
            }
        }
        let believed = self.epoch.load(Ordering::Relaxed);
        match (newest, failure) {
            // Unless all say so: then they have been set up anew.
            (Some((_, told)), failure)
                if told.epoch < believed && (failure.is_some() || !asked.is_empty()) =>
            {
                Err(error::outdated(&self.master, &told.master))
            }
            (Some(newest), _) => Ok(newest),
            (None, Some(failure)) if !answered => Err(failure),
            (None, _) => Err(error::no_such_master(&self.master)),
        }
    }

    /// All that are known, in random order.
    fn candidates(&self) -> Vec<(NodeAddr, ConnectionInfo)> {
        let mut candidates = self.startup.clone();
        let named: HashSet<&NodeAddr> = self.startup.iter().map(|(addr, _)| addr).collect();
        let template = &self.startup[0].1;
        for addr in self.learned.lock().iter() {
            if !named.contains(addr) {
                candidates.push((
                    addr.clone(),
                    there(
                        template,
                        &self.settings.finding.address_map.reached_at(addr),
                    ),
                ));
            }
        }
        fastrand::shuffle(&mut candidates);
        candidates
    }

    async fn ask_in_time(
        &self,
        addr: NodeAddr,
        info: ConnectionInfo,
    ) -> RedisResult<(NodeAddr, Option<SentinelReply>)> {
        let limit = self.settings.connect_timeout;
        match tokio::time::timeout(limit, self.ask(info)).await {
            Ok(Ok(told)) => Ok((addr, told)),
            Ok(Err(error)) => Err(error::no_sentinel(&addr, error)),
            Err(_) => Err(error::timed_out(format!(
                "sentinel {addr} did not answer within {limit:?} (connect_timeout)"
            ))),
        }
    }

    async fn ask(&self, info: ConnectionInfo) -> RedisResult<Option<SentinelReply>> {
        let connector = Connector::apart(info, &self.settings, "topology")?;
        let mut connection = connector.open().await?;
        let mut questions = redis::pipe();
        for question in ["GET-MASTER-ADDR-BY-NAME", "MASTER", "REPLICAS", "SENTINELS"] {
            questions.cmd("SENTINEL").arg(question).arg(&*self.master);
        }
        let answers = connection.send_packed_commands(&questions, 0, 4).await?;
        let answers = <[Value; 4]>::try_from(answers);
        SentinelReply::read(answers.map_err(|_| error::garbled("four answers were expected"))?)
    }

    /// Has a server say that it is a master.
    async fn see_master(&self, nodes: &Nodes, master: &NodeAddr) -> RedisResult<()> {
        let limit = nodes.settings().connect_timeout.min(ROLE_LIMIT);
        let connector = Connector::apart(nodes.info(master), nodes.settings(), "topology")?;
        let role = async {
            let mut connection = connector.open().await?;
            connection.send_packed_command(&redis::cmd("ROLE")).await
        };
        let role = match tokio::time::timeout(limit, role).await {
            Ok(role) => role.map_err(|error| error::no_master(&self.master, master, error))?,
            Err(_) => {
                return Err(error::timed_out(format!(
                    "{master}, the master {:?} of the sentinels, did not tell its role within {limit:?}",
                    self.master
                )));
            }
        };
        match &role {
            Value::Array(words) if words.first().is_some_and(is_replica) => {
                Err(error::demoted(&self.master, master))
            }
            // One whose user may not ask for it is taken at the sentinels' word.
            _ => Ok(()),
        }
    }
}

fn is_replica(role: &Value) -> bool {
    matches!(role, Value::BulkString(role) if role == b"slave" || role == b"sentinel")
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("master", &self.master)
            .field("learned", &self.learned)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

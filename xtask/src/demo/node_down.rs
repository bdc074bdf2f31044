//! The phase in which a node hangs: its process is stopped for a while, and goes on.
//!
//! Half of the callers ask for any feature; nearly each of their requests needs the node. The other
//! half ask only for features that live elsewhere: nothing may change for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use redis::{Connection, cmd};
use serde::Serialize;
use testbed::Node;

use super::crowd::{Crowd, STAGES, Stages};
use super::features::{self, Draw};
use super::phase::{Bench, CALLERS, Outcome, Phase, millis, total};
use super::pooled::{self, Pipelined};
use super::progress::Progress;
use super::site::Site;
use super::slots::Address;
use super::tally::{Figures, Tally};

/// How long the node is stopped.
const STOPPED: Duration = Duration::from_secs(3);
/// Short enough that requests fail while the node is stopped, instead of outlasting it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Any of the masters will do.
const VICTIM: usize = 1;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NodeDown {
    pub(super) stopped_node: String,
    pub(super) stopped_for_s: f64,
    pub(super) request_timeout_s: f64,
    pub(super) groups: [Group; 2],
    /// Connections to other nodes that were there before and are gone after.
    pub(super) connections_closed_elsewhere: u64,
}

/// Half of the callers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Group {
    pub(super) keys: &'static str,
    pub(super) callers: usize,
    pub(super) before: Figures,
    pub(super) during: Figures,
    pub(super) after: Figures,
}

/// Runs the phase, with so much time before and after; on a cluster whose processes are ours.
pub(super) fn run(
    bench: &Bench<'_>,
    phase: Phase,
    around: Duration,
) -> anyhow::Result<(Outcome, NodeDown)> {
    let site = bench.site;
    let victim = &site.slots.masters[VICTIM % site.slots.masters.len()];
    let process = site.process(victim).context("the node is not ours")?;
    let progress = Progress::start(phase.name, phase.how, millis(around * 2 + STOPPED));
    let mut elsewhere = Elsewhere::connect(site, victim)?;
    let others = elsewhere.clients()?;

    let load = async {
        let reader = Pipelined(pooled::pool(site, TIMEOUT)?);
        let crowd = Crowd::start(&reader, draws(site, victim));
        let began = crowd.began();
        crowd.watch(&progress, around).await?;

        let open: BTreeSet<_> = &elsewhere.clients()? - &others;
        let stopped = Instant::now();
        let stop = Stop::new(process);
        crowd.enter(1);
        crowd.watch(&progress, STOPPED).await?;
        let continued = Instant::now();
        drop(stop);
        crowd.enter(2);
        crowd.watch(&progress, around).await?;

        let still_open = elsewhere.clients()?;
        let done = crowd.finish().await?;
        let ended = Instant::now();
        let closed = open.difference(&still_open).count();
        let times = [
            stopped.duration_since(began),
            continued.duration_since(stopped),
            ended.duration_since(continued),
        ];
        Ok((done, times, closed))
    };
    let ((done, times, closed), counted) = bench.measure(load)?;

    let figures = total(&done).figures(times.iter().sum());
    let outcome = Outcome::new(phase, figures, counted);
    progress.done(&outcome.line());
    let details = NodeDown {
        stopped_node: victim.to_string(),
        stopped_for_s: times[1].as_secs_f64(),
        request_timeout_s: TIMEOUT.as_secs_f64(),
        groups: [
            Group::new("any", &done, 0, times),
            Group::new("on other nodes", &done, 1, times),
        ],
        connections_closed_elsewhere: closed as u64,
    };
    Ok((outcome, details))
}

impl Group {
    fn new(keys: &'static str, done: &[Stages], parity: usize, times: [Duration; STAGES]) -> Self {
        let callers = || done.iter().skip(parity).step_by(2);
        let [before, during, after] = std::array::from_fn(|stage| {
            let mut sum = Tally::new();
            callers().for_each(|stages| sum.merge(&stages[stage]));
            sum.figures(times[stage])
        });
        Self {
            keys,
            callers: callers().count(),
            before,
            during,
            after,
        }
    }
}

/// Every second caller asks only for what other nodes serve.
fn draws(site: &Site, victim: &Address) -> impl Iterator<Item = Draw> {
    let lives_elsewhere = |&n: &u32| {
        let owner = site.slots.owner(&features::key(n));
        site.slots.masters[owner] != *victim
    };
    let any: Arc<[u32]> = (0..features::COUNT).collect();
    let elsewhere: Arc<[u32]> = any.iter().copied().filter(lives_elsewhere).collect();
    (0..CALLERS as u64).map(move |seed| {
        let from = if seed % 2 == 0 { &any } else { &elsewhere };
        Draw::new(Arc::clone(from), seed)
    })
}

/// A stopped process, which goes on when this is dropped.
#[derive(Debug)]
struct Stop<'a>(&'a Node);

impl<'a> Stop<'a> {
    fn new(process: &'a Node) -> Self {
        process.stop();
        Self(process)
    }
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.cont();
    }
}

/// A client of a node: the server's number for it, which is never used again.
type Client = (Address, u64);

/// Connections to the nodes other than the one that is stopped.
///
/// They are there before the phase begins, so that they count neither as its own nor as opened.
struct Elsewhere {
    connections: Vec<(Address, Connection)>,
}

impl Elsewhere {
    fn connect(site: &Site, victim: &Address) -> anyhow::Result<Self> {
        let others = site.slots.nodes().filter(|node| *node != victim);
        let connections = others.map(|node| Ok((node.clone(), site.connection(node)?)));
        Ok(Self {
            connections: connections.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Who is connected to these nodes.
    fn clients(&mut self) -> anyhow::Result<BTreeSet<Client>> {
        let mut clients = BTreeSet::new();
        for (node, connection) in &mut self.connections {
            let list: String = cmd("CLIENT")
                .arg("LIST")
                .arg("TYPE")
                .arg("normal")
                .query(connection)?;
            clients.extend(list.lines().filter_map(id).map(|id| (node.clone(), id)));
        }
        Ok(clients)
    }
}

/// `id=3 addr=… …`
fn id(line: &str) -> Option<u64> {
    let word = line.split(' ').find_map(|word| word.strip_prefix("id="));
    word?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_numbers_are_read() {
        let line = "id=12 addr=127.0.0.1:5 laddr=127.0.0.1:6 fd=8 name= lib-name=id=3";
        assert_eq!(id(line), Some(12));
        assert_eq!(id("addr=127.0.0.1:5"), None);
    }

    #[test]
    fn groups_are_every_second_caller() {
        let callers: Vec<Stages> = (0..4u64)
            .map(|caller| {
                let mut tally = Tally::new();
                for _ in 0..=caller {
                    tally.answered(TIMEOUT);
                }
                [Tally::new(), tally, Tally::new()]
            })
            .collect();
        let times = [Duration::from_secs(2); STAGES];
        let group = Group::new("any", &callers, 1, times);
        assert_eq!((group.callers, group.during.ok), (2, 2 + 4));
        assert_eq!(group.during.requests_per_s, 3.0);
        assert_eq!((group.before.ok, group.after.ok), (0, 0));
    }
}

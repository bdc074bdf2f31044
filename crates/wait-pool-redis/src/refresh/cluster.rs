//! The topology of a cluster, as its nodes tell it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionInfo, RedisResult};

use super::ask::{Answer, Candidate, Reached};
use super::{Search, Told};
use crate::error;
use crate::event::TopologyEvent;
use crate::node::NodeAddr;
use crate::nodes::Nodes;
use crate::topology::{self, MOST_HEARD, Topology, Verdict};

/// How long a node may take to tell the topology before the next is asked as well.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long others may take to speak once two have said the same.
const PATIENCE_IN_DOUBT: Duration = Duration::from_secs(1);

/// How many known nodes are asked before the startup nodes. If so many keep silent, all may have gone.
const KNOWN_FIRST: usize = 3;

/// A cluster that is found through some of its nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Never forgotten: when all known nodes are gone, their names may lead to others.
    startup: Vec<(NodeAddr, ConnectionInfo)>,
}

impl Cluster {
    pub(crate) const fn new(startup: Vec<(NodeAddr, ConnectionInfo)>) -> Self {
        Self { startup }
    }

    /// Asks nodes until one tells something that there is no reason to doubt. Where all that is told is in
    /// doubt, what most agree on is taken.
    ///
    /// The next node is asked when one has answered in vain or keeps silent for [`PATIENCE`]; in
    /// doubt, several at once.
    pub(super) async fn fetch(&self, search: &Search<'_>) -> RedisResult<Told> {
        let known = search.known.as_ref().map(|known| &*known.topology);
        let mut candidates = self.candidates(search.nodes, known);
        let mut tellers = Vec::new();
        let mut told: Vec<Topology> = Vec::new();
        let mut last_error = None;
        let mut asked = FuturesUnordered::new();
        loop {
            let at_once = match told.len() {
                0 => asked.len() + 1,
                heard => MOST_HEARD.saturating_sub(heard),
            };
            while asked.len() < at_once
                && let Some(candidate) = candidates.next()
            {
                asked.push(candidate.ask(search));
            }
            let answer = match patience(&told, candidates.is_empty()) {
                None => asked.next().await,
                Some(patience) => match tokio::time::timeout(patience, asked.next()).await {
                    Ok(answer) => answer,
                    Err(_) if told.is_empty() => continue,
                    Err(_) => break,
                },
            };
            match answer {
                Some(Answer::Topology(told_by, topology)) => {
                    let Some(doubt) = topology::doubt(known, &topology) else {
                        return Ok(Told { topology, told_by });
                    };
                    let event = TopologyEvent::Doubted {
                        told_by: &told_by,
                        doubt,
                    };
                    search.nodes.settings().tell(&event);
                    last_error = Some(error::doubtful(&told_by, doubt));
                    candidates.add(search.nodes, topology.nodes());
                    told.push(topology);
                    tellers.push(told_by);
                    if told.len() >= MOST_HEARD || topology::is_settled(&told) {
                        break;
                    }
                }
                Some(Answer::Several(several)) => candidates.instead(several),
                Some(Answer::Nothing(error)) => {
                    if told.is_empty() {
                        last_error = Some(error);
                    }
                }
                None => break,
            }
        }
        let nobody_serves = told.iter().all(|topology| topology.coverage() == 0);
        let (chosen, adds) = match topology::settle(known, &told) {
            Verdict::Take(chosen) => (chosen, false),
            Verdict::Add(chosen) => (chosen, true),
            Verdict::Keep if nobody_serves && !told.is_empty() => return Err(error::no_slots()),
            Verdict::Keep => return Err(last_error.unwrap_or_else(error::no_slots)),
        };
        let topology = told.swap_remove(chosen);
        Ok(Told {
            topology: match known {
                Some(known) if adds => known.with_owners_of(&topology),
                _ => topology,
            },
            told_by: tellers.swap_remove(chosen),
        })
    }

    /// The known nodes in random order, and behind the first few of them the startup nodes that are not among
    /// them.
    fn candidates(&self, nodes: &Nodes, known: Option<&Topology>) -> Candidates {
        let mut candidates = Candidates::default();
        candidates.add(nodes, known.into_iter().flat_map(Topology::nodes));
        fastrand::shuffle(candidates.waiting.make_contiguous());
        let mut startup = self.startup.clone();
        fastrand::shuffle(&mut startup);
        for (addr, info) in startup {
            if candidates.named.insert(addr.clone()) {
                let at = candidates.waiting.len().min(KNOWN_FIRST);
                let reached = Reached::ByName;
                candidates.waiting.insert(
                    at,
                    Candidate {
                        addr,
                        info,
                        reached,
                    },
                );
            }
        }
        candidates
    }
}

/// How long to wait before something else is done; `None` if there is nothing else to do.
fn patience(told: &[Topology], all_asked: bool) -> Option<Duration> {
    match told {
        [] if all_asked => None,
        [] => Some(PATIENCE),
        _ if topology::is_confirmed(told) => Some(PATIENCE_IN_DOUBT),
        _ => None,
    }
}

/// Those who have yet to be asked, each one once.
#[derive(Default)]
struct Candidates {
    waiting: VecDeque<Candidate>,
    named: HashSet<NodeAddr>,
}

impl Candidates {
    fn next(&mut self) -> Option<Candidate> {
        self.waiting.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn add<'a>(&mut self, nodes: &Nodes, addrs: impl Iterator<Item = &'a NodeAddr>) {
        for addr in addrs {
            if self.named.insert(addr.clone()) {
                self.waiting.push_back(Candidate {
                    addr: addr.clone(),
                    info: nodes.info(addr),
                    reached: Reached::Directly,
                });
            }
        }
    }

    /// Puts those in whom one name stands for.
    fn instead(&mut self, several: Vec<Candidate>) {
        for candidate in several {
            self.named.insert(candidate.addr.clone());
            self.waiting.push_front(candidate);
        }
    }
}

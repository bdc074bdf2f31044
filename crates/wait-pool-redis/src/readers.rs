//! Which node of a shard answers reads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::node::NodeAddr;

/// Who answers requests that only read: the primaries, or their replicas too.
///
/// It applies to commands that the server calls read-only and to pipelines of nothing but such. All
/// else goes to primaries, as does a pipeline with a single write in it, and a transaction. What a replica
/// answers may be older than what its primary would say, also older than the caller's own last write.
///
/// A replica that refuses connections, is loading or has lost its primary is left out for a second at a time, and
/// what it could not answer goes to another node of the shard. Reads from replicas need `READONLY` on every
/// connection, which costs a round trip when one is opened.
/// <https://redis.io/docs/latest/commands/readonly/>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadFrom {
    /// Primaries only.
    #[default]
    Primary,
    /// The replicas of a shard in turn; its primary if there is none.
    PreferReplica,
    /// All nodes of a shard in turn, the primary too.
    RoundRobin,
    /// The node of a shard that has answered fastest of late. One read in 64 goes to the nodes in turn, so that
    /// one that has become fast is noticed.
    LowestLatency,
    /// The nodes in this availability zone in turn, replicas before the primary; other nodes if there are
    /// none. Valkey says which zone a server is in if it is configured with `availability-zone`; of other
    /// servers [`Builder::zones`](crate::Builder::zones) has to tell.
    AvailabilityZone(String),
}

impl ReadFrom {
    /// Whether replicas are asked at all.
    pub(crate) fn asks_replicas(&self) -> bool {
        *self != Self::Primary
    }
}

/// Tells the zone of a node.
#[derive(Clone)]
pub(crate) struct Zones(Arc<dyn ZoneOf>);

trait ZoneOf: Fn(&NodeAddr) -> Option<String> + Send + Sync {}

impl<F: Fn(&NodeAddr) -> Option<String> + Send + Sync> ZoneOf for F {}

impl Zones {
    pub(crate) fn new(zone: impl Fn(&NodeAddr) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(zone))
    }

    pub(crate) fn of(&self, node: &NodeAddr) -> Option<String> {
        (self.0)(node)
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zones")
    }
}

/// What the choice needs to know of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    /// It is not left out at the moment.
    pub(crate) fit: bool,
    /// How long it has taken to answer of late, if it has been asked.
    pub(crate) latency: Option<Duration>,
    /// Whether it is in the zone that is wanted, if that is known.
    pub(crate) near: Option<bool>,
}

/// Chooses one of a shard's nodes, the primary first among them, then the replicas. `turn` goes up by one with
/// every choice.
pub(crate) fn choose(from: &ReadFrom, nodes: &[Reader], turn: usize) -> usize {
    let nth_of = |turn: usize, fits: &dyn Fn(usize, &Reader) -> bool| {
        let numbered = || nodes.iter().enumerate();
        let fitting = || numbered().filter(|(at, node)| node.fit && fits(*at, node));
        let count = fitting().count();
        let chosen = fitting().nth(turn.checked_rem(count)?)?;
        Some(chosen.0)
    };
    let nth = |fits: &dyn Fn(usize, &Reader) -> bool| nth_of(turn, fits);
    let any = || nth(&|_, _| true);
    let replica = || nth(&|at, _| at > 0);
    let chosen = match from {
        ReadFrom::Primary => Some(0),
        ReadFrom::PreferReplica => replica(),
        ReadFrom::RoundRobin => any(),
        ReadFrom::LowestLatency if turn.is_multiple_of(EXPLORED) => {
            nth_of(turn / EXPLORED, &|_, _| true)
        }
        ReadFrom::LowestLatency => {
            let fit = nodes.iter().enumerate().filter(|(_, node)| node.fit);
            // One that has not been asked yet comes first.
            fit.min_by_key(|(_, node)| node.latency).map(|(at, _)| at)
        }
        ReadFrom::AvailabilityZone(_) => nth(&|at, node| at > 0 && node.near == Some(true))
            .or_else(|| nth(&|_, node| node.near == Some(true)))
            // To connect is how to learn it.
            .or_else(|| nth(&|at, node| at > 0 && node.near.is_none()))
            .or_else(replica),
    };
    chosen.or_else(any).unwrap_or(0)
}

/// How many reads go by the latency for one that does not.
const EXPLORED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// `f`it or `-`; its latency in ms or `?`; `n`ear, `o`ther zone or `?`.
    fn nodes(words: &str) -> Vec<Reader> {
        let read = |word: &str| {
            let letters: Vec<char> = word.chars().collect();
            Reader {
                fit: letters[0] == 'f',
                latency: letters[1]
                    .to_digit(10)
                    .map(|ms| Duration::from_millis(ms.into())),
                near: match letters[2] {
                    'n' => Some(true),
                    'o' => Some(false),
                    _ => None,
                },
            }
        };
        words.split(' ').map(read).collect()
    }

    #[track_caller]
    fn check(from: &ReadFrom, words: &str, chosen: [usize; 4]) {
        let nodes = nodes(words);
        let choices = [1, 2, 3, 4].map(|turn| choose(from, &nodes, turn));
        assert_eq!(choices, chosen, "{from:?}: {words}");
    }

    #[test]
    fn reads_are_spread_as_wanted() {
        check(&ReadFrom::Primary, "f1? f1? f1?", [0, 0, 0, 0]);
        check(&ReadFrom::PreferReplica, "f1? f1? f1?", [2, 1, 2, 1]);
        check(&ReadFrom::PreferReplica, "f1? -1? f1?", [2, 2, 2, 2]);
        check(&ReadFrom::PreferReplica, "f1? -1? -1?", [0, 0, 0, 0]);
        check(&ReadFrom::RoundRobin, "f1? f1? f1?", [1, 2, 0, 1]);
        check(&ReadFrom::RoundRobin, "-1? f1? f1?", [2, 1, 2, 1]);
        check(&ReadFrom::LowestLatency, "f3? f2? f5?", [1, 1, 1, 1]);
        check(&ReadFrom::LowestLatency, "f3? -2? f5?", [0, 0, 0, 0]);
        check(&ReadFrom::LowestLatency, "f3? f2? f??", [2, 2, 2, 2]);
    }

    #[test]
    fn the_nearest_come_first() {
        let here = ReadFrom::AvailabilityZone("here".into());
        check(&here, "f1n f1n f1n", [2, 1, 2, 1]);
        check(&here, "f1n f1o -1n", [0, 0, 0, 0]);
        check(&here, "f1o f1? f1o", [1, 1, 1, 1]);
        check(&here, "f1o f1o f1o", [2, 1, 2, 1]);
        check(&here, "f1o -1o -1o", [0, 0, 0, 0]);
    }

    #[test]
    fn with_nobody_fit_it_is_the_primary() {
        for from in [
            ReadFrom::PreferReplica,
            ReadFrom::RoundRobin,
            ReadFrom::LowestLatency,
        ] {
            check(&from, "-1? -1?", [0, 0, 0, 0]);
        }
    }

    #[test]
    fn the_fastest_is_not_the_only_one_asked() {
        let nodes = nodes("f1? f9?");
        let choices = (0..640).map(|turn| choose(&ReadFrom::LowestLatency, &nodes, turn));
        assert_eq!(choices.filter(|&chosen| chosen == 1).count(), 5);
    }
}

//! Where one command goes, by its name and keys alone.

use redis::Cmd;

use crate::keys::{self, CommandInfo, Commands, RequestPolicy, ResponsePolicy};
use crate::slot::Slot;

/// Where a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To whoever owns the slot.
    Slot(Slot),
    /// To any primary.
    Any,
    /// To every primary.
    Primaries,
    /// To every node, replicas too.
    Nodes,
    /// To one primary after the other, as the cursor says.
    Scan,
}

/// Why a command cannot go through a handle that has no connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It changes the connection it runs on, which others use too.
    Session,
    /// It would keep a connection waiting that others use too. By itself it gets one of its own.
    Blocking,
    /// It tells of what was written before on the same connection, or waits for that.
    OwnWrites,
    /// It concerns the one server that it is sent to, and here nobody said which.
    OneNode,
    /// It has no words. A server ignores it, so all later answers would go to the wrong requests.
    Empty,
}

/// What is known of a command before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) route: Route,
    /// Running it twice does no harm, and a replica may answer it.
    pub(crate) readonly: bool,
    /// What becomes of several answers.
    pub(crate) response: ResponsePolicy,
    /// Where the keys are of a command that may be cut by them.
    pub(crate) split: Option<KeyRange>,
    pub(crate) scripts: Option<Scripts>,
}

/// The first key's position, the last one's (counted from the end where it is negative) and how many
/// arguments belong to each.
pub(crate) type KeyRange = (usize, isize, usize);

/// A command that changes which scripts the servers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    Load,
    Flush,
}

/// Routes a command in a cluster, or says why it cannot be sent.
pub(crate) fn route(commands: &Commands, cmd: &Cmd) -> Result<Routed, Refusal> {
    let info = commands.find(cmd).unwrap_or(keys::UNLISTED);
    let routed = routed(&info, cmd)?;
    if let Route::Slot(_) = routed.route {
        let is_split = info.request_policy() == RequestPolicy::MultiShard;
        return Ok(Routed {
            split: info.key_range().filter(|_| is_split),
            ..routed
        });
    }
    let everywhere = |route| Routed { route, ..routed };
    match (info.name(), info.request_policy()) {
        // Its answer is the same everywhere, and a dead node is no reason to fail.
        ("PING", _) => Ok(routed),
        // Servers advise to ask all nodes and to want all answers. But one that cannot be reached now is
        // told the script when it first misses it, and is no reason to fail.
        ("SCRIPT|LOAD", _) => Ok(Routed {
            response: ResponsePolicy::OneSucceeded,
            ..everywhere(Route::Primaries)
        }),
        ("CLUSTER|COUNTKEYSINSLOT" | "CLUSTER|GETKEYSINSLOT", _) => Ok(match slot_in(cmd) {
            Some(slot) => everywhere(Route::Slot(slot)),
            None => routed,
        }),
        ("SCAN", _) => Ok(everywhere(Route::Scan)),
        (_, RequestPolicy::AllShards) => Ok(everywhere(Route::Primaries)),
        (_, RequestPolicy::AllNodes) => Ok(everywhere(Route::Nodes)),
        (name, _) if concerns_one_node(name) => Err(Refusal::OneNode),
        _ => Ok(routed),
    }
}

/// The same for a server that stands alone.
pub(crate) fn route_alone(commands: &Commands, cmd: &Cmd) -> Result<Routed, Refusal> {
    let info = commands.find(cmd).unwrap_or(keys::UNLISTED);
    routed(&info, cmd)
}

fn routed(info: &CommandInfo<'_>, cmd: &Cmd) -> Result<Routed, Refusal> {
    if cmd.args_iter().len() == 0 {
        return Err(Refusal::Empty);
    }
    if keys::touches_session(cmd) {
        return Err(Refusal::Session);
    }
    if matches!(info.name(), "WAIT" | "WAITAOF") {
        return Err(Refusal::OwnWrites);
    }
    if info.is_blocking(cmd) {
        return Err(Refusal::Blocking);
    }
    let route = match info.first_key(cmd) {
        Some(key) => Route::Slot(Slot::of(key)),
        None => Route::Any,
    };
    let scripts = match (route, info.name()) {
        (Route::Any, "SCRIPT|LOAD") => Some(Scripts::Load),
        (Route::Any, "SCRIPT|FLUSH") => Some(Scripts::Flush),
        _ => None,
    };
    Ok(Routed {
        route,
        readonly: info.is_readonly(),
        response: info.response_policy(),
        split: None,
        scripts,
    })
}

/// The slot that is the third word of a command.
fn slot_in(cmd: &Cmd) -> Option<Slot> {
    match cmd.args_iter().nth(2)? {
        redis::Arg::Simple(number) => Slot::new(str::from_utf8(number).ok()?.parse().ok()?),
        _ => None,
    }
}

/// Whether a command without keys does something to, or tells something of, the one server that it is sent
/// to. Servers give no tips for these.
fn concerns_one_node(name: &str) -> bool {
    const WHOLE: &[&str] = &[
        "BGREWRITEAOF",
        "BGSAVE",
        "DEBUG",
        "FAILOVER",
        "LASTSAVE",
        "REPLICAOF",
        "ROLE",
        "SAVE",
        "SHUTDOWN",
        "SLAVEOF",
        "SWAPDB",
    ];
    const PARTS: &[&str] = &[
        "ACL|LOAD",
        "ACL|LOG",
        "CLIENT|KILL",
        "CLIENT|LIST",
        "CLIENT|PAUSE",
        "CLIENT|UNPAUSE",
        "CLIENT|UNBLOCK",
        "CLUSTER|ADDSLOTS",
        "CLUSTER|ADDSLOTSRANGE",
        "CLUSTER|BUMPEPOCH",
        "CLUSTER|DELSLOTS",
        "CLUSTER|DELSLOTSRANGE",
        "CLUSTER|FAILOVER",
        "CLUSTER|FLUSHSLOTS",
        "CLUSTER|FORGET",
        "CLUSTER|LINKS",
        "CLUSTER|MEET",
        "CLUSTER|REPLICATE",
        "CLUSTER|RESET",
        "CLUSTER|SAVECONFIG",
        "CLUSTER|SET-CONFIG-EPOCH",
        "CLUSTER|SETSLOT",
        "MODULE|LOAD",
        "MODULE|LOADEX",
        "MODULE|UNLOAD",
        "PUBSUB|CHANNELS",
        "PUBSUB|NUMPAT",
        "PUBSUB|NUMSUB",
        "PUBSUB|SHARDCHANNELS",
        "PUBSUB|SHARDNUMSUB",
    ];
    WHOLE.contains(&name) || PARTS.contains(&name)
}

impl Refusal {
    /// What to tell the caller of a cluster.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Session => {
                "this command changes the connection it runs on, and this handle shares its \
                 connections; take one of your own with cluster::Pool::pin(key) and run it there"
            }
            Self::Blocking => {
                "this command keeps its connection waiting, and the commands of a pipeline share \
                 theirs with others; send it alone, or on a connection from \
                 cluster::Pool::pin(key)"
            }
            Self::OwnWrites => {
                "this command is about what was written before on the same connection; take one \
                 of your own with cluster::Pool::pin(key), write and run it there"
            }
            Self::OneNode => {
                "this command concerns the one node that it is sent to; say which with \
                 cluster::Pool::pin_node(addr) and run it there"
            }
            Self::Empty => "empty command",
        }
    }

    /// What to tell the caller of a server that stands alone.
    pub(crate) const fn reason_alone(self) -> &'static str {
        match self {
            Self::Session => {
                "this command changes the connection it runs on, and this handle shares its \
                 connections; take one of your own with Pool::get() and run it there"
            }
            Self::Blocking => {
                "this command keeps its connection waiting, and the commands of a pipeline share \
                 theirs with others; send it alone, or on a connection from Pool::get()"
            }
            Self::OwnWrites => {
                "this command is about what was written before on the same connection; take one \
                 of your own with Pool::get(), write and run it there"
            }
            Self::OneNode | Self::Empty => self.reason(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmd(words: &str) -> Cmd {
        let mut cmd = Cmd::new();
        for word in words.split(' ') {
            cmd.arg(word);
        }
        cmd
    }

    fn sent(words: &str) -> Result<Routed, Refusal> {
        route(&Commands::default(), &cmd(words))
    }

    fn alone(words: &str) -> Result<Routed, Refusal> {
        route_alone(&Commands::default(), &cmd(words))
    }

    #[test]
    fn keys_decide() {
        for (words, key) in [
            ("GET a", "a"),
            ("get a", "a"),
            ("SET {t}x 1", "t"),
            ("EVAL return 2 a b", "a"),
            ("XREAD COUNT 1 STREAMS s 0", "s"),
            ("OBJECT ENCODING a", "a"),
            ("NO.SUCHCOMMAND a", "a"),
        ] {
            let slot = Slot::of(key.as_bytes());
            assert_eq!(sent(words).unwrap().route, Route::Slot(slot), "{words}");
        }
        let slot = Slot::new(7).unwrap();
        for words in ["CLUSTER COUNTKEYSINSLOT 7", "cluster getkeysinslot 7 10"] {
            assert_eq!(sent(words).unwrap().route, Route::Slot(slot), "{words}");
        }
    }

    #[test]
    fn only_reads_are_repeatable() {
        for (words, readonly) in [
            ("GET a", true),
            ("HMGET h f", true),
            ("SET a 1", false),
            ("INCR a", false),
            ("EVAL return 1 a", false),
            ("NO.SUCHCOMMAND a", false),
        ] {
            assert_eq!(sent(words).unwrap().readonly, readonly, "{words}");
        }
    }

    #[test]
    fn what_shares_no_connection_is_refused() {
        for (words, refusal) in [
            ("WATCH a", Refusal::Session),
            ("SELECT 1", Refusal::Session),
            ("BLPOP a 0", Refusal::Blocking),
            ("XREAD BLOCK 0 STREAMS s 0", Refusal::Blocking),
            ("WAIT 1 0", Refusal::OwnWrites),
            ("SHUTDOWN", Refusal::OneNode),
            ("CLUSTER FAILOVER", Refusal::OneNode),
        ] {
            assert_eq!(sent(words), Err(refusal), "{words}");
        }
    }

    #[test]
    fn commands_of_the_whole_cluster_go_everywhere() {
        use ResponsePolicy as Response;
        for (words, route, response) in [
            ("DBSIZE", Route::Primaries, Response::AggSum),
            ("FLUSHALL", Route::Primaries, Response::AllSucceeded),
            ("KEYS *", Route::Primaries, Response::Default),
            (
                "SCRIPT EXISTS a b",
                Route::Primaries,
                Response::AggLogicalAnd,
            ),
            ("SCRIPT KILL", Route::Primaries, Response::OneSucceeded),
            ("SCRIPT LOAD x", Route::Primaries, Response::OneSucceeded),
            ("INFO", Route::Primaries, Response::Special),
            ("CONFIG SET a b", Route::Nodes, Response::AllSucceeded),
            ("SLOWLOG GET", Route::Nodes, Response::Default),
            ("SCAN 0", Route::Scan, Response::Special),
        ] {
            let routed = sent(words).unwrap();
            assert_eq!(
                (routed.route, routed.response),
                (route, response),
                "{words}"
            );
        }
    }

    #[test]
    fn some_commands_may_be_cut() {
        for (words, range) in [
            ("MGET a b", Some((1, -1, 1))),
            ("MSET a 1 b 2", Some((1, -1, 2))),
            ("DEL a b", Some((1, -1, 1))),
            ("MSETNX a 1 b 2", None),
            ("SINTER a b", None),
            ("GET a", None),
        ] {
            assert_eq!(sent(words).unwrap().split, range, "{words}");
            assert_eq!(alone(words).unwrap().split, None, "{words}");
        }
    }

    #[test]
    fn keyless_commands_with_one_answer_go_anywhere() {
        for words in ["PING", "ECHO a", "TIME", "CLUSTER INFO", "PUBLISH c m"] {
            assert_eq!(sent(words).unwrap().route, Route::Any, "{words}");
        }
    }

    #[test]
    fn a_server_that_stands_alone_answers_for_itself() {
        for words in ["DBSIZE", "SCAN 0", "SCRIPT LOAD x", "SAVE"] {
            assert_eq!(alone(words).unwrap().route, Route::Any, "{words}");
        }
        assert_eq!(alone("MULTI"), Err(Refusal::Session));
        let empty = route_alone(&Commands::default(), &Cmd::new());
        assert_eq!(empty, Err(Refusal::Empty));
    }
}

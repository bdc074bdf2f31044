//! Where one command goes, by its name and keys alone.

use redis::Cmd;

use crate::keys::{self, RequestPolicy};
use crate::slot::Slot;

/// Where a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To whoever owns the slot.
    Slot(Slot),
    /// To any primary.
    Any,
    /// To every primary; it has succeeded if all have.
    Every,
}

/// Why a command cannot go through a handle that has no connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It changes the connection it runs on, which others use too.
    Session,
    /// It would keep a connection waiting that others use too. By itself it gets one of its own.
    Blocking,
    /// It concerns every shard, and one shard's answer would be taken for the cluster's.
    EveryShard,
    /// It has no words. A server ignores it, so all later answers would go to the wrong requests.
    Empty,
}

/// What is known of a command before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) route: Route,
    /// Running it twice does no harm.
    pub(crate) repeatable: bool,
}

/// Routes a command in a cluster, or says why it cannot be sent.
pub(crate) fn route(cmd: &Cmd) -> Result<Routed, Refusal> {
    let info = keys::find(cmd).unwrap_or(&keys::UNLISTED);
    let routed = routed(info, cmd)?;
    match (routed.route, info.request_policy()) {
        // Its answer is the same everywhere.
        (Route::Any, _) if info.name() == "PING" => Ok(routed),
        // So is this one's, but a script has to be where its keys will be.
        (Route::Any, _) if info.name() == "SCRIPT|LOAD" => Ok(Routed {
            route: Route::Every,
            repeatable: true,
        }),
        (
            Route::Any,
            RequestPolicy::AllShards | RequestPolicy::AllNodes | RequestPolicy::Special,
        ) => Err(Refusal::EveryShard),
        _ => Ok(routed),
    }
}

/// The same for a server that stands alone.
pub(crate) fn route_alone(cmd: &Cmd) -> Result<Routed, Refusal> {
    let info = keys::find(cmd).unwrap_or(&keys::UNLISTED);
    routed(info, cmd)
}

fn routed(info: &keys::CommandInfo, cmd: &Cmd) -> Result<Routed, Refusal> {
    if cmd.args_iter().len() == 0 {
        return Err(Refusal::Empty);
    }
    if keys::touches_session(cmd) {
        return Err(Refusal::Session);
    }
    if info.is_blocking(cmd) {
        return Err(Refusal::Blocking);
    }
    let route = match info.first_key(cmd) {
        Some(key) => Route::Slot(Slot::of(key)),
        None => Route::Any,
    };
    Ok(Routed {
        route,
        repeatable: info.is_readonly(),
    })
}

impl Refusal {
    /// What to tell the caller of a cluster.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Session => {
                "this command changes the connection it runs on, and the handle of a cluster \
                 shares its connections; take one of your own with cluster::Pool::pin(key) and run \
                 it there"
            }
            Self::Blocking => {
                "this command keeps its connection waiting, and in a pipeline it would keep the \
                 others waiting too; send it by itself, or take a connection of your own with \
                 cluster::Pool::pin(key) and run the pipeline there"
            }
            Self::EveryShard => {
                "this command concerns every shard and would be answered by one; send it to each \
                 node through a wait_pool_redis::Pool of its own"
            }
            Self::Empty => "empty command",
        }
    }

    /// What to tell the caller of a server that stands alone.
    pub(crate) const fn reason_alone(self) -> &'static str {
        match self {
            Self::Session => {
                "this command changes the connection it runs on, and the pool's handle shares \
                 its connections; take one of your own with Pool::get() and run it there"
            }
            Self::Blocking => {
                "this command keeps its connection waiting, and in a pipeline it would keep the \
                 others waiting too; send it by itself, or take a connection of your own with \
                 Pool::get() and run the pipeline there"
            }
            Self::EveryShard | Self::Empty => self.reason(),
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
            let routed = route(&cmd(words)).unwrap();
            assert_eq!(
                routed.route,
                Route::Slot(Slot::of(key.as_bytes())),
                "{words}"
            );
        }
    }

    #[test]
    fn only_reads_are_repeatable() {
        for (words, repeatable) in [
            ("GET a", true),
            ("HMGET h f", true),
            ("SET a 1", false),
            ("INCR a", false),
            ("EVAL return 1 a", false),
            ("NO.SUCHCOMMAND a", false),
        ] {
            assert_eq!(
                route(&cmd(words)).unwrap().repeatable,
                repeatable,
                "{words}"
            );
        }
    }

    #[test]
    fn what_shares_no_connection_is_refused() {
        for (words, refusal) in [
            ("WATCH a", Refusal::Session),
            ("SELECT 1", Refusal::Session),
            ("BLPOP a 0", Refusal::Blocking),
            ("XREAD BLOCK 0 STREAMS s 0", Refusal::Blocking),
            ("DBSIZE", Refusal::EveryShard),
            ("FLUSHALL", Refusal::EveryShard),
            ("SCAN 0", Refusal::EveryShard),
        ] {
            assert_eq!(route(&cmd(words)), Err(refusal), "{words}");
        }
    }

    #[test]
    fn keyless_commands_with_one_answer_go_anywhere() {
        for words in ["PING", "ECHO a", "TIME", "CLUSTER INFO", "PUBLISH c m"] {
            assert_eq!(route(&cmd(words)).unwrap().route, Route::Any, "{words}");
        }
    }

    #[test]
    fn a_script_is_loaded_everywhere() {
        let routed = route(&cmd("SCRIPT LOAD return")).unwrap();
        assert_eq!((routed.route, routed.repeatable), (Route::Every, true));
        let alone = route_alone(&cmd("SCRIPT LOAD return")).unwrap();
        assert_eq!(alone.route, Route::Any);
    }

    #[test]
    fn a_server_that_stands_alone_answers_for_itself() {
        assert_eq!(route_alone(&cmd("DBSIZE")).unwrap().route, Route::Any);
        assert_eq!(route_alone(&cmd("MULTI")), Err(Refusal::Session));
        assert_eq!(route_alone(&Cmd::new()), Err(Refusal::Empty));
    }
}

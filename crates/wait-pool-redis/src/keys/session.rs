//! The commands that change the connection they run on rather than data.
//!
//! On a connection that several callers share, such a command would change what the others' commands mean or
//! take their replies away. They belong on a connection of one's own, which then goes back cleaned or not
//! at all. The list is made by hand, since no flag of the server tells these commands from others.

use redis::Cmd;

use super::name::{Name, args};

/// What a command does to the connection it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionCommand {
    /// A transaction lives on its connection from WATCH to EXEC; whatever else is sent there meanwhile is
    /// queued into it.
    Watch,
    /// Ends every WATCH.
    Unwatch,
    /// Commands are queued from here on.
    Multi,
    /// Runs what is queued and ends every WATCH.
    Exec,
    /// Drops what is queued and ends every WATCH.
    Discard,
    /// Which database the commands after it read and write; none if it says no number.
    Select(Option<i64>),
    /// The answer is a push for each channel, not a reply, and what is published comes to whoever reads next.
    Subscribe,
    /// The same for leaving channels. Without any named there is a push for each subscription.
    Unsubscribe(Channels),
    /// From here on what comes does not match what is asked: it is a stream, or no reply comes.
    Deafening,
    /// Which protocol is spoken may be another from here on.
    Protocol,
    /// Anything else that stays on the connection.
    Lasting,
}

/// What one subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Named,
    Patterns,
    Sharded,
}

/// Whether `cmd` leaves something on its connection that the next command there would notice.
pub(crate) fn touches_session(cmd: &Cmd) -> bool {
    session(cmd).is_some()
}

/// What `cmd` does to its connection, if anything.
pub(crate) fn session(cmd: &Cmd) -> Option<SessionCommand> {
    use SessionCommand::{
        Deafening, Discard, Exec, Lasting, Multi, Protocol, Select, Subscribe, Unsubscribe,
        Unwatch, Watch,
    };

    let mut words = args(cmd);
    let name = words.next().and_then(Name::new)?;
    let does = match name.as_bytes() {
        b"WATCH" => Watch,
        b"UNWATCH" => Unwatch,
        b"MULTI" => Multi,
        b"EXEC" => Exec,
        b"DISCARD" => Discard,

        b"SELECT" => Select(words.next().and_then(number)),

        b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" => Subscribe,
        b"UNSUBSCRIBE" => Unsubscribe(Channels::Named),
        b"PUNSUBSCRIBE" => Unsubscribe(Channels::Patterns),
        b"SUNSUBSCRIBE" => Unsubscribe(Channels::Sharded),

        // From here on the connection is a stream of other clients' commands, or of the replication.
        b"MONITOR" | b"SYNC" | b"PSYNC" => Deafening,
        b"REPLCONF" => Lasting,

        // Who one is, and which protocol is spoken. HELLO without arguments only asks, but is as seldom
        // used as it is harmless.
        b"AUTH" => Lasting,
        b"HELLO" => Protocol,

        // Ends the session, that of all who share it.
        b"RESET" => Protocol,
        b"QUIT" => Lasting,

        // Whether a replica answers reads, and whether a node answers for a slot that it is still importing:
        // ASKING holds for whatever command comes next, which on a shared connection may be anybody's.
        b"READONLY" | b"READWRITE" | b"ASKING" => Lasting,

        b"CLIENT" => return client(words.next()?, words.next()),

        // The scripts that come after it run in the debugger. The other subcommands concern the server.
        b"SCRIPT" if is_any_of(words.next(), &[b"DEBUG"]) => Lasting,

        _ => return None,
    };
    Some(does)
}

fn client(subcommand: &[u8], argument: Option<&[u8]>) -> Option<SessionCommand> {
    // Commands without replies.
    if subcommand.eq_ignore_ascii_case(b"REPLY") {
        return Some(match is_any_of(argument, &[b"OFF", b"SKIP"]) {
            true => SessionCommand::Deafening,
            false => SessionCommand::Lasting,
        });
    }
    let lasting = is_any_of(
        Some(subcommand),
        &[
            // Invalidation messages, and which reads cause them.
            b"TRACKING",
            b"CACHING",
            // The connection is the pool's; so are the name and the library it shows to operators.
            b"SETNAME",
            b"SETINFO",
            // Whether this connection's reads count for eviction and expiry.
            b"NO-EVICT",
            b"NO-TOUCH",
            // Valkey: which redirects the client understands, and whether it sees expired keys.
            b"CAPA",
            b"IMPORT-SOURCE",
            // PAUSE, UNPAUSE, KILL and UNBLOCK are absent: they concern the server or other
            // connections. The rest only asks.
        ],
    );
    lasting.then_some(SessionCommand::Lasting)
}

/// What a command that subscribes or unsubscribes names.
pub(crate) fn channels(cmd: &Cmd) -> impl ExactSizeIterator<Item = &[u8]> {
    let mut words = args(cmd);
    words.next();
    words
}

fn number(word: &[u8]) -> Option<i64> {
    str::from_utf8(word).ok()?.parse().ok()
}

fn is_any_of(word: Option<&[u8]>, list: &[&[u8]]) -> bool {
    word.is_some_and(|word| list.iter().any(|listed| word.eq_ignore_ascii_case(listed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touches(command: &str) -> bool {
        touches_session(Cmd::new().arg(command.split(' ').collect::<Vec<_>>()))
    }

    #[test]
    fn what_they_do() {
        use SessionCommand::{Deafening, Lasting, Protocol, Select, Subscribe, Unsubscribe, Watch};
        for (command, does) in [
            ("watch k", Watch),
            ("SELECT 3", Select(Some(3))),
            ("SELECT x", Select(None)),
            ("SELECT", Select(None)),
            ("ssubscribe c", Subscribe),
            ("PUNSUBSCRIBE", Unsubscribe(Channels::Patterns)),
            ("sunsubscribe c", Unsubscribe(Channels::Sharded)),
            ("HELLO 2", Protocol),
            ("reset", Protocol),
            ("MONITOR", Deafening),
            ("client reply skip", Deafening),
            ("CLIENT REPLY ON", Lasting),
            ("CLIENT NO-EVICT ON", Lasting),
        ] {
            let words = command.split(' ').collect::<Vec<_>>();
            assert_eq!(session(Cmd::new().arg(words)), Some(does), "{command}");
        }
    }

    #[test]
    fn session_commands() {
        for command in [
            "WATCH k",
            "multi",
            "Exec",
            "SELECT 3",
            "SUBSCRIBE c",
            "sunsubscribe",
            "HELLO 3",
            "RESET",
            "ASKING",
            "READONLY",
            "CLIENT REPLY OFF",
            "client no-touch on",
            "CLIENT SETINFO LIB-NAME x",
            "SCRIPT DEBUG YES",
            "MONITOR",
        ] {
            assert!(touches(command), "{command}");
        }
    }

    #[test]
    fn other_commands() {
        for command in [
            "GET k",
            "CLIENT",
            "CLIENT ID",
            "CLIENT PAUSE 10",
            "CLIENT KILL ID 3",
            "SCRIPT LOAD x",
            "SCRIPT",
            "PUBLISH c m",
            "WAIT 1 0",
            "CLUSTER RESET",
            "CONFIG RESETSTAT",
            "",
            "XGROUP SETID",
        ] {
            assert!(!touches(command), "{command}");
        }
        assert!(!touches_session(&Cmd::new()));
    }
}

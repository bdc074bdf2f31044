//! The commands that change the connection they run on rather than data.
//!
//! On a connection that several callers share, such a command would change what the others' commands mean or
//! take their replies away. They belong on a connection of one's own, which then goes back cleaned or not
//! at all. The list is made by hand, since no flag of the server tells these commands from others.

use redis::Cmd;

use super::name::{Name, args};

/// Whether `cmd` leaves something on its connection that the next command there would notice.
pub(crate) fn touches_session(cmd: &Cmd) -> bool {
    let mut words = args(cmd);
    let Some(name) = words.next().and_then(Name::new) else {
        return false;
    };
    match name.as_bytes() {
        // A transaction lives on its connection from WATCH to EXEC; whatever else is sent there meanwhile is
        // queued into it.
        b"WATCH" | b"UNWATCH" | b"MULTI" | b"EXEC" | b"DISCARD" => true,

        // Which database the commands after it read and write.
        b"SELECT" => true,

        // The answer is a push, not a reply, so replies would no longer match requests; and what is published
        // comes to whoever reads next.
        b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" => true,
        b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE" => true,

        // From here on the connection is a stream of other clients' commands, or of the replication.
        b"MONITOR" | b"SYNC" | b"PSYNC" | b"REPLCONF" => true,

        // Who one is, and which protocol is spoken. HELLO without arguments only asks, but is as seldom
        // used as it is harmless.
        b"AUTH" | b"HELLO" => true,

        // Ends the session, that of all who share it.
        b"RESET" | b"QUIT" => true,

        // Whether a replica answers reads, and whether a node answers for a slot that it is still importing:
        // ASKING holds for whatever command comes next, which on a shared connection may be anybody's.
        b"READONLY" | b"READWRITE" | b"ASKING" => true,

        b"CLIENT" => is_any_of(
            words.next(),
            &[
                // OFF and SKIP: commands without replies.
                b"REPLY",
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
        ),

        // The scripts that come after it run in the debugger. The other subcommands concern the server.
        b"SCRIPT" => is_any_of(words.next(), &[b"DEBUG"]),

        _ => false,
    }
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

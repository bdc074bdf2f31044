//! What a connection of one's own is left with: commands and answers go in, clean or not comes out.
//!
//! A connection goes back to its pool only if what was done on it is known to have left nothing behind. So
//! an answer counts for what it proves, and all that is not proved counts as left behind. The usual
//! optimistic lock, from `WATCH` to `EXEC` or `UNWATCH`, proves that it has.
//!
//! Scripts cannot change the connection they are called on: servers refuse these commands there, and a
//! `SELECT` holds for the script only.

use redis::{RedisError, RedisResult, ServerError, Value};

use crate::keys::SessionCommand;

/// What a request may do to the state of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Plain,
    /// It is an atomic pipeline: what it begins it ends, and it ends every `WATCH`.
    Atomic,
    /// Anything.
    Changing,
}

/// Whether commands are queued for an `EXEC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Closed,
    Open,
    Unsure,
}

/// The state of a connection, as far as its answers tell.
#[derive(Debug)]
pub(crate) struct Session {
    /// The database that the pool's connections are for.
    home: i64,
    db: i64,
    queue: Queue,
    watching: bool,
    /// Something was done that is not followed further.
    stained: bool,
    protocol_known: bool,
    atomic_under_way: usize,
    changing_under_way: usize,
}

impl Session {
    pub(crate) const fn new(home: i64) -> Self {
        Self {
            home,
            db: home,
            queue: Queue::Closed,
            watching: false,
            stained: false,
            protocol_known: true,
            atomic_under_way: 0,
            changing_under_way: 0,
        }
    }

    /// A request is about to be sent. Which of two that are under way at once comes first nobody knows, so
    /// what a change leaves behind is known only if it is alone.
    pub(crate) const fn begin(&mut self, kind: Kind) {
        match kind {
            Kind::Plain => {}
            Kind::Atomic => {
                self.atomic_under_way += 1;
                self.stained |= self.changing_under_way > 0;
            }
            Kind::Changing => {
                self.changing_under_way += 1;
                self.stained |= self.changing_under_way > 1 || self.atomic_under_way > 0;
            }
        }
    }

    /// A request has ended, with its answer or without.
    pub(crate) const fn end(&mut self, kind: Kind) {
        match kind {
            Kind::Plain => {}
            Kind::Atomic => self.atomic_under_way -= 1,
            Kind::Changing => self.changing_under_way -= 1,
        }
    }

    /// Something happened that nothing is known of, as with a request whose answer is still to come.
    pub(crate) const fn stain(&mut self) {
        self.stained = true;
    }

    /// The answer to one command that is not part of an atomic pipeline.
    pub(crate) fn answered(&mut self, command: SessionCommand, answer: &Value) {
        use SessionCommand as Did;

        match (command, answer) {
            (Did::Exec, Value::ServerError(error)) => self.exec_refused(error),
            // A push or a setting may have come before the error.
            (Did::Subscribe | Did::Unsubscribe(_) | Did::Deafening | Did::Lasting, _) => {
                self.stain();
            }
            (Did::Protocol, _) => {
                self.protocol_known = false;
                self.stain();
            }
            // Refused as it was: nothing has changed.
            (_, Value::ServerError(_)) => {}
            (Did::Watch, _) => self.watching = true,
            (Did::Multi, _) => self.queue = Queue::Open,
            (Did::Exec | Did::Discard | Did::Unwatch, Value::SimpleString(_)) => {
                // `QUEUED`, which only UNWATCH can be.
                self.queue = Queue::Open;
            }
            // In a transaction UNWATCH is queued, so this says that there is none, too.
            (Did::Exec | Did::Discard | Did::Unwatch, _) => self.nothing_pending(),
            (Did::Select(Some(db)), Value::Okay) => self.db = db,
            (Did::Select(_), _) => self.stain(),
        }
    }

    /// What came of an atomic pipeline whose last answer is that of its `EXEC`.
    pub(crate) fn transaction(&mut self, outcome: &RedisResult<Vec<Value>>) {
        match outcome {
            Ok(answers) => match answers.last() {
                Some(Value::ServerError(error)) => {
                    self.queue = Queue::Open;
                    self.exec_refused(error);
                }
                Some(_) => self.nothing_pending(),
                None => self.stain(),
            },
            Err(error) if aborted_for_sure(error) => self.nothing_pending(),
            Err(_) => self.queue = Queue::Unsure,
        }
    }

    /// Whether the next user would notice nothing.
    pub(crate) const fn is_clean(&self) -> bool {
        !self.stained
            && matches!(self.queue, Queue::Closed)
            && !self.watching
            && self.db == self.home
    }

    /// The database that commands read and write.
    pub(crate) const fn db(&self) -> i64 {
        self.db
    }

    /// Whether the protocol is still that which the connection was opened with.
    pub(crate) const fn is_protocol_known(&self) -> bool {
        self.protocol_known
    }

    /// Whether a command may be queued instead of run.
    pub(crate) const fn may_queue(&self) -> bool {
        !matches!(self.queue, Queue::Closed)
    }

    const fn nothing_pending(&mut self) {
        self.queue = Queue::Closed;
        self.watching = false;
    }

    fn exec_refused(&mut self, error: &ServerError) {
        match self.queue {
            // Without MULTI; what is watched is still watched.
            Queue::Closed => {}
            Queue::Open | Queue::Unsure if ENDED_BY.contains(&error.code()) => {
                self.nothing_pending();
            }
            Queue::Open | Queue::Unsure => self.queue = Queue::Unsure,
        }
    }
}

/// The errors of an `EXEC` that end its transaction with every server. Before Redis 6.2 some others
/// (`BUSY`, `LOADING`, `NOAUTH`, …) left it open.
const ENDED_BY: &[&str] = &[
    "EXECABORT",
    "MOVED",
    "ASK",
    "CROSSSLOT",
    "TRYAGAIN",
    "CLUSTERDOWN",
];

/// Errors of commands on their way into a transaction that leave it to its `EXEC` to end it. An `EXEC` is
/// not itself refused for these reasons.
const EXEC_GOES_ON_AFTER: &[&str] = &["ERR", "OOM", "READONLY"];

/// Whether `EXEC` came to its end although commands before it had been refused. redis-rs tells their errors and not the
/// answer to `EXEC`; a refused `MULTI` has a number that no command has.
fn aborted_for_sure(error: &RedisError) -> bool {
    let Some(refused) = error.clone().into_server_errors() else {
        return false;
    };
    let known = |code: &str| ENDED_BY.contains(&code) || EXEC_GOES_ON_AFTER.contains(&code);
    refused
        .iter()
        .all(|(number, error)| *number < usize::MAX / 2 && known(error.code()))
}

#[cfg(test)]
mod tests {
    use redis::{Cmd, ServerError};

    use super::*;
    use crate::keys;

    fn reply(line: &str) -> Value {
        redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap()
    }

    fn feed(session: &mut Session, script: &[(&str, &str)]) {
        for (words, line) in script {
            let cmd = Cmd::new()
                .arg(words.split(' ').collect::<Vec<_>>())
                .to_owned();
            if let Some(command) = keys::session(&cmd) {
                session.begin(Kind::Changing);
                session.answered(command, &reply(line));
                session.end(Kind::Changing);
            }
        }
    }

    fn after(script: &[(&str, &str)]) -> Session {
        let mut session = Session::new(0);
        feed(&mut session, script);
        session
    }

    const OK: &str = "+OK";
    const QUEUED: &str = "+QUEUED";

    #[test]
    fn what_is_left_behind() {
        for script in [
            &[][..],
            &[("GET a", "$-1"), ("CLIENT ID", ":1")],
            // The optimistic lock, in all the ways it may end.
            &[
                ("WATCH a", OK),
                ("MULTI", OK),
                ("INCR a", QUEUED),
                ("EXEC", "*0"),
            ],
            &[("WATCH a", OK), ("MULTI", OK), ("EXEC", "*-1")],
            &[("WATCH a", OK), ("MULTI", OK), ("EXEC", "_")],
            &[("WATCH a", OK), ("MULTI", OK), ("DISCARD", OK)],
            &[("WATCH a", OK), ("UNWATCH", OK)],
            &[("WATCH a", "-MOVED 1 h:1")],
            &[
                ("MULTI", OK),
                ("NO", "-ERR no"),
                ("EXEC", "-EXECABORT because"),
            ],
            &[("WATCH a", OK), ("MULTI", OK), ("EXEC", "-MOVED 1 h:1")],
            &[
                ("WATCH a", OK),
                ("MULTI", OK),
                ("EXEC", "-BUSY"),
                ("DISCARD", OK),
            ],
            &[("MULTI", OK), ("EXEC", "-BUSY"), ("UNWATCH", OK)],
            &[
                ("MULTI", OK),
                ("MULTI", "-ERR nested"),
                ("EXEC", "-EXECABORT"),
            ],
            &[("EXEC", "-ERR EXEC without MULTI")],
            &[("SELECT 3", OK), ("SELECT 0", OK)],
            &[("SELECT 99", "-ERR out of range")],
        ] {
            assert!(after(script).is_clean(), "{script:?}");
        }
        for script in [
            &[("WATCH a", OK)][..],
            &[("MULTI", OK)],
            &[("MULTI", OK), ("INCR a", QUEUED)],
            &[("MULTI", OK), ("UNWATCH", QUEUED)],
            &[("MULTI", OK), ("EXEC", "*0"), ("WATCH a", OK)],
            &[("MULTI", OK), ("EXEC", "-BUSY script")],
            &[("MULTI", OK), ("EXEC", "-BUSY script"), ("UNWATCH", QUEUED)],
            &[("WATCH a", OK), ("EXEC", "-ERR EXEC without MULTI")],
            &[("WATCH a", OK), ("DISCARD", "-ERR DISCARD without MULTI")],
            &[("SELECT 3", OK)],
            &[("SELECT x", OK), ("SELECT 0", OK)],
            // When it is run is not followed.
            &[("MULTI", OK), ("SELECT 0", QUEUED), ("EXEC", "*0")],
            &[("SUBSCRIBE c", "*0"), ("UNSUBSCRIBE c", "*0")],
            &[("CLIENT NO-TOUCH ON", OK), ("CLIENT NO-TOUCH OFF", OK)],
            &[("AUTH u p", "-WRONGPASS")],
            &[("RESET", "+RESET")],
        ] {
            assert!(!after(script).is_clean(), "{script:?}");
        }
    }

    #[test]
    fn a_stain_stays() {
        let mut session = Session::new(0);
        session.stain();
        feed(
            &mut session,
            &[("MULTI", OK), ("EXEC", "*0"), ("SELECT 0", OK)],
        );
        assert!(!session.is_clean());
    }

    #[test]
    fn the_database_is_known() {
        let mut session = Session::new(2);
        assert!(session.is_clean());
        feed(&mut session, &[("SELECT 0", OK)]);
        assert_eq!((session.db(), session.is_clean()), (0, false));
        feed(&mut session, &[("SELECT 2", OK)]);
        assert_eq!((session.db(), session.is_clean()), (2, true));
    }

    #[test]
    fn changes_at_once_are_not_followed() {
        for (one, other, clean) in [
            (Kind::Plain, Kind::Plain, true),
            (Kind::Plain, Kind::Changing, true),
            (Kind::Plain, Kind::Atomic, true),
            (Kind::Atomic, Kind::Atomic, true),
            (Kind::Changing, Kind::Changing, false),
            (Kind::Changing, Kind::Atomic, false),
            (Kind::Atomic, Kind::Changing, false),
        ] {
            let mut session = Session::new(0);
            session.begin(one);
            session.begin(other);
            session.end(one);
            session.end(other);
            assert_eq!(session.is_clean(), clean, "{one:?}, {other:?}");
            let mut session = Session::new(0);
            session.begin(one);
            session.end(one);
            session.begin(other);
            session.end(other);
            assert!(session.is_clean(), "{one:?}, then {other:?}");
        }
    }

    fn server_error(line: &str) -> ServerError {
        match reply(line) {
            Value::ServerError(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn atomic_pipelines() {
        let outcome = |outcome: RedisResult<Vec<Value>>| {
            let mut session = Session::new(0);
            session.answered(SessionCommand::Watch, &Value::Okay);
            session.transaction(&outcome);
            session
        };
        assert!(outcome(Ok(vec![reply("*0")])).is_clean());
        assert!(
            outcome(Ok(vec![Value::Nil])).is_clean(),
            "somebody wrote in between"
        );
        assert!(outcome(Ok(vec![reply("-EXECABORT")])).is_clean());
        assert!(!outcome(Ok(vec![reply("-BUSY")])).is_clean());
        assert!(!outcome(Ok(Vec::new())).is_clean());
        for (line, clean) in [
            ("-ERR wrong number of arguments", true),
            ("-OOM command not allowed", true),
            ("-MOVED 1 h:1", true),
            ("-BUSY a script runs", false),
            ("-LOADING", false),
        ] {
            let refused = outcome(Err(RedisError::from(server_error(line))));
            assert_eq!(refused.is_clean(), clean, "{line}");
        }
        let mut unsure = outcome(Err(RedisError::from(server_error("-LOADING"))));
        unsure.answered(SessionCommand::Unwatch, &Value::Okay);
        assert!(unsure.is_clean(), "not queued, so there is no transaction");
    }
}

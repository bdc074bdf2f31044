//! One line of the command table, what it says of a command, and how it is found.

use redis::Cmd;

use super::extract::{self, Begin, KeySpec};
use super::index::line;
use super::name::{Name, args};
use super::policy::{RequestPolicy, ResponsePolicy};

/// What the server says of one command or subcommand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommandInfo<'t> {
    name: &'t str,
    flags: u8,
    keys: &'t [KeySpec],
    request: RequestPolicy,
    response: ResponsePolicy,
}

/// Changes data.
pub(super) const WRITE: u8 = 1 << 0;
/// Changes nothing: may go to a replica and may run twice.
pub(super) const READONLY: u8 = 1 << 1;
/// May keep its connection waiting.
pub(super) const BLOCKING: u8 = 1 << 2;
/// Has its keys in places that depend on other arguments.
pub(super) const MOVABLE: u8 = 1 << 3;
/// Publishes, subscribes or tells of those who do.
pub(super) const PUBSUB: u8 = 1 << 4;
/// Is refused inside MULTI.
pub(super) const NO_MULTI: u8 = 1 << 5;
/// Is told by its second word, which has a line of its own.
pub(super) const CONTAINER: u8 = 1 << 6;

/// What a command that is not in the table is taken for. Those are commands of modules and of newer servers:
/// nearly all of them have one key, as their first argument, and any of them might write.
pub(crate) const UNLISTED: CommandInfo<'static> = command("", WRITE).keys_at(&[extract::key(1)]);

/// The command's line in the table; that of a subcommand where it has one. Upper and lower case are one.
pub(crate) fn find(cmd: &Cmd) -> Option<&'static CommandInfo<'static>> {
    let mut words = args(cmd);
    let name = Name::new(words.next()?)?;
    let found = line(name.as_bytes())?;
    if found.flags & CONTAINER == 0 {
        return Some(found);
    }
    let subcommand = words
        .next()
        .and_then(|word| line(name.then(word)?.as_bytes()));
    Some(subcommand.unwrap_or(found))
}

impl<'t> CommandInfo<'t> {
    /// The name in upper case, a subcommand's as `CONTAINER|NAME`; empty for [`UNLISTED`].
    pub(crate) const fn name(&self) -> &'t str {
        self.name
    }

    /// Whether it changes nothing. Many commands without keys neither read nor write data, and neither do
    /// scripts as far as the server can tell.
    pub(crate) const fn is_readonly(&self) -> bool {
        self.flags & READONLY != 0
    }

    /// Whether it changes data.
    #[cfg(test)]
    pub(crate) const fn is_write(&self) -> bool {
        self.flags & WRITE != 0
    }

    /// Whether `cmd` may keep its connection waiting. XREAD and XREADGROUP do so only where they say BLOCK.
    pub(crate) fn is_blocking(&self, cmd: &Cmd) -> bool {
        if self.flags & BLOCKING == 0 {
            return false;
        }
        match self.keys {
            [
                KeySpec::Range {
                    begin: Begin::After(keys, options),
                    ..
                },
            ] => args(cmd)
                .skip(options.unsigned_abs())
                .take_while(|word| !word.eq_ignore_ascii_case(keys.as_bytes()))
                .any(|word| word.eq_ignore_ascii_case(b"BLOCK")),
            _ => true,
        }
    }

    /// Whether it can have keys at all.
    #[cfg(test)]
    pub(crate) const fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The keys of `cmd`, in its own order.
    pub(crate) fn keys<'c>(&self, cmd: &'c Cmd) -> impl Iterator<Item = &'c [u8]> + use<'c> {
        self.placed_keys(cmd).map(|(_, key)| key)
    }

    /// The keys of `cmd` with their positions among its arguments, of which the name is number 0.
    pub(crate) fn placed_keys<'c>(
        &self,
        cmd: &'c Cmd,
    ) -> impl Iterator<Item = (usize, &'c [u8])> + use<'c> {
        let runs = extract::runs(self.name, self.keys, cmd);
        args(cmd)
            .enumerate()
            .take(runs.end())
            .filter(move |&(position, _)| runs.contain(position))
    }

    /// The first of the [`keys`](Self::keys), which is all that routing needs of most commands.
    pub(crate) fn first_key<'c>(&self, cmd: &'c Cmd) -> Option<&'c [u8]> {
        match self.keys {
            // Nearly every command: no need to work out where its keys end.
            [
                KeySpec::Range {
                    begin: Begin::At(position),
                    ..
                },
                ..,
            ] if self.flags & MOVABLE == 0 => args(cmd).nth(*position),
            _ => self.keys(cmd).next(),
        }
    }

    /// Whether nothing is to be thought of but its one key, its first argument: it neither waits nor leaves anything on
    /// its connection, and one node's answer is the answer.
    pub(super) const fn is_plain(&self) -> bool {
        const NOT: u8 = BLOCKING | MOVABLE | PUBSUB | CONTAINER;
        self.flags & NOT == 0
            && matches!(self.request, RequestPolicy::Default)
            && matches!(
                self.keys,
                [KeySpec::Range {
                    begin: Begin::At(1),
                    last: 0,
                    ..
                }]
            )
    }

    /// Whom to send it to.
    pub(crate) const fn request_policy(&self) -> RequestPolicy {
        self.request
    }

    /// What to make of several answers.
    pub(crate) const fn response_policy(&self) -> ResponsePolicy {
        self.response
    }

    /// Where a command that may be cut by its keys has them: the first one's position, the last one's,
    /// counted from the end where it is negative, and how many arguments belong to each.
    pub(crate) const fn key_range(&self) -> Option<(usize, isize, usize)> {
        match self.keys {
            [
                KeySpec::Range {
                    begin: Begin::At(first),
                    last,
                    step,
                    limit: 0,
                },
            ] => Some((*first, *last, *step)),
            _ => None,
        }
    }
}

/// A line of the table, to which the methods below add what not every command has.
pub(super) const fn command(name: &str, flags: u8) -> CommandInfo<'_> {
    CommandInfo {
        name,
        flags,
        keys: &[],
        request: RequestPolicy::Default,
        response: ResponsePolicy::Default,
    }
}

impl<'t> CommandInfo<'t> {
    pub(super) const fn keys_at(self, keys: &'t [KeySpec]) -> Self {
        Self { keys, ..self }
    }

    pub(super) const fn request(self, request: RequestPolicy) -> Self {
        Self { request, ..self }
    }

    pub(super) const fn response(self, response: ResponsePolicy) -> Self {
        Self { response, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::extract::Runs;
    use super::super::table::COMMANDS;
    use super::*;

    fn cmd(command: &str) -> Cmd {
        let mut cmd = Cmd::new();
        cmd.arg(command.split(' ').collect::<Vec<_>>());
        cmd
    }

    fn name(command: &str) -> Option<&'static str> {
        find(&cmd(command)).map(CommandInfo::name)
    }

    #[track_caller]
    fn keys(command: &str, expected: &[&str]) {
        let cmd = cmd(command);
        let info = find(&cmd).unwrap();
        let keys: Vec<_> = info
            .keys(&cmd)
            .map(|key| str::from_utf8(key).unwrap())
            .collect();
        assert_eq!(keys, expected, "{command}");
        assert_eq!(info.first_key(&cmd), info.keys(&cmd).next(), "{command}");
    }

    #[test]
    fn names() {
        assert_eq!(name("GET k"), Some("GET"));
        assert_eq!(name("get k"), Some("GET"));
        assert_eq!(name("cluster Shards"), Some("CLUSTER|SHARDS"));
        assert_eq!(name("CLUSTER"), Some("CLUSTER"));
        assert_eq!(name("CLUSTER unheard-of"), Some("CLUSTER"));
        assert_eq!(name("GET|x"), None);
        assert_eq!(name("UNHEARD.OF k"), None);
        assert_eq!(name(&"x".repeat(1000)), None);
        assert_eq!(
            name(&format!("CONFIG {}", "x".repeat(1000))),
            Some("CONFIG")
        );
        assert_eq!(find(&Cmd::new()).map(CommandInfo::name), None);
    }

    #[test]
    fn the_table_is_fit_to_be_searched() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        for line in COMMANDS {
            assert!(line.name.len() <= Name::LONGEST, "{}", line.name);
            assert!(line.keys.len() <= Runs::MOST, "{}", line.name);
            let is_unknown = line
                .keys
                .iter()
                .any(|spec| matches!(spec, KeySpec::Unknown));
            let by_hand = ["MIGRATE", "SORT", "SORT_RO"].contains(&line.name);
            assert_eq!(is_unknown, by_hand, "{} needs a rule of its own", line.name);
            // `first_key` takes the short way for all that are not.
            assert!(line.flags & MOVABLE != 0 || !by_hand, "{}", line.name);
        }
    }

    #[test]
    fn keys_of_all_shapes() {
        keys("PING", &[]);
        keys("GET k", &["k"]);
        keys("MGET a b c", &["a", "b", "c"]);
        keys("MSET a 1 b 2", &["a", "b"]);
        keys("BLPOP a b 5", &["a", "b"]);
        keys("BITOP AND d a b", &["d", "a", "b"]);
        keys("ZUNIONSTORE d 2 a b WEIGHTS 1 2", &["d", "a", "b"]);
        keys("EVAL script 1 a argument", &["a"]);
        keys("EVAL script 0 argument", &[]);
        keys("XREAD COUNT 1 STREAMS a b 0 0", &["a", "b"]);
        keys("XREADGROUP GROUP streams c STREAMS a >", &["a"]);
        keys("OBJECT encoding k", &["k"]);
        keys("GEORADIUS k 1 2 3 m STORE d", &["k", "d"]);
        keys("SPUBLISH channel message", &["channel"]);
    }

    #[test]
    fn nonsense_has_few_keys_or_none() {
        keys("GET", &[]);
        keys("EVAL script", &[]);
        keys("EVAL script many a", &[]);
        keys("EVAL script -1 a", &[]);
        keys("EVAL script 18446744073709551615 a b", &["a", "b"]);
        keys("XREAD COUNT 1", &[]);
        keys("XREAD STREAMS", &[]);
        keys("MSET a", &["a"]);
        keys("ZUNIONSTORE d", &["d"]);
    }

    #[test]
    fn keys_have_their_places() {
        let cmd = cmd("MSET a 1 b 2");
        let places: Vec<_> = find(&cmd)
            .unwrap()
            .placed_keys(&cmd)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(places, [1, 3]);
    }

    #[test]
    fn unlisted_commands_have_one_key() {
        let cmd = cmd("JSON.GET doc $");
        assert_eq!(UNLISTED.first_key(&cmd), Some(&b"doc"[..]));
        assert_eq!(UNLISTED.keys(&cmd).count(), 1);
        assert!(UNLISTED.is_write() && !UNLISTED.is_readonly());
    }

    #[test]
    fn blocking() {
        let blocks = |command| {
            let cmd = cmd(command);
            find(&cmd).unwrap().is_blocking(&cmd)
        };
        assert!(blocks("BLPOP k 0"));
        assert!(blocks("WAIT 1 0"));
        assert!(blocks("XREAD block 5 STREAMS a 0"));
        assert!(blocks("XREADGROUP GROUP g c COUNT 1 BLOCK 5 STREAMS a >"));
        assert!(!blocks("XREAD STREAMS block 0"));
        assert!(!blocks("XREADGROUP GROUP block block STREAMS a >"));
        assert!(!blocks("GET k"));
    }

    #[test]
    fn policies() {
        let policies = |command| {
            let info = find(&cmd(command)).unwrap();
            info.request_policy()
        };
        assert_eq!(policies("GET k"), RequestPolicy::Default);
        assert_eq!(policies("DEL a b"), RequestPolicy::MultiShard);
        assert_eq!(policies("MSETNX a 1"), RequestPolicy::Default);
        assert_eq!(policies("DBSIZE"), RequestPolicy::AllShards);
    }
}

//! Commands that the table doesn't have, described by the user: those of modules.

use std::collections::HashMap;

use redis::Cmd;

use super::command::{self, BLOCKING, CommandInfo, READONLY, WRITE, command};
use super::extract::{Begin, KeySpec, keynum, range};
use super::name::{Name, args};
use super::policy::{RequestPolicy, ResponsePolicy};

/// A command of a module, or of a server newer than this crate, described as the server's
/// [`COMMAND`](https://redis.io/docs/latest/commands/command/) would.
///
/// Nothing needs to be said of one that has a single key, as its first argument, and may write: that is
/// what every command is taken for that is not known.
///
/// # Example
///
/// ```
/// use wait_pool_redis::{ModuleCommand, ResponsePolicy};
///
/// // JSON.MGET key [key ...] path
/// let mget = ModuleCommand::new("JSON.MGET").readonly().keys(1, -2, 1).split(ResponsePolicy::Default);
/// // FT.SEARCH index query ...: no keys, any node answers for all
/// let search = ModuleCommand::new("FT.SEARCH").readonly().keyless();
///
/// let pool = wait_pool_redis::cluster::Pool::builder(["redis://10.0.0.1:7000"])
///     .commands([mget, search])
///     .build()?;
/// # Ok::<(), wait_pool_redis::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModuleCommand {
    name: String,
    readonly: bool,
    blocking: bool,
    keys: Vec<KeySpec>,
    request: RequestPolicy,
    response: ResponsePolicy,
}

impl ModuleCommand {
    /// A command by its name, in upper or lower case, that may write and has one key, as its first argument.
    /// A subcommand is named with its container, as `"TDIGEST|INFO"`.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self {
            name: name.as_ref().to_ascii_uppercase(),
            readonly: false,
            blocking: false,
            keys: vec![range(Begin::At(1), 0, 1, 0)],
            request: RequestPolicy::Default,
            response: ResponsePolicy::Default,
        }
    }

    /// It changes nothing: it may be sent again, and to a replica.
    #[must_use]
    pub const fn readonly(mut self) -> Self {
        self.readonly = true;
        self
    }

    /// It may keep its connection waiting.
    #[must_use]
    pub const fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// Its keys stand at the positions `first`, `first + step`, … up to `last`, which counts from the end where it is
    /// negative (-1 is the last argument). The command's name is number 0.
    #[must_use]
    pub fn keys(mut self, first: usize, last: isize, step: usize) -> Self {
        let first = first.max(1);
        // The table's key specifications count the last key from the first.
        let relative = match last {
            0.. => last.saturating_sub_unsigned(first).max(0),
            _ => last,
        };
        self.keys = vec![range(Begin::At(first), relative, step.max(1), 0)];
        self
    }

    /// The argument at the position `count` says how many keys follow it.
    #[must_use]
    pub fn counted_keys(mut self, count: usize) -> Self {
        self.keys = vec![keynum(Begin::At(count.max(1)), 0, 1, 1)];
        self
    }

    /// It has no keys: any node may serve it.
    #[must_use]
    pub fn keyless(mut self) -> Self {
        self.keys = Vec::new();
        self
    }

    /// It may be cut into one command per slot; `response` says how the answers become one.
    #[must_use]
    pub const fn split(mut self, response: ResponsePolicy) -> Self {
        self.request = RequestPolicy::MultiShard;
        self.response = response;
        self
    }

    /// It goes to every primary; `response` says how the answers become one.
    #[must_use]
    pub fn all_shards(self, response: ResponsePolicy) -> Self {
        Self {
            request: RequestPolicy::AllShards,
            response,
            ..self.keyless()
        }
    }

    fn info(&self) -> CommandInfo<'_> {
        let access = if self.readonly { READONLY } else { WRITE };
        let waits = if self.blocking { BLOCKING } else { 0 };
        command(&self.name, access | waits)
            .keys_at(&self.keys)
            .request(self.request)
            .response(self.response)
    }
}

/// All commands that a pool knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    added: HashMap<Box<[u8]>, ModuleCommand>,
}

impl Commands {
    /// Adds a command, which from now on stands for what the table says under its name.
    pub(crate) fn add(&mut self, command: ModuleCommand) {
        let name = command.name.as_bytes().into();
        self.added.insert(name, command);
    }

    /// What is known of a command.
    pub(crate) fn find(&self, cmd: &Cmd) -> Option<CommandInfo<'_>> {
        if !self.added.is_empty()
            && let Some(added) = self.find_added(cmd)
        {
            return Some(added.info());
        }
        command::find(cmd).copied()
    }

    /// The key of a command that has one, as its first argument, of which nothing else is to be thought. `None` does
    /// not mean that it's another.
    pub(crate) fn plain_key<'c>(&self, cmd: &'c Cmd) -> Option<&'c [u8]> {
        if !self.added.is_empty() || !command::find(cmd)?.is_plain() {
            return None;
        }
        args(cmd).nth(1)
    }

    fn find_added(&self, cmd: &Cmd) -> Option<&ModuleCommand> {
        let mut words = args(cmd);
        let name = Name::new(words.next()?)?;
        let subcommand = words.next().and_then(|word| name.then(word));
        let subcommand = subcommand.and_then(|name| self.added.get(name.as_bytes()));
        subcommand.or_else(|| self.added.get(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::table::COMMANDS;
    use crate::keys::touches_session;

    fn cmd(command: &str) -> Cmd {
        Cmd::new()
            .arg(command.split(' ').collect::<Vec<_>>())
            .take()
    }

    fn known() -> Commands {
        let mut commands = Commands::default();
        for command in [
            ModuleCommand::new("json.mget")
                .readonly()
                .keys(1, -2, 1)
                .split(ResponsePolicy::Default),
            ModuleCommand::new("M.TWO").keys(2, 3, 1),
            ModuleCommand::new("M.COUNTED").counted_keys(1).blocking(),
            ModuleCommand::new("M|SUB").keyless(),
            ModuleCommand::new("M.SIZE").all_shards(ResponsePolicy::AggSum),
        ] {
            commands.add(command);
        }
        commands
    }

    #[test]
    fn a_plain_command_has_a_key_and_leaves_nothing_behind() {
        let commands = Commands::default();
        let mut plain = 0;
        for line in COMMANDS {
            let cmd = cmd(&line.name().replace('|', " "));
            let cmd = cmd.clone().arg("k").arg("x").take();
            let Some(key) = commands.plain_key(&cmd) else {
                continue;
            };
            plain += 1;
            assert_eq!(Some(key), line.first_key(&cmd), "{}", line.name());
            assert!(!touches_session(&cmd), "{}", line.name());
            assert!(!line.is_blocking(&cmd), "{}", line.name());
        }
        assert!(plain > 100, "{plain}");
        for words in [
            "GET",
            "WATCH k",
            "XREAD STREAMS k 0",
            "DEL k",
            "BLPOP k 0",
            "NO.SUCH k",
        ] {
            assert_eq!(commands.plain_key(&cmd(words)), None, "{words}");
        }
        assert_eq!(known().plain_key(&cmd("GET k")), None);
    }

    #[track_caller]
    fn keys(command: &str, expected: &[&str]) {
        let (commands, cmd) = (known(), cmd(command));
        let info = commands.find(&cmd).unwrap();
        let keys: Vec<_> = info.keys(&cmd).collect();
        let expected: Vec<_> = expected.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(keys, expected, "{command}");
    }

    #[test]
    fn keys_are_where_the_user_says() {
        keys("JSON.MGET a b $", &["a", "b"]);
        keys("m.two x a b y", &["a", "b"]);
        keys("M.COUNTED 2 a b c", &["a", "b"]);
        keys("M SUB a", &[]);
        keys("M.SIZE a", &[]);
        keys("MGET a b", &["a", "b"]);
    }

    #[test]
    fn flags_and_policies_are_kept() {
        let commands = known();
        let mget = cmd("JSON.MGET a $");
        let info = commands.find(&mget).unwrap();
        assert!(info.is_readonly() && !info.is_blocking(&mget));
        assert_eq!(info.request_policy(), RequestPolicy::MultiShard);
        assert_eq!(info.key_range(), Some((1, -2, 1)));
        let counted = cmd("M.COUNTED 1 a");
        assert!(commands.find(&counted).unwrap().is_blocking(&counted));
        assert!(commands.find(&cmd("M OTHER")).is_none());
        assert!(commands.find(&Cmd::new()).is_none());
    }

    #[test]
    fn nonsense_places_panic_nowhere() {
        let mut from_name = Commands::default();
        from_name.add(ModuleCommand::new("X").keys(0, 2, 1));
        let three = cmd("X a b c");
        let keys: Vec<_> = from_name.find(&three).unwrap().keys(&three).collect();
        assert_eq!(keys, [b"a", b"b"], "the name is no key");

        const FAR: usize = usize::MAX;
        const BACK: isize = isize::MIN;
        for first in [0, 1, 5, FAR] {
            for last in [BACK, -9, -1, 0, 3, isize::MAX] {
                for step in [0, 1, 3, FAR] {
                    let mut commands = Commands::default();
                    let described = ModuleCommand::new("X").keys(first, last, step);
                    commands.add(described.split(ResponsePolicy::Default));
                    commands.add(ModuleCommand::new("Y").counted_keys(first));
                    for words in ["X", "X a", "X a b c d e f g", "Y", "Y 2 a", "Y -1 a b"] {
                        let cmd = cmd(words);
                        let info = commands.find(&cmd).unwrap();
                        let _ = (info.keys(&cmd).count(), info.first_key(&cmd));
                        if let Some(range) = info.key_range() {
                            let _ = crate::plan::cut(&cmd, range);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_description_replaces_the_tables() {
        let mut commands = known();
        commands.add(ModuleCommand::new("GET").keys(2, 2, 1));
        let get = cmd("GET x k");
        assert_eq!(
            commands.find(&get).unwrap().first_key(&get),
            Some(&b"k"[..])
        );
    }
}

//! The command table against a real server: its flags, and the keys of a plausible use of every command,
//! compared with what `COMMAND GETKEYS` says.

use redis::{Cmd, Connection, RedisError, Value, from_redis_value_ref};

use super::{CommandInfo, find};

/// Uses of the commands whose keys are told by other arguments, where filling in any words would not do.
const MOVABLE: &[&str] = &[
    "BLMPOP 1 2 a b LEFT COUNT 3",
    "BZMPOP 0 1 a MIN",
    "EVAL script 0 x y",
    "EVAL script 3 a b c x y",
    "EVALSHA sha 2 a b x",
    "EVALSHA_RO sha 1 a x",
    "EVAL_RO script 2 a b",
    "FCALL function 2 a b x",
    "FCALL_RO function 1 a",
    "GEORADIUS a 1 2 3 m",
    "GEORADIUS a 1 2 3 m COUNT 5 ASC STORE b",
    "GEORADIUS a 1 2 3 m WITHDIST storedist b",
    "GEORADIUSBYMEMBER a member 3 m",
    "GEORADIUSBYMEMBER store member 3 m STORE b",
    "GEORADIUSBYMEMBER a storedist 3 m STOREDIST b",
    "LMPOP 2 a b RIGHT",
    "MIGRATE host 6379 a 0 5000",
    "MIGRATE host 6379 a 0 5000 COPY REPLACE AUTH password",
    "MIGRATE host 6379 '' 0 5000 KEYS a b c",
    "MIGRATE host 6379 '' 0 5000 REPLACE AUTH2 user password KEYS a",
    "MIGRATE host 6379 '' 0 5000 AUTH keys KEYS a keys",
    "SINTERCARD 2 a b LIMIT 3",
    "SORT a",
    "SORT a BY w_* LIMIT 0 10 GET # GET v_* DESC ALPHA STORE b",
    "SORT store STORE limit",
    "SORT a BY store GET store store b",
    "SORT a STORE b STORE c",
    "SORT_RO a BY w_* GET # LIMIT 0 5",
    "XREAD STREAMS a 0",
    "XREAD COUNT 5 BLOCK 10 streams a b c 0 0 0",
    "XREAD STREAMS streams b 0 0",
    "XREADGROUP GROUP g c STREAMS a >",
    "XREADGROUP GROUP streams streams COUNT 5 NOACK STREAMS a b > >",
    "ZDIFF 2 a b WITHSCORES",
    "ZDIFFSTORE a 2 b c",
    "ZINTER 2 a b WEIGHTS 1 2",
    "ZINTERCARD 3 a b c LIMIT 1",
    "ZINTERSTORE a 2 b c AGGREGATE MAX",
    "ZMPOP 2 a b MAX COUNT 2",
    "ZUNION 1 a",
    "ZUNIONSTORE a 2 b a WEIGHTS 1 2",
];

/// Shard channels fall into slots as keys do, and so are keys in the table; to `COMMAND GETKEYS` they are none.
const CHANNELS: &[&str] = &["SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"];

/// What the server says of a command: the name's words, and fields of its description.
struct Described {
    words: Vec<String>,
    arity: i64,
    flags: Vec<String>,
    has_keys: bool,
}

/// How a use of a command compares.
#[derive(PartialEq)]
enum Verdict {
    Same,
    /// The server finds nothing in it: too few arguments, or no keys.
    Refused,
}

#[test]
fn keys_are_where_the_server_says() {
    let server = testbed::Server::start().unwrap();
    let mut connection = server.connection().unwrap();
    let (mut names, mut uses) = (0, 0);
    let mut unlisted = Vec::new();
    for command in described(&mut connection) {
        let name = command.words.join("|");
        if !command.has_keys {
            continue;
        }
        let is_movable = command.flags.iter().any(|flag| flag == "movablekeys");
        let examples = if is_movable {
            by_hand(&name)
        } else {
            filled(&command)
        };
        let mut same = 0;
        for example in &examples {
            let Some(info) = find(example) else {
                unlisted.push(name.clone());
                break;
            };
            assert_eq!(info.first_key(example), info.keys(example).next(), "{name}");
            let verdict = if CHANNELS.contains(&&*name) {
                compare_channel(info, example, &mut connection)
            } else {
                compare(info, example, &mut connection)
            };
            same += usize::from(verdict == Verdict::Same);
        }
        let is_listed = !unlisted.contains(&name);
        let enough = if is_movable { examples.len() } else { 1 };
        assert!(
            !is_listed || same >= enough,
            "{name}: only {same} uses compared"
        );
        names += usize::from(is_listed);
        uses += same;
    }
    println!("{uses} uses of {names} commands compared; not in the table: {unlisted:?}");
    assert!(names >= 190, "only {names} commands compared");
    assert!(uses >= 550, "only {uses} uses compared");
    assert!(
        unlisted.len() < names / 5,
        "the table is old: run `cargo xtask gen-commands`"
    );
}

#[test]
fn flags_are_what_the_server_says() {
    let server = testbed::Server::start().unwrap();
    let mut connection = server.connection().unwrap();
    let mut compared = 0;
    for command in described(&mut connection) {
        let name = command.words.join("|");
        let cmd = with_words(command.words.iter().map(String::as_str));
        let Some(info) = find(&cmd).filter(|info| info.name() == name) else {
            continue;
        };
        let says = |flag: &str| command.flags.iter().any(|said| said == flag);
        assert_eq!(info.is_readonly(), says("readonly"), "{name}");
        assert_eq!(info.is_write(), says("write"), "{name}");
        assert_eq!(info.has_keys(), command.has_keys, "{name}");
        compared += 1;
    }
    assert!(compared >= 350, "only {compared} commands compared");
}

/// Compares our keys in `cmd` with the server's, without regard to their order.
#[track_caller]
fn compare(info: &CommandInfo<'_>, cmd: &Cmd, connection: &mut Connection) -> Verdict {
    let Ok(mut theirs) = server_keys(cmd, connection) else {
        return Verdict::Refused;
    };
    let mut ours: Vec<_> = info.keys(cmd).map(<[u8]>::to_vec).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(
        ours,
        theirs,
        "{:?}",
        String::from_utf8_lossy(&cmd.get_packed_command())
    );
    Verdict::Same
}

/// The server's specifications say where the channels are; its `COMMAND GETKEYS` leaves them out.
fn compare_channel(info: &CommandInfo<'_>, cmd: &Cmd, connection: &mut Connection) -> Verdict {
    let refusal = server_keys(cmd, connection).unwrap_err().to_string();
    let first = super::name::args(cmd).nth(1);
    if first.is_none() || !refusal.to_lowercase().contains("no key arguments") {
        return Verdict::Refused;
    }
    assert_eq!(info.first_key(cmd), first, "{}", info.name());
    Verdict::Same
}

fn server_keys(cmd: &Cmd, connection: &mut Connection) -> Result<Vec<Vec<u8>>, RedisError> {
    let mut question = redis::cmd("COMMAND");
    question.arg("GETKEYS");
    for word in super::name::args(cmd) {
        question.arg(word);
    }
    question.query(connection)
}

/// Uses of a command that has its keys in fixed places: as many arguments as it needs, and up to four more
/// where it takes more, each of them its own position.
fn filled(command: &Described) -> Vec<Cmd> {
    let least = command.arity.unsigned_abs().try_into().unwrap();
    let most = if command.arity < 0 { least + 4 } else { least };
    let words = &command.words;
    let filled = |len| {
        let positions: Vec<String> = (words.len()..len).map(|at| at.to_string()).collect();
        with_words(words.iter().chain(&positions).map(String::as_str))
    };
    (least..=most).map(filled).collect()
}

fn by_hand(name: &str) -> Vec<Cmd> {
    let uses = MOVABLE.iter().map(|example| example.split(' '));
    let own = uses.filter(|words| words.clone().next() == Some(name));
    let cmds: Vec<_> = own.map(with_words).collect();
    assert!(!cmds.is_empty(), "{name} has movable keys: add a use of it");
    cmds
}

fn with_words<'a>(words: impl Iterator<Item = &'a str>) -> Cmd {
    let mut cmd = Cmd::new();
    for word in words {
        cmd.arg(if word == "''" { "" } else { word });
    }
    cmd
}

/// Every command and subcommand of the server.
fn described(connection: &mut Connection) -> Vec<Described> {
    let mut left: Vec<Value> = redis::cmd("COMMAND").query(connection).unwrap();
    let mut all = Vec::new();
    while let Some(command) = left.pop() {
        let fields = command.into_sequence().unwrap();
        let name: String = from_redis_value_ref(&fields[0]).unwrap();
        all.push(Described {
            words: name.to_uppercase().split('|').map(str::to_owned).collect(),
            arity: from_redis_value_ref(&fields[1]).unwrap(),
            flags: from_redis_value_ref(&fields[2]).unwrap(),
            has_keys: !fields[8].as_sequence().unwrap().is_empty(),
        });
        left.extend_from_slice(fields[9].as_sequence().unwrap());
    }
    all
}

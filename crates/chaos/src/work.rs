//! The tasks that use the cluster: what they ask for, and how they look at the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use fastrand::Rng;
use parking_lot::Mutex;
use redis::{Cmd, RedisError, RedisResult, Value, cmd};

use crate::client::Client;
use crate::ledger::Ledger;
use crate::trouble;

/// How many keys have values, how many are counters of each kind, and how many are lists.
const VALUES: u32 = 2_000;
const COUNTERS: u32 = 200;
const LISTS: u32 = 20;

/// After so long nothing will come.
const HANG: Duration = Duration::from_secs(20);

/// What all tasks see.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) is_over: AtomicBool,
    pub(crate) ledger: Ledger,
    pub(crate) answered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) undocumented: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) hangs: AtomicU64,
    /// What went wrong, and how often.
    remarks: Mutex<BTreeMap<String, u64>>,
}

impl Seen {
    pub(crate) fn remark(&self, what: String) {
        let mut remarks = self.remarks.lock();
        // The same with other numbers is the same.
        let what = what.replace(|sign: char| sign.is_ascii_digit(), "#");
        if remarks.len() < 50 || remarks.contains_key(&what) {
            *remarks.entry(what).or_default() += 1;
        }
    }

    pub(crate) fn remarks(&self) -> Vec<String> {
        let remarks = self.remarks.lock();
        let remarks = remarks.iter();
        remarks
            .map(|(what, count)| format!("{count} × {what}"))
            .collect()
    }

    fn expect(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.foreign.fetch_add(1, Relaxed);
            self.remark(what());
        }
    }
}

/// Writes what is read.
pub(crate) async fn prepare(client: &impl Client) -> anyhow::Result<()> {
    for number in 0..VALUES {
        let key = format!("value:{number}");
        client.command(&set(&key)).await?;
    }
    Ok(())
}

fn set(key: &str) -> Cmd {
    cmd("SET").arg(key).arg(format!("{key}=it")).take()
}

/// One task: asks until it is over.
pub(crate) async fn work<C: Client>(client: C, seen: Arc<Seen>, seed: u64) {
    let mut random = Rng::with_seed(seed);
    while !seen.is_over.load(Relaxed) {
        // A tenth of all is given up, at any time of its life. It counts what nobody else does: what it has
        // left in doubt would hide what ran twice.
        let given_up = random.u32(..10) == 0;
        let request = Request::draw(&mut random, if given_up { "doubtful:" } else { "" });
        let run = request.run(&client, &seen);
        let patience = match given_up {
            true => Duration::from_micros(random.u64(..2_000)),
            false => HANG,
        };
        let begun = Instant::now();
        match tokio::time::timeout(patience, run).await {
            Ok(Ok(())) => {
                seen.answered.fetch_add(1, Relaxed);
            }
            Ok(Err(error)) => {
                request.doubt(&seen);
                tell(&seen, &request, &error);
                // Whoever fails at once must not keep the processor from the others.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(_) => {
                request.doubt(&seen);
                if begun.elapsed() >= HANG {
                    seen.hangs.fetch_add(1, Relaxed);
                    seen.remark(format!("no answer in {HANG:?}: {request:?}"));
                } else {
                    seen.dropped.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

fn tell(seen: &Seen, request: &Request, error: &RedisError) {
    seen.errors.fetch_add(1, Relaxed);
    if !trouble::is_documented(error) {
        seen.undocumented.fetch_add(1, Relaxed);
        seen.remark(format!("{}: {error} ({:?})", request.name(), error.kind()));
    }
}

/// Something to ask for.
#[derive(Debug)]
enum Request {
    Get(String),
    Set(String),
    Mget(Vec<String>),
    /// Ten `GET`s over all nodes.
    Pipe(Vec<String>),
    Incr(String),
    /// Some `INCR`s over all nodes.
    IncrPipe(Vec<String>),
    /// A script that says its key and a word.
    Eval(String, u64),
    Pop(String),
    Push(String),
    /// Two `INCR`s in a transaction, on a connection of its own.
    AddTwice(String),
}

impl Request {
    /// Something by chance; counters have names of their own, by their users.
    fn draw(random: &mut Rng, whose: &str) -> Self {
        let value = |random: &mut Rng| format!("value:{}", random.u32(..VALUES));
        let counter = |random: &mut Rng| format!("{whose}counter:{}", random.u32(..COUNTERS));
        let list = |random: &mut Rng| format!("list:{}", random.u32(..LISTS));
        match random.u32(..20) {
            0..5 => Self::Get(value(random)),
            5 => Self::Set(value(random)),
            6..9 => Self::Mget((0..10).map(|_| value(random)).collect()),
            9..13 => Self::Pipe((0..10).map(|_| value(random)).collect()),
            13 | 14 => Self::Incr(counter(random)),
            15 => {
                // Each once, so that what each answer belongs to is known.
                let first = random.u32(..COUNTERS);
                let all =
                    (0..5).map(|step| format!("{whose}counter:{}", (first + step) % COUNTERS));
                Self::IncrPipe(all.collect())
            }
            16 => Self::Eval(value(random), random.u64(..)),
            17 => Self::Pop(list(random)),
            18 => Self::Push(list(random)),
            _ => Self::AddTwice(format!("{whose}twice:{}", random.u32(..COUNTERS))),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Get(_) => "GET",
            Self::Set(_) => "SET",
            Self::Mget(_) => "MGET",
            Self::Pipe(_) => "pipeline of GET",
            Self::Incr(_) => "INCR",
            Self::IncrPipe(_) => "pipeline of INCR",
            Self::Eval(..) => "EVAL",
            Self::Pop(_) => "BLPOP",
            Self::Push(_) => "RPUSH",
            Self::AddTwice(_) => "transaction",
        }
    }

    /// It may have run, or not. What a pipeline answered in part is looked at where it is answered.
    fn doubt(&self, seen: &Seen) {
        match self {
            Self::Incr(key) => seen.ledger.doubt(key, 1),
            Self::IncrPipe(keys) => keys.iter().for_each(|key| seen.ledger.doubt(key, 1)),
            Self::AddTwice(key) => seen.ledger.doubt(key, 2),
            _ => {}
        }
    }

    async fn run(&self, client: &impl Client, seen: &Seen) -> RedisResult<()> {
        match self {
            Self::Get(key) => {
                let value = client.command(cmd("GET").arg(key)).await?;
                is_of(seen, key, &value);
            }
            Self::Set(key) => {
                client.command(&set(key)).await?;
            }
            Self::Mget(keys) => match client.command(cmd("MGET").arg(keys)).await? {
                Value::Array(values) => are_of(seen, keys, &values)?,
                other => seen.expect(false, || format!("MGET: {other:?}")),
            },
            Self::Pipe(keys) => {
                let mut pipe = redis::pipe();
                for key in keys {
                    pipe.get(key);
                }
                are_of(seen, keys, &client.pipeline(&pipe).await?)?;
            }
            Self::Incr(key) => {
                let value = client.command(cmd("INCR").arg(key)).await?;
                seen.ledger.acknowledge(key, 1);
                seen.expect(matches!(value, Value::Int(1..)), || {
                    format!("INCR: {value:?}")
                });
            }
            Self::IncrPipe(keys) => {
                let mut pipe = redis::pipe();
                for key in keys {
                    pipe.incr(key, 1);
                }
                let values = client.pipeline(&pipe).await?;
                seen.expect(values.len() == keys.len(), || "answers are missing".into());
                for (key, value) in keys.iter().zip(values) {
                    match value {
                        Value::Int(1..) => seen.ledger.acknowledge(key, 1),
                        Value::ServerError(_) => seen.ledger.doubt(key, 1),
                        value => seen.expect(false, || format!("INCR: {value:?}")),
                    }
                }
            }
            Self::Eval(key, word) => {
                let script = "return {KEYS[1], ARGV[1]}";
                let mut eval = cmd("EVAL");
                eval.arg(script).arg(1).arg(key).arg(word);
                let value = client.command(&eval).await?;
                let told = [key.clone(), word.to_string()];
                let told = told.map(|word| Value::BulkString(word.into()));
                seen.expect(value == Value::Array(told.into()), || {
                    format!("EVAL: {value:?}")
                });
            }
            Self::Pop(key) => {
                let value = client.command(cmd("BLPOP").arg(key).arg(0.05)).await?;
                let told = [key.clone(), format!("{key}=it")];
                let told = told.map(|word| Value::BulkString(word.into()));
                let is_right = value == Value::Nil || value == Value::Array(told.into());
                seen.expect(is_right, || format!("BLPOP: {value:?}"));
            }
            Self::Push(key) => {
                let mut push = cmd("RPUSH");
                push.arg(key).arg(format!("{key}=it"));
                client.command(&push).await?;
            }
            Self::AddTwice(key) => {
                let Some([first, second]) = client.add_twice(key).await? else {
                    return Ok(());
                };
                seen.ledger.acknowledge(key, 2);
                seen.expect(second == first + 1, || format!("EXEC: {first}, {second}"));
            }
        }
        Ok(())
    }
}

fn are_of(seen: &Seen, keys: &[String], values: &[Value]) -> RedisResult<()> {
    seen.expect(values.len() == keys.len(), || "answers are missing".into());
    for (key, value) in keys.iter().zip(values) {
        if let Value::ServerError(error) = value {
            return Err(error.clone().into());
        }
        is_of(seen, key, value);
    }
    Ok(())
}

/// A value names its key. It may be lost with a server that was killed.
fn is_of(seen: &Seen, key: &str, value: &Value) {
    let is_right = match value {
        Value::Nil => true,
        Value::BulkString(value) => *value == format!("{key}=it").as_bytes(),
        _ => false,
    };
    seen.expect(is_right, || format!("{key}: {value:?}"));
}

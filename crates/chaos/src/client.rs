//! What a client has to be able to do.

use redis::{Cmd, Pipeline, RedisResult, Value};

/// A client of the cluster. Clones are the same one.
pub trait Client: Clone + Send + Sync + 'static {
    /// How it is called.
    const NAME: &'static str;

    /// Makes one that knows these servers.
    fn open(urls: Vec<String>) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Runs a command.
    fn command(&self, cmd: &Cmd) -> impl Future<Output = RedisResult<Value>> + Send;

    /// Runs commands that go to several nodes, and gives an answer for each.
    fn pipeline(&self, pipeline: &Pipeline)
    -> impl Future<Output = RedisResult<Vec<Value>>> + Send;

    /// Adds one to a key twice in a transaction, on a connection of its own where it has such, after `WATCH`. Gives both
    /// numbers, or nothing if the key was changed meanwhile.
    fn add_twice(&self, key: &str) -> impl Future<Output = RedisResult<Option<[i64; 2]>>> + Send;

    /// Makes it larger or smaller, if it can be.
    fn resize(&self, _: usize) {}

    /// How many connections it may have to one node, if it says.
    fn cap_per_node(&self) -> Option<usize> {
        None
    }

    /// What is in its hands, if it says.
    fn held(&self) -> Option<Held> {
        None
    }
}

/// What a client says it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Connections that somebody uses.
    pub in_use: usize,
    /// Callers in line.
    pub waiting: usize,
}

//! The tips that servers give to clients of a cluster: whom to send a command to, and what to make of several answers.
//!
//! <https://redis.io/docs/latest/develop/reference/command-tips/>

/// Whom a cluster client should send a command to, by the server's tips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestPolicy {
    /// The owner of its keys; without keys, any node.
    Default,
    /// Every node, replicas too.
    AllNodes,
    /// Every primary.
    AllShards,
    /// The owners of its keys, each with its own part.
    MultiShard,
    /// A way of its own, as a cursor that goes from node to node.
    Special,
}

/// What becomes of the answers of several nodes to one command, as servers advise in the
/// [tips](https://redis.io/docs/latest/develop/reference/command-tips/) of their commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponsePolicy {
    /// Of a command with keys, one answer per key in the order of the keys; of one without, one list
    /// with what all nodes listed.
    Default,
    /// The first answer that is no error.
    OneSucceeded,
    /// An answer if all succeeded, else the first error.
    AllSucceeded,
    /// The sum of the numbers.
    AggSum,
    /// The smallest number.
    AggMin,
    /// The largest number.
    AggMax,
    /// 1 where all nodes say 1, else 0; of lists, item by item.
    AggLogicalAnd,
    /// 1 where any node says 1, else 0; of lists, item by item.
    AggLogicalOr,
    /// All answers: a map from the node's address to what it answered.
    Special,
}

//! Why the topology is not known.

use std::io;

use redis::{ErrorKind, RedisError};

use super::of_the_kind;
use crate::event::Doubt;
use crate::node::NodeAddr;

/// A node did not tell the topology.
pub(crate) fn no_topology(node: &NodeAddr, error: RedisError) -> RedisError {
    let hint = match error.detail() {
        Some(detail) if detail.contains("cluster support disabled") => {
            " (it is no cluster: use wait_pool_redis::Pool)"
        }
        _ => "",
    };
    let told = format!("node {node} does not tell the topology: {error}{hint}");
    of_the_kind(&error, "the cluster is not known", told)
}

/// No node of the cluster serves any slot.
pub(crate) fn no_slots() -> RedisError {
    let detail = "no node that was asked knows of a slot that is served".to_owned();
    redis::make_extension_error("CLUSTERDOWN".to_owned(), Some(detail))
}

/// What nodes tell of the cluster is not believed, and nobody confirms it.
pub(crate) fn doubtful(node: &NodeAddr, doubt: Doubt) -> RedisError {
    let detail = format!("node {node} is not believed: {doubt}; and nobody else says the same");
    (ErrorKind::Client, "the topology is in doubt", detail).into()
}

/// The task that looks up the topology ended, with its runtime most likely.
pub(crate) fn cut_short() -> RedisError {
    let detail = "the look-up of the topology was cut short (a runtime that ended, or none)";
    io::Error::new(io::ErrorKind::Interrupted, detail).into()
}

//! What can go wrong between a pool, the sentinels and the master that they name.

use std::io;

use redis::{ErrorKind, RedisError};

use super::of_the_kind;
use crate::node::NodeAddr;

/// A sentinel does not answer, or nothing that makes sense.
pub(crate) fn no_sentinel(sentinel: &NodeAddr, error: RedisError) -> RedisError {
    let told = format!("sentinel {sentinel}: {error}");
    of_the_kind(&error, "the master is not known", told)
}

/// The sentinels do not watch such a master.
pub(crate) fn no_such_master(master: &str) -> RedisError {
    (
        ErrorKind::MasterNameNotFoundBySentinel,
        "no sentinel knows a master of this name",
        master.to_owned(),
    )
        .into()
}

/// The master that the sentinels name does not answer.
pub(crate) fn no_master(master: &str, addr: &NodeAddr, error: RedisError) -> RedisError {
    let told = format!("{addr}, the master {master:?} of the sentinels: {error}");
    of_the_kind(&error, "the master does not answer", told)
}

/// The master that the sentinels name says that it is none. They will learn of it.
pub(crate) fn demoted(master: &str, addr: &NodeAddr) -> RedisError {
    let detail = format!("{addr}, the master {master:?} of the sentinels, says it is a replica");
    io::Error::new(io::ErrorKind::NotConnected, detail).into()
}

/// The sentinels that answer know less than others did before.
pub(crate) fn outdated(master: &str, addr: &NodeAddr) -> RedisError {
    let detail = format!("the sentinels that answer still take {addr} for the master {master:?}");
    io::Error::new(io::ErrorKind::NotConnected, detail).into()
}

/// An answer without sense.
pub(crate) fn garbled(what: &'static str) -> RedisError {
    (
        ErrorKind::Client,
        "the answer is not understood",
        what.to_owned(),
    )
        .into()
}

/// The master that a connection was taken to is no longer that.
pub(crate) fn replaced(addr: &NodeAddr) -> RedisError {
    let detail = format!("{addr} is no longer the master: take another connection");
    io::Error::new(io::ErrorKind::ConnectionReset, detail).into()
}

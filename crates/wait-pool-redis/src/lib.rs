//! Redis and Valkey on [`wait_pool`]: bounded pools whose callers wait, for one server or for each
//! node of a cluster, with pipelines over all nodes.
//!
//! A pool is a redis-rs connection: where a `MultiplexedConnection` or a `ClusterConnection`
//! stands today, a pool's handle can stand instead.
//!
//! - [`Pool`]: one server. [`Pool::get`] gives a [`Connection`] of one's own.
//! - [`cluster::Pool`]: a cluster, with a pool per node.
//! - [`sentinel::Pool`]: the master that sentinels watch, and its replicas.
//! - [`Builder`]: the settings of all.
//!
//! # Errors
//!
//! Commands return redis-rs's own errors:
//!
//! | what happened | how it shows |
//! |---|---|
//! | no answer, or no connection, within `request_timeout` | `is_timeout()` |
//! | as many wait for a connection to a node as `max_waiters` allows | `is_io_error()`, and none of the others |
//! | nobody listens at a node | `is_connection_refusal()` |
//! | the connection was lost; a write may have run | `is_connection_dropped()` |
//! | the sentinels know no master of this name | `kind()` is `MasterNameNotFoundBySentinel` |
//! | a wrong password or user | `kind()` is `AuthenticationFailed` |
//! | a command that needs a connection of its own, or a closed pool | `kind()` is `Client` |
//! | some positions of a pipeline have no answer | per position, `code()` is `TIMEOUT`, `QUEUEFULL`, `NOCONNECTION`, `CONNECTIONLOST` or `CLUSTERDOWN` |
//!
//! In a pipeline that was answered in part, `ignore_errors()` shows the values and, in their places,
//! the errors. Without it redis-rs makes one error of them all, whose
//! `into_server_errors()` lists positions and codes. Where no position has an answer, the request
//! fails as a single command would.
//!
//! What a caller that waited in vain was up against is the source's source:
//!
//! ```
//! use std::error::Error;
//! use wait_pool_redis::redis::RedisError;
//! use wait_pool_redis::wait_pool::AcquireError;
//!
//! fn who_holds_what(error: &RedisError) -> Option<String> {
//!     let source = error.source()?.source()?;
//!     match source.downcast_ref::<AcquireError<RedisError>>()? {
//!         AcquireError::Timeout(timeout) => Some(format!("{:?}", timeout.status)),
//!         _ => None,
//!     }
//! }
//! ```
//!
//! # redis-rs
//!
//! It is re-exported as [`redis`], version 1, without its default features: what an application needs
//! of them (`script`, `streams`, …) it turns on in its own dependency on `redis`.
//!
//! This crate's features concern what its builders offer, and have redis-rs's names: `tokio-rustls-comp` for
//! `rediss://` and certificates of one's own, `tls-rustls-webpki-roots`, `tls-rustls-insecure`, `token-based-authentication`.
//! The others (`serde`, `cluster`, `script`, `streams`, …) are those of deadpool-redis, for applications that come from
//! it; clusters and sentinels need none of them.

pub use redis;
pub use wait_pool;

pub mod cluster;
mod config;
mod connection;
mod connector;
#[cfg(feature = "token-based-authentication")]
mod credentials;
mod dispatch;
mod error;
mod event;
mod handle;
mod hook;
mod keys;
mod lookup;
mod manager;
mod node;
mod nodes;
mod pinned;
mod plan;
mod pool;
mod pool_error;
mod pushes;
mod readers;
mod redirect;
mod refresh;
mod route;
pub mod sentinel;
mod session;
mod settings;
mod setup;
mod slot;
mod status;
#[cfg(feature = "tls-rustls")]
mod tls;
mod topology;
mod turns;
#[cfg(test)]
mod wire;

pub use config::Builder;
pub use connection::{Connection, PushMessages};
pub use deadpool::Runtime;
pub use deadpool::managed::{Metrics, PoolConfig, QueueMode, TimeoutType, Timeouts};
pub use error::BuildError;
pub use handle::{Handle, ObjectId};
pub use hook::{Hook, HookError, HookFuture, HookResult};
pub use keys::{ModuleCommand, ResponsePolicy};
pub use lookup::{Fields, Keys, Lookup, LookupError, LookupResult, RowRead, Rows};
pub use manager::{IntoManager, Manager};
pub use node::NodeAddr;
pub use pool::{Object, Pool, PoolBuilder, RetainResult, WeakPool};
pub use pool_error::PoolError;
pub use readers::ReadFrom;
pub use setup::{
    Config, ConfigError, ConnectionAddr, ConnectionInfo, CreatePoolError, ProtocolVersion,
    RedisConnectionInfo,
};
pub use slot::Slot;
pub use status::Status;

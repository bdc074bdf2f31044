//! Redis and Valkey on [`wait_pool`]: bounded pools whose callers wait, for one server or for each
//! node of a cluster, with pipelines over all nodes.
//!
//! A pool is a redis-rs connection: where a `MultiplexedConnection` or a `ClusterConnection`
//! stands today, a pool's handle can stand instead.
//!
//! - [`Pool`]: one server. [`Pool::get`] gives a [`Connection`] of one's own.
//! - [`cluster::Pool`]: a cluster, with a pool per node.
//! - [`Builder`]: the settings of both.
//!
//! redis-rs is re-exported as [`redis`].

pub use redis;

pub mod cluster;
mod config;
mod connection;
mod connector;
mod dispatch;
mod error;
mod keys;
mod node;
mod nodes;
mod plan;
mod pool;
mod redirect;
mod refresh;
mod route;
mod settings;
mod slot;
mod topology;

pub use config::Builder;
pub use connection::Connection;
pub use error::BuildError;
pub use node::NodeAddr;
pub use pool::Pool;
pub use slot::Slot;

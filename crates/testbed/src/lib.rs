//! Real Redis, Valkey and PostgreSQL servers on loopback, for tests, the demo and benchmarks.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let cluster = testbed::Cluster::start(3, 1)?;
//! let mut connection = cluster.masters()[0].connection()?;
//! redis::cmd("PING").query::<String>(&mut connection)?;
//! cluster.masters()[1].stop(); // hangs, as a node behind a dead network does
//! # Ok(())
//! # }
//! ```
//!
//! Everything here is synchronous. A [`Server`] or [`Cluster`] finds its own free ports, so any
//! number of them run side by side, also from several processes.
//!
//! **Nothing is left behind.** Each [`Server`] or [`Cluster`] has one small shell process, its
//! reaper, that knows the process ids of the servers and owns their directory. It waits for the
//! end of a pipe whose other end is held here. That end comes when the value is dropped, and just
//! as surely when this process panics, is interrupted or is killed; then the reaper kills the
//! servers and removes the directory. There is no other cleaning path.

mod binary;
mod cluster;
mod detached;
mod fleet;
mod formation;
mod gate;
mod install;
mod migration;
mod node;
mod ports;
mod postgres;
mod program;
mod proxy;
mod reaper;
mod sentinel;
mod server;
mod tls;
mod view;
mod witness;

pub use binary::{Binary, server_binary};
pub use cluster::{Cluster, ClusterOptions};
pub use detached::{Detached, DetachedNode, Stopped, is_detached_running, stop_detached};
pub use migration::Migration;
pub use node::Node;
pub use postgres::Postgres;
pub use program::Program;
pub use proxy::{Direction, Proxy};
pub use reaper::stop_all;
pub use sentinel::{SentinelOptions, Sentinels};
pub use server::Server;
pub use tls::{Authority, Identity, Tls};

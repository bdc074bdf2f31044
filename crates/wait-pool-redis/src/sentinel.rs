//! Servers that sentinels watch: how a pool for them is configured.

mod config;
mod node;

pub use config::{Config, SentinelServerType};
pub use node::{SentinelNodeConnectionInfo, TlsMode};

pub use crate::error::BuildError;
pub use crate::handle::ObjectId;
pub use crate::hook::{Hook, HookError};
pub use crate::pool_error::PoolError;
pub use crate::setup::{ConfigError, CreatePoolError};
pub use crate::status::Status;
pub use deadpool::Runtime;
pub use deadpool::managed::{Metrics, PoolConfig, QueueMode, TimeoutType, Timeouts};

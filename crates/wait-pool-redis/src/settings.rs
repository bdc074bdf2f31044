//! The settings that every pool of this crate has, as plain data.

use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    /// Of one server, or of each node.
    pub(crate) max_connections: usize,
    pub(crate) max_leases: usize,
    pub(crate) max_connecting: usize,
    pub(crate) wait_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) check_idle_after: Duration,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            name: Arc::from("redis"),
            max_connections: 16,
            max_leases: 64,
            max_connecting: 2,
            wait_timeout: Some(Duration::from_secs(5)),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Some(Duration::from_secs(5)),
            check_idle_after: Duration::from_secs(30),
        }
    }
}

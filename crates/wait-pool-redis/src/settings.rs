//! The settings that every pool of this crate has, as plain data.

use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    /// What connections are called at the server; the pool's name unless set.
    pub(crate) client_name: Option<Arc<str>>,
    /// Of one server, or of each node.
    pub(crate) max_connections: usize,
    pub(crate) max_leases: usize,
    pub(crate) max_connecting: usize,
    pub(crate) wait_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) check_idle_after: Duration,
    pub(crate) connect_backoff: (Duration, Duration),
    /// What the builder calls `max_connections`.
    pub(crate) bound: &'static str,
}

impl Settings {
    pub(crate) fn new(bound: &'static str) -> Self {
        Self {
            name: Arc::from("redis"),
            client_name: None,
            max_connections: 16,
            max_leases: 64,
            max_connecting: 2,
            // The request timeout covers the wait, too.
            wait_timeout: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Some(Duration::from_secs(5)),
            check_idle_after: Duration::from_secs(30),
            connect_backoff: (Duration::from_millis(100), Duration::from_secs(2)),
            bound,
        }
    }

    /// What connections are called at the server, which takes no spaces and nothing outside of ASCII.
    pub(crate) fn client_name(&self) -> String {
        let name = self.client_name.as_ref().unwrap_or(&self.name);
        let fit = |c: char| if c.is_ascii_graphic() { c } else { '_' };
        name.chars().map(fit).collect()
    }

    /// The name that the builder here has for a setting of the pool below.
    pub(crate) fn own_name(&self, setting: &'static str) -> &'static str {
        match setting {
            "max_size" => self.bound,
            other => other,
        }
    }
}

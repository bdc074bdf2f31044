//! The settings of a pool, and the builder that refuses those that make no sense.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::BuildError;
use crate::manager::Manager;
use crate::pool::Pool;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Arc<str>,
    pub(crate) max_size: usize,
    pub(crate) max_leases: usize,
    pub(crate) max_waiters: usize,
    pub(crate) wait_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_connecting: usize,
    pub(crate) connect_backoff: (Duration, Duration),
    pub(crate) check_idle_after: Duration,
    pub(crate) check_timeout: Duration,
    pub(crate) min_idle: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
}

/// How long connections live.
#[derive(Debug)]
pub(crate) struct Lifetimes {
    pub(crate) check_idle_after: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    /// As many idle ones stay, however long they are idle.
    pub(crate) min_idle: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: Arc::from("default"),
            max_size: 16,
            max_leases: 64,
            max_waiters: usize::MAX,
            wait_timeout: Some(Duration::from_secs(5)),
            connect_timeout: Duration::from_secs(5),
            max_connecting: 2,
            connect_backoff: (Duration::from_millis(100), Duration::from_secs(2)),
            check_idle_after: Duration::from_secs(30),
            check_timeout: Duration::from_secs(1),
            min_idle: 0,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
        }
    }
}

impl Config {
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            check_idle_after: self.check_idle_after,
            idle_timeout: self.idle_timeout,
            max_lifetime: self.max_lifetime,
            min_idle: self.min_idle,
        }
    }

    fn check(&self) -> Result<(), BuildError> {
        let refuse = |setting, reason| Err(BuildError { setting, reason });
        if self.max_size == 0 {
            return refuse(
                "max_size",
                "a pool of no connections serves nobody; at least 1",
            );
        }
        if self.max_leases == 0 {
            return refuse("max_leases", "a connection has at least 1 holder");
        }
        if self.max_connecting == 0 {
            return refuse("max_connecting", "nothing would ever be opened; at least 1");
        }
        if self.max_waiters == 0 {
            return refuse(
                "max_waiters",
                "nobody could wait for a connection to be opened",
            );
        }
        if self.wait_timeout == Some(Duration::ZERO) {
            return refuse("wait_timeout", "no caller could wait; use try_get for that");
        }
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "no attempt could succeed");
        }
        if self.min_idle > self.max_size {
            return refuse(
                "min_idle",
                "no more connections can be idle than there may be",
            );
        }
        if self.idle_timeout == Some(Duration::ZERO) {
            return refuse("idle_timeout", "no connection would ever be used again");
        }
        if self.max_lifetime == Some(Duration::ZERO) {
            return refuse("max_lifetime", "no connection could ever be used");
        }
        if self.check_timeout.is_zero() {
            return refuse("check_timeout", "no check could succeed");
        }
        let (first, longest) = self.connect_backoff;
        if first.is_zero() {
            return refuse(
                "connect_backoff",
                "without a pause a dead server is hammered",
            );
        }
        if longest > Duration::from_secs(24 * 60 * 60) {
            return refuse("connect_backoff", "a pause of more than a day is none");
        }
        if first > longest {
            return refuse("connect_backoff", "the first pause is above the longest");
        }
        Ok(())
    }
}

/// Settings for a [`Pool`]. Made by [`Pool::builder`].
///
/// # Example
///
/// ```
/// # struct Nothing;
/// # impl wait_pool::Manager for Nothing {
/// #     type Connection = ();
/// #     type Error = std::io::Error;
/// #     async fn connect(&self) -> std::io::Result<()> { Ok(()) }
/// #     async fn check(&self, _: &mut ()) -> std::io::Result<()> { Ok(()) }
/// # }
/// use std::time::Duration;
/// use wait_pool::Pool;
///
/// let pool = Pool::builder(Nothing)
///     .name("features")
///     .max_size(16)
///     .wait_timeout(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(pool.status().max_size, 16);
///
/// let refused = Pool::builder(Nothing).max_size(0).build().unwrap_err();
/// assert_eq!(refused.setting(), "max_size");
/// # Ok::<(), wait_pool::BuildError>(())
/// ```
#[must_use = "settings do nothing until `build` is called"]
pub struct Builder<M: Manager> {
    manager: M,
    config: Config,
}

impl<M: Manager> Builder<M> {
    pub(crate) fn new(manager: M) -> Self {
        Self {
            manager,
            config: Config::default(),
        }
    }

    /// What the pool is called in errors. Default `default`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// The bound on connections, those being opened included. Default 16.
    pub fn max_size(mut self, connections: usize) -> Self {
        self.config.max_size = connections;
        self
    }

    /// How many [leases](Pool::lease) may share a connection. Default 64.
    pub fn max_leases(mut self, per_connection: usize) -> Self {
        self.config.max_leases = per_connection;
        self
    }

    /// How many callers may wait. One more gets [`AcquireError::QueueFull`](crate::AcquireError) at
    /// once. Those wait, too, for whom a connection is being opened. Default: no bound but the
    /// wait timeout.
    pub fn max_waiters(mut self, callers: usize) -> Self {
        self.config.max_waiters = callers;
        self
    }

    /// How long a caller waits for a connection at most, opening or checking one included.
    /// Default 5 s. `None` waits for ever.
    pub fn wait_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.wait_timeout = timeout.into();
        self
    }

    /// How long an attempt to connect may take. It goes on when the caller that caused it gives
    /// up. Default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// How many attempts to connect may run at once. Default 2; after a failure it is 1 until one
    /// succeeds.
    pub fn max_connecting(mut self, attempts: usize) -> Self {
        self.config.max_connecting = attempts;
        self
    }

    /// The pause after a failed attempt to connect, shared by all callers: it doubles from `first`
    /// to `longest` with every failure in a row, less up to a quarter of it by chance. Default
    /// 100 ms to 2 s.
    pub fn connect_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.config.connect_backoff = (first, longest);
        self
    }

    /// How long a connection may be idle and still be given out without a
    /// [check](Manager::check). Default 30 s.
    pub fn check_idle_after(mut self, idle: Duration) -> Self {
        self.config.check_idle_after = idle;
        self
    }

    /// How many connections are kept idle, ready for a crowd. They are opened with the first caller or
    /// by [`warm_up`](Pool::warm_up), and replaced when they end. Default 0.
    pub fn min_idle(mut self, connections: usize) -> Self {
        self.config.min_idle = connections;
        self
    }

    /// How long a connection may be idle before it is closed, where more than
    /// [`min_idle`](Self::min_idle) are. Default 10 minutes; `None` keeps it.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.idle_timeout = timeout.into();
        self
    }

    /// How long a connection may live, less up to a fifth of that by chance, so that those opened
    /// together do not end together. One in use is closed when it comes back; one that is shared
    /// takes no more leases. Default 30 minutes; `None` sets no limit.
    pub fn max_lifetime(mut self, longest: impl Into<Option<Duration>>) -> Self {
        self.config.max_lifetime = longest.into();
        self
    }

    /// How long a check may take before the connection is closed. Default 1 s.
    pub fn check_timeout(mut self, timeout: Duration) -> Self {
        self.config.check_timeout = timeout;
        self
    }

    /// Makes the pool. Opens nothing and needs no runtime: the first caller does.
    ///
    /// # Errors
    ///
    /// Names the setting that makes no sense, and why.
    pub fn build(self) -> Result<Pool<M>, BuildError> {
        self.config.check()?;
        Ok(Pool::new(self.manager, self.config))
    }
}

impl<M: Manager> fmt::Debug for Builder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

pub(crate) fn check_size(max_size: usize) -> Result<(), BuildError> {
    if max_size == 0 {
        return Err(BuildError {
            setting: "max_size",
            reason: "a pool of no connections serves nobody; at least 1",
        });
    }
    Ok(())
}

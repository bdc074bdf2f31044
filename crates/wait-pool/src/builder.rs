//! The builder: settings by name, and the pool that comes of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::error::BuildError;
use crate::event::Listener;
use crate::group::Group;
use crate::hook::{Hook, Observers};
use crate::manager::Manager;
use crate::policy::QueuePolicy;
use crate::pool::Pool;

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
    observers: Observers<M>,
    group: Option<Group>,
}

impl<M: Manager> Builder<M> {
    pub(crate) fn new(manager: M) -> Self {
        Self {
            manager,
            config: Config::default(),
            observers: Observers::default(),
            group: None,
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

    /// Has the pool share a bound on connections with others, beside its own. `max_size` may be above or
    /// below it. Default: none.
    ///
    /// A [`warm_up`](Pool::warm_up) waits for room then, and has nobody make any.
    pub fn group(mut self, group: &Group) -> Self {
        self.group = Some(group.clone());
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

    /// Whom a free connection goes to. Default [`QueuePolicy::Fifo`].
    pub fn queue_policy(mut self, policy: QueuePolicy) -> Self {
        self.config.queue_policy = policy;
        self
    }

    /// The head start of each class of [`Priority`](crate::Priority) over the one below it. Default
    /// 1 s.
    pub fn priority_ageing(mut self, head_start: Duration) -> Self {
        self.config.priority_ageing = head_start;
        self
    }

    /// How long a caller may leave a connection that was handed to it lying before it goes to the
    /// next in line. That happens to futures that nobody polls, as those of a `select!` whose other
    /// branch runs. Whoever has lost one so is back in its place as soon as it is polled. Default
    /// 250 ms.
    pub fn claim_timeout(mut self, timeout: Duration) -> Self {
        self.config.claim_timeout = timeout;
        self
    }

    /// From which wait on a [`tracing`] warning tells of a caller that was served. Default 2 s; `None`
    /// never.
    pub fn slow_acquire_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.config.slow_acquire_after = wait.into();
        self
    }

    /// From when on a [`tracing`] warning and an
    /// [event](crate::event::Event::LeakSuspected) tell of a connection that is still held, and
    /// where it was taken. Default `None`: never.
    pub fn leak_warning_after(mut self, held: impl Into<Option<Duration>>) -> Self {
        self.config.leak_warning_after = held.into();
        self
    }

    /// Makes a pool that refuses callers until [`Pool::ready`] is called. Default `false`.
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.config.start_paused = paused;
        self
    }

    /// What is done to a connection once it has been opened, within `connect_timeout`. An error is
    /// an error to connect.
    pub fn after_connect(mut self, hook: impl Hook<M>) -> Self {
        self.observers.after_connect = Some(Arc::new(hook));
        self
    }

    /// What is done to a connection that somebody is about to get for [himself](Pool::get), in his
    /// task, for `check_timeout` at most. An error closes it, and he gets another one, in his old place;
    /// after `max_size + 1` errors in a row he gets the last. Who is cancelled meanwhile has it closed.
    /// Shared connections have no such moment, and [`Pool::try_get`] does not wait for it.
    pub fn before_use(mut self, hook: impl Hook<M>) -> Self {
        self.observers.before_use = Some(Arc::new(hook));
        self
    }

    /// What is done to a connection that somebody had for himself and has given back, in a task of
    /// its own, for `check_timeout` at most. It counts as in use until that is done. An error closes
    /// it. Shared connections have no such moment.
    pub fn after_release(mut self, hook: impl Hook<M>) -> Self {
        self.observers.after_release = Some(Arc::new(hook));
        self
    }

    /// Who hears of everything that happens in the pool.
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.observers.listener = Some(Arc::new(listener));
        self
    }

    /// Makes the pool. Opens nothing and needs no runtime: the first caller does.
    ///
    /// # Errors
    ///
    /// Names the setting that makes no sense, and why.
    pub fn build(self) -> Result<Pool<M>, BuildError> {
        self.config.check()?;
        let group = self.group.as_ref();
        Ok(Pool::new(self.manager, self.config, self.observers, group))
    }
}

impl<M: Manager> fmt::Debug for Builder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("observers", &self.observers)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

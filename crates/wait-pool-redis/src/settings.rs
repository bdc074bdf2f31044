//! The settings that every pool of this crate has, as plain data.

pub(crate) mod ear;
pub(crate) mod topology;

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{PoolConfig, Timeouts};
use redis::AsyncConnectionConfig;
use wait_pool::{Builder, Group, Manager, QueuePolicy, Status};

use crate::event::TopologyEvent;
use crate::hook::Hooks;
use crate::keys::Commands;
use crate::readers::{ReadFrom, Zones};

use ear::Ear;
use topology::Finding;

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
    /// What redis-rs is to do for a connection beside opening it.
    pub(crate) connection: AsyncConnectionConfig,
    /// What the servers' certificates are for, if it is not their address.
    pub(crate) tls_server_name: Option<Arc<str>>,
    /// Those that the user has described.
    pub(crate) commands: Commands,
    pub(crate) retry_writes: bool,
    pub(crate) hooks: Hooks,
    /// Whether the wait for a place and the opening of a connection have limits of their own, as in deadpool,
    /// instead of one over both.
    pub(crate) stepwise: bool,
    /// As they were given, in deadpool's words.
    pub(crate) create_timeout: Option<Duration>,
    pub(crate) recycle_timeout: Option<Duration>,
    pub(crate) read_from: ReadFrom,
    /// Where the nodes are, if the user says so.
    pub(crate) zones: Option<Zones>,
    /// Whose connection those who share one use.
    pub(crate) driver: ConnectionDriver,
    /// What the builder calls `max_connections`.
    pub(crate) bound: &'static str,
    pub(crate) core: Core,
    pub(crate) finding: Finding,
}

/// What is handed on to each node's pool as it is; the defaults are the core's.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) max_waiters: usize,
    pub(crate) min_idle: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) check_timeout: Duration,
    pub(crate) claim_timeout: Duration,
    pub(crate) queue_policy: QueuePolicy,
    pub(crate) slow_acquire_after: Option<Duration>,
    pub(crate) leak_warning_after: Option<Duration>,
    pub(crate) listener: Option<Ear>,
    /// What all nodes of a pool have in common, if their connections are bounded together.
    pub(crate) group: Option<Group>,
}

/// Who carries the requests of those who share a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionDriver {
    /// wait-pool-redis: what many callers send leaves in one write, and each waits for one wake-up. Over TLS it is redis-rs
    /// all the same.
    #[default]
    Own,
    /// redis-rs's `MultiplexedConnection`.
    RedisRs,
}

impl Settings {
    pub(crate) fn new(bound: &'static str) -> Self {
        Self {
            name: Arc::from("redis"),
            client_name: None,
            max_connections: 16,
            max_leases: 512,
            max_connecting: 2,
            // The request timeout covers the wait, too.
            wait_timeout: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Some(Duration::from_secs(5)),
            check_idle_after: Duration::from_secs(30),
            connect_backoff: (Duration::from_millis(100), Duration::from_secs(2)),
            connection: own_deadlines(),
            tls_server_name: None,
            commands: Commands::default(),
            retry_writes: false,
            hooks: Hooks::default(),
            stepwise: false,
            create_timeout: None,
            recycle_timeout: None,
            read_from: ReadFrom::Primary,
            zones: None,
            driver: ConnectionDriver::Own,
            bound,
            finding: Finding::default(),
            core: Core {
                max_waiters: usize::MAX,
                min_idle: 0,
                idle_timeout: Some(Duration::from_secs(10 * 60)),
                max_lifetime: Some(Duration::from_secs(30 * 60)),
                check_timeout: Duration::from_secs(1),
                claim_timeout: Duration::from_millis(250),
                queue_policy: QueuePolicy::Fifo,
                slow_acquire_after: Some(Duration::from_secs(2)),
                leak_warning_after: None,
                listener: None,
                group: None,
            },
        }
    }

    /// Whether connections are shared by a driver of our own. What was made in the words of redis-rs or deadpool-redis
    /// has redis-rs's, with all that it can be set to do.
    pub(crate) fn is_wired(&self) -> bool {
        !self.stepwise && self.driver == ConnectionDriver::Own
    }

    /// What connections are called at the server, which takes no spaces and nothing outside of ASCII.
    pub(crate) fn client_name(&self) -> String {
        let name = self.client_name.as_ref().unwrap_or(&self.name);
        let fit = |c: char| if c.is_ascii_graphic() { c } else { '_' };
        name.chars().map(fit).collect()
    }

    /// Those of a manager in the words of deadpool-redis: no limit that is not asked for, but to what goes on in
    /// the background.
    pub(crate) fn stepwise(bound: &'static str, connection: AsyncConnectionConfig) -> Self {
        let mut settings = Self::new(bound);
        settings.stepwise = true;
        settings.connection = connection;
        settings.max_connections = PoolConfig::default().max_size;
        settings.connect_timeout = AT_MOST;
        settings.core.check_timeout = AT_MOST;
        settings
    }

    /// In the words of deadpool.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::new();
        timeouts.wait = self.wait_timeout;
        timeouts.create = self.create_timeout;
        timeouts.recycle = self.recycle_timeout;
        if !self.stepwise {
            let limits = [self.wait_timeout, self.request_timeout];
            timeouts.wait = limits.into_iter().flatten().min();
            timeouts.create = Some(self.connect_timeout);
            timeouts.recycle = Some(self.core.check_timeout);
        }
        timeouts
    }

    /// How long a caller waits for a connection of his own. Without any wait there is nothing to be had at all.
    pub(crate) fn limit(&self, has_room: bool) -> Option<Option<Duration>> {
        match self.stepwise {
            true => self.limit_by_steps(&self.timeouts(), has_room),
            false => Some(self.request_timeout),
        }
    }

    /// The same in the words of deadpool. Where there is room for one more, he does not wait for a place: the attempt to
    /// connect has a limit of its own then. Should others be faster, his limit is a longer one, but not none.
    pub(crate) fn limit_by_steps(
        &self,
        timeouts: &Timeouts,
        has_room: bool,
    ) -> Option<Option<Duration>> {
        let sooner = timeouts
            .create
            .filter(|create| *create < self.connect_timeout);
        match (has_room, timeouts.wait) {
            (_, None) if sooner.is_none() => Some(None),
            (false, Some(Duration::ZERO)) => None,
            (false, wait) => Some(wait),
            (true, wait) => {
                let longest = || wait.map(|wait| wait.saturating_add(self.connect_timeout));
                Some(sooner.or_else(longest))
            }
        }
    }

    /// How long a request on a connection of one's own may take. Those of a manager have limits of their own.
    pub(crate) fn own_limit(&self) -> Option<Duration> {
        self.request_timeout.filter(|_| !self.stepwise)
    }

    /// The limit that the pools below have to a wait as a whole.
    pub(crate) fn core_wait_timeout(&self) -> Option<Duration> {
        self.wait_timeout.filter(|_| !self.stepwise)
    }

    /// For connections to sentinels, which have users and passwords of their own.
    pub(crate) fn for_sentinels(&self) -> Self {
        let mut connect_timeout = self.connect_timeout;
        if self.stepwise {
            // Who hangs is asked within what redis-rs's own timeouts would be.
            connect_timeout = connect_timeout.min(SENTINELS);
        }
        Self {
            connect_timeout,
            connection: own_deadlines(),
            ..self.clone()
        }
    }

    /// Tells who listens.
    pub(crate) fn tell(&self, event: &TopologyEvent<'_>) {
        self.finding.audience.tell(&self.name, event);
    }

    /// The name that the builder here has for a setting of the pool below.
    pub(crate) fn own_name(&self, setting: &'static str) -> &'static str {
        match setting {
            "max_size" => self.bound,
            other => other,
        }
    }
}

/// How long an attempt to connect or a check goes on that nobody has set a limit to.
const AT_MOST: Duration = Duration::from_secs(60);

/// How long a sentinel may take to answer where nobody has set a limit to opening a connection.
const SENTINELS: Duration = Duration::from_secs(5);

/// Whether a caller who comes now need not wait for others.
pub(crate) const fn has_room(status: &Status) -> bool {
    status.in_use + status.waiting < status.max_size
}

/// The pool and the request path have deadlines that cover more than redis-rs's.
fn own_deadlines() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

impl Core {
    /// Sets all of it.
    pub(crate) fn apply<M: Manager>(&self, builder: Builder<M>) -> Builder<M> {
        let builder = match &self.group {
            Some(group) => builder.group(group),
            None => builder,
        };
        let builder = match &self.listener {
            Some(listener) => builder.listener(listener.clone()),
            None => builder,
        };
        builder
            .max_waiters(self.max_waiters)
            .min_idle(self.min_idle)
            .idle_timeout(self.idle_timeout)
            .max_lifetime(self.max_lifetime)
            .check_timeout(self.check_timeout)
            .claim_timeout(self.claim_timeout)
            .queue_policy(self.queue_policy)
            .slow_acquire_after(self.slow_acquire_after)
            .leak_warning_after(self.leak_warning_after)
    }
}

//! An asynchronous connection pool for tokio whose callers *wait*.
//!
//! At the bound there is no "too many connections" error: callers stand in a fair queue and each
//! connection that comes free is handed to the first of them. A caller may be cancelled at any
//! await point without losing a connection, a place or a wake-up. Connections are opened in tasks
//! of their own, a few at a time, so an impatient caller cannot kill them. A timeout says what the
//! caller was up against.
//!
//! - [`Pool`]: the handle. [`get`](Pool::get) takes a connection for oneself,
//!   [`lease`](Pool::lease) a part in one that many use at once.
//! - [`Pooled`], [`Lease`]: what they give, and give back when dropped.
//! - [`Manager`]: what you write to pool something: how to open, check and judge a connection.
//! - [`Request`]: a checkout with a deadline or a priority of its own.
//! - [`Group`]: a bound that several pools share.
//! - [`Builder`]: the settings. [`Hook`] and [`event::Listener`]: what is done, and told, on the way.
//! - [`AcquireError`]: why there was no connection.
//! - `compat`, behind the features `deadpool` and `bb8`: pools of those crates' managers, unchanged.
//!
//! # Order
//!
//! Each kind, `get` and `lease`, is served first come, first served, and between the two the older
//! caller goes first. While the first in line waits for a connection of its own and none may be
//! opened, one shared connection stops taking leases, so that it becomes free for it; leases go on
//! around it on the other connections. A [`Priority`] is a head start within that order, and
//! [`QueuePolicy`] says what becomes of it in an overload.
//!
//! # The life of a connection
//!
//! It is opened for those who wait, or to keep `min_idle` ready. The one used last is used first, so
//! that a pool larger than its load lets the rest grow old. After `check_idle_after` of idleness it is
//! checked before it is used; after `idle_timeout` it is closed, unless only `min_idle` are left; after
//! `max_lifetime` it is replaced as soon as nobody holds it. [`Pool::clear`] ends a whole generation.
//! These times are exact to a few milliseconds; deadlines are exact.
//!
//! # When connecting fails
//!
//! Attempts pause after a failure, longer with each one in a row, and one at a time probes whether the
//! server is back; with the first success all may connect again. Where no connection is open a failure is
//! told at once to those it concerns; else it is told as the cause of a later timeout. Where it is known that
//! the server is away, [`Pool::pause`] refuses callers until [`Pool::ready`].
//!
//! # Metrics
//!
//! Pools report to the [`metrics`](https://docs.rs/metrics) facade: connections by state, callers in
//! line, timeouts, and how long it took to open, to wait and to use. Install a recorder before the
//! pool is built.
//!
//! # What is absent on purpose
//!
//! - A check on every checkout or return: only connections idle for longer than `check_idle_after`
//!   are checked. A connection that its user found broken says so through
//!   [`Manager::is_broken`].
//! - Blocking variants: the pool is for tokio.

mod acquire;
mod backoff;
mod builder;
mod check;
mod clock;
#[cfg(any(feature = "bb8", feature = "deadpool"))]
pub mod compat;
mod config;
mod connect;
mod effects;
mod error;
pub mod event;
mod group;
mod guard;
mod home;
mod hook;
mod keeper;
mod lanes;
mod ledger;
mod line;
mod manager;
mod metrics;
mod models;
mod moment;
mod opening;
mod pace;
mod policy;
mod pool;
mod request;
mod shared;
mod slots;
mod state;
mod status;
mod sync;
mod transition;

pub use builder::Builder;
pub use error::{AcquireError, BuildError, ConnectError, Phase, Timeout, TryAcquireError};
pub use group::{Group, GroupStatus};
pub use guard::{Lease, Pooled};
pub use hook::Hook;
pub use manager::Manager;
pub use policy::{Priority, QueuePolicy};
pub use pool::Pool;
pub use request::Request;
pub use status::{Holding, Status};

//! A cluster that is being broken, tasks that use it all the while, and an account of what they saw.
//!
//! Three masters and three replicas, each behind a proxy, are killed, frozen, cut off, promoted and resharded by a
//! [`Script`] that a seed decides. Meanwhile tasks read, count, run scripts and transactions, and give a
//! tenth of their requests up within two milliseconds, done or not. Every value names its key, so a reply that went to
//! somebody else is seen; every counter has a [`Ledger`], so an increment that ran twice or was forgotten is seen.
//!
//! What is measured is a [`Client`]: this project's own, or one of those it is compared with.

mod breakage;
mod client;
mod ledger;
mod ours;
mod report;
mod run;
mod script;
mod sockets;
mod trouble;
mod watch;
mod work;

pub use client::{Client, Held};
pub use ledger::Ledger;
pub use ours::Ours;
pub use report::{Count, Leaked, Report};
pub use run::{Options, run};
pub use script::{Fault, Script, Step};

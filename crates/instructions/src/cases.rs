//! The cases, and those of the core among them.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;

use tokio::runtime::{Builder, Runtime};
use wait_pool::{Manager, Pool};

use crate::{count, requests};

/// Something that is counted.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often it runs; the count is for one.
    pub(crate) times: u32,
    pub(crate) run: fn(times: u32) -> anyhow::Result<()>,
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "get",
        times: 10_000,
        run: get,
    },
    Case {
        name: "lease",
        times: 10_000,
        run: lease,
    },
    Case {
        name: "plan",
        times: 1_000,
        run: requests::plan,
    },
    Case {
        name: "command",
        times: 1_000,
        run: requests::command,
    },
    Case {
        name: "pipeline",
        times: 1_000,
        run: requests::pipeline,
    },
    Case {
        name: "mget",
        times: 1_000,
        run: requests::mget,
    },
    Case {
        name: "lookup",
        times: 1_000,
        run: requests::lookup,
    },
];

/// Opens numbers, so that what is counted is the pool.
struct Numbers;

impl Manager for Numbers {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn check(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A checkout that finds a connection, and its return.
fn get(times: u32) -> anyhow::Result<()> {
    let pool = Pool::builder(Numbers).build()?;
    count(&runtime()?, times, async || {
        *pool.get().await? += black_box(1);
        Ok(())
    })
}

/// The same on a connection that others may share.
fn lease(times: u32) -> anyhow::Result<()> {
    let pool = Pool::builder(Numbers).max_leases(64).build()?;
    count(&runtime()?, times, async || {
        black_box(*pool.lease().await?);
        Ok(())
    })
}

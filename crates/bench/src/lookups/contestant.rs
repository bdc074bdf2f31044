//! What a client has to do to be measured, and who does.

mod bb8;
mod by_hand;
mod deadpool;
mod own_driver;
mod owners;
mod redis_rs;
mod rivals;
mod wait_pool;

use std::future::Future;

use super::closed::Closed;
use super::data::{Keys, Values};
use super::fixed::Fixed;
use super::open::Open;
use super::sample::Sample;
use super::site::Site;
use super::{allocations, closed, open, system_calls};

pub(crate) use self::wait_pool::{Settings, tuned};

/// A client with settings at which it is at its best and its answers are right.
pub(crate) trait Contestant: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    /// How it is asked, where there are several ways.
    const VARIANT: &'static str;
    /// The package whose version is told.
    const PACKAGE: Option<&'static str>;
    /// How it is set.
    const SETTINGS: &'static str;

    type Values: Values;

    /// Makes the client, which knows the URLs of the servers. Runs in the runtime that will use it.
    fn open(urls: Vec<String>) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Reads ten keys.
    fn request(&self, keys: &Keys) -> impl Future<Output = anyhow::Result<Self::Values>> + Send;
}

/// A contestant, and what can be measured of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) version: Option<&'static str>,
    pub(crate) settings: &'static str,
    pub(crate) closed: fn(&Site, Closed) -> anyhow::Result<Sample>,
    pub(crate) open: fn(&Site, &Open) -> anyhow::Result<Sample>,
    pub(crate) allocations: fn(&Site, usize) -> anyhow::Result<Sample>,
    pub(crate) fixed: fn(Vec<String>, Fixed) -> anyhow::Result<()>,
    /// Whether it is the best of its name's variants, which alone meet the open loop.
    pub(crate) best: bool,
}

/// Who takes part.
pub(crate) fn lineup() -> Vec<Entry> {
    let mut lineup = vec![
        entry::<wait_pool::Piped>().best(),
        entry::<wait_pool::LookedUp>(),
        entry::<wait_pool::Joined>(),
        entry::<wait_pool::Mget>(),
        entry::<by_hand::Multiplexed<1>>().best(),
        entry::<by_hand::Multiplexed<2>>().best(),
        entry::<own_driver::OwnDriver>().best(),
        entry::<redis_rs::Joined>(),
        entry::<redis_rs::Mget>().best(),
        entry::<deadpool::Joined>(),
        entry::<deadpool::Mget>(),
        entry::<deadpool::PerNode>().best(),
        entry::<bb8::PerNode>().best(),
    ];
    lineup.extend(rivals::lineup());
    lineup
}

fn entry<C: Contestant>() -> Entry {
    Entry {
        name: C::NAME,
        variant: C::VARIANT,
        version: C::PACKAGE.and_then(crate::versions::of),
        settings: C::SETTINGS,
        closed: |site, closed| closed::measure(site, closed, C::open(site.urls())),
        open: open::measure::<C>,
        allocations: allocations::measure::<C>,
        fixed: system_calls::serve::<C>,
        best: false,
    }
}

impl Entry {
    /// `wait-pool-redis pipe`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.variant)
            .trim_end()
            .to_owned()
    }

    const fn best(mut self) -> Self {
        self.best = true;
        self
    }
}

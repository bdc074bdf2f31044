//! sqlx: the pool of sqlx-core, over a database that has connections and nothing else.

use std::future::ready;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx_core::error::Error;
use sqlx_core::pool::{Pool, PoolConnection, PoolOptions};

use super::sqlx_database::Nothing;
use super::{A_YEAR, Connection, Connector, Contestant, GaveUp, SECONDS_30, Setup, gave_up};

#[derive(Clone)]
pub(crate) struct Sqlx(Pool<Nothing>);

impl Contestant for Sqlx {
    const NAME: &'static str = "sqlx";
    const PACKAGE: Option<&'static str> = Some("sqlx-core");
    const USUAL: &'static str = "`acquire_timeout` of 30 s, its default";
    const NEVER: &'static str = "cannot do without: a year";

    type Held<'a> = PoolConnection<Nothing>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        let pool = PoolOptions::new()
            .max_connections(setup.size.into())
            // By default it checks at every checkout. The check at every return cannot be turned
            // off; it is answered at once.
            .test_before_acquire(false)
            .acquire_timeout(setup.limit.after(SECONDS_30).unwrap_or(A_YEAR))
            .connect_lazy_with(connector);
        Self(pool)
    }

    async fn acquire(&self) -> Result<Self::Held<'_>, GaveUp> {
        self.0.acquire().await.map_err(gave_up)
    }
}

/// How this database connects.
pub(super) fn connect(connector: &Connector) -> BoxFuture<'_, Result<Connection, Error>> {
    ready(Ok(connector.open())).boxed()
}

/// And what its ping does. A box of nothing does not allocate.
pub(super) fn ping(_: &mut Connection) -> BoxFuture<'_, Result<(), Error>> {
    ready(Ok(())).boxed()
}

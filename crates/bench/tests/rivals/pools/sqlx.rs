//! sqlx: the pool of sqlx-core, over a database that has connections and nothing else.

use std::future::ready;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx_core::error::Error;
use sqlx_core::pool::{Pool, PoolOptions};

use super::sqlx_database::Nothing;
use super::{Arced, Connection, Connector, Held, Setup, Told, held, told};

pub(super) fn make(connector: Connector, setup: Setup) -> Arced {
    let pool = PoolOptions::new()
        .max_connections(setup.size.into())
        .acquire_timeout(setup.patience)
        .connect_lazy_with(connector);
    Arc::new(pool)
}

impl super::Pool for Pool<Nothing> {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>> {
        let pool = self.clone();
        async move { pool.acquire().await.map(held).map_err(|error| told(&error)) }.boxed()
    }
}

/// How this database connects.
pub(super) fn connect(connector: &Connector) -> BoxFuture<'_, Result<Connection, Error>> {
    async { connector.dial().await.map_err(Error::Io) }.boxed()
}

/// And what its ping does.
pub(super) fn ping(connection: &mut Connection) -> BoxFuture<'_, Result<(), Error>> {
    connection.count_check();
    ready(Ok(())).boxed()
}

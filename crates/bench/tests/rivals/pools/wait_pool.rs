//! This project's own pool.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use wait_pool::{Manager, Pool};

use super::{Arced, Connection, Connector, Held, Setup, Told, held, told};

pub(super) fn make(connector: Connector, setup: Setup) -> Arced {
    let pool = Pool::builder(connector)
        .max_size(setup.size.into())
        .wait_timeout(setup.patience)
        .build();
    Arc::new(pool.expect("the settings make sense"))
}

impl super::Pool for Pool<Connector> {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>> {
        let pool = self.clone();
        async move { pool.get().await.map(held).map_err(|error| told(&error)) }.boxed()
    }

    fn resize(&self, size: usize) -> BoxFuture<'_, bool> {
        async move { self.resize(size).is_ok() }.boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Option<usize>> {
        async { Some(self.status().waiting) }.boxed()
    }
}

impl Manager for Connector {
    type Connection = Connection;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<Connection> {
        self.dial().await
    }

    async fn check(&self, connection: &mut Connection) -> io::Result<()> {
        connection.count_check();
        Ok(())
    }
}

//! deadpool, its managed pool. The patience is its `wait_timeout`, which does not bound a connect.

use std::io;
use std::sync::Arc;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Pool, RecycleResult};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Arced, Connection, Connector, Held, Setup, Told, held, told};

pub(super) fn make(connector: Connector, setup: Setup) -> Arced {
    let pool: Result<Pool<Connector>, _> = Pool::builder(connector)
        .max_size(setup.size.into())
        .wait_timeout(Some(setup.patience))
        .runtime(Runtime::Tokio1)
        .build();
    Arc::new(pool.expect("there is a runtime for its timeouts"))
}

impl super::Pool for Pool<Connector> {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>> {
        let pool = self.clone();
        async move { pool.get().await.map(held).map_err(|error| told(&error)) }.boxed()
    }

    fn resize(&self, size: usize) -> BoxFuture<'_, bool> {
        self.resize(size);
        async { true }.boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Option<usize>> {
        async { Some(self.status().waiting) }.boxed()
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Connection> {
        self.dial().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<io::Error> {
        connection.count_check();
        Ok(())
    }
}

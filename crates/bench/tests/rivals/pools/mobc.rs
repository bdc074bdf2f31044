//! mobc. Its own timeout runs on a clock that cannot be stopped, so tokio's is around it.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mobc::{Manager, Pool, async_trait};

use super::{Arced, Connection, Connector, Held, Setup, Told, held, told, within};

struct Mobc {
    pool: Pool<Connector>,
    setup: Setup,
}

pub(super) fn make(connector: Connector, setup: Setup) -> Arced {
    let pool = Pool::builder()
        .max_open(setup.size.into())
        .get_timeout(None)
        .build(connector);
    Arc::new(Mobc { pool, setup })
}

impl super::Pool for Mobc {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>> {
        let (pool, patience) = (self.pool.clone(), self.setup.patience);
        let get = async move { pool.get().await.map(held).map_err(|error| told(&error)) };
        within(patience, get).boxed()
    }

    fn resize(&self, size: usize) -> BoxFuture<'_, bool> {
        async move {
            self.pool.set_max_open_conns(size as u64).await;
            true
        }
        .boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Option<usize>> {
        async { usize::try_from(self.pool.state().await.wait_count).ok() }.boxed()
    }
}

#[async_trait]
impl Manager for Connector {
    type Connection = Connection;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<Connection> {
        self.dial().await
    }

    async fn check(&self, connection: Connection) -> io::Result<Connection> {
        connection.count_check();
        Ok(connection)
    }
}

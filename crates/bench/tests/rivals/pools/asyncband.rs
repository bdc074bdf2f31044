//! asyncband, the bounded one of its object pools. It leaves timeouts to its callers.

use std::io;
use std::sync::Arc;

use asyncband::pool::bounded::{Pool, PoolConfig};
use asyncband::pool::{ManageObject, ObjectStatus};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Arced, Connection, Connector, Held, Setup, Told, held, told, within};

struct Asyncband {
    pool: Arc<Pool<Connector>>,
    setup: Setup,
}

pub(super) fn make(connector: Connector, setup: Setup) -> Arced {
    let pool = Pool::new(PoolConfig::new(setup.size.into()), connector);
    Arc::new(Asyncband { pool, setup })
}

impl super::Pool for Asyncband {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>> {
        let (pool, patience) = (Arc::clone(&self.pool), self.setup.patience);
        let get = async move { pool.get().await.map(held).map_err(|error| told(&error)) };
        within(patience, get).boxed()
    }
}

impl ManageObject for Connector {
    type Object = Connection;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Connection> {
        self.dial().await
    }

    async fn is_recyclable(&self, connection: &mut Connection, _: &ObjectStatus) -> io::Result<()> {
        connection.count_check();
        Ok(())
    }
}

//! bb8.

use std::io;
use std::sync::Arc;

use bb8::{ManageConnection, Pool};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Arced, Connection, Connector, Held, Setup, Told, held, told};

pub(super) fn make(connector: Connector, setup: Setup) -> Arced {
    let pool = Pool::builder()
        .max_size(setup.size.into())
        .connection_timeout(setup.patience)
        .build_unchecked(connector);
    Arc::new(pool)
}

impl super::Pool for Pool<Connector> {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>> {
        let pool = self.clone();
        async move {
            let got = pool.get_owned().await;
            got.map(held).map_err(|error| told(&error))
        }
        .boxed()
    }
}

impl ManageConnection for Connector {
    type Connection = Connection;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<Connection> {
        self.dial().await
    }

    async fn is_valid(&self, connection: &mut Connection) -> io::Result<()> {
        connection.count_check();
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

//! asyncband, the bounded one of its object pools. It leaves timeouts to its callers.

use std::sync::Arc;
use std::time::Duration;

use asyncband::pool::bounded::{Object, Pool, PoolConfig};
use asyncband::pool::{ManageObject, ObjectStatus, QueueStrategy};

use super::{Connection, Connector, Contestant, GaveUp, SECONDS_5, Setup, within};
use crate::pools::connection::Failure;

#[derive(Clone)]
pub(crate) struct Asyncband {
    pool: Arc<Pool<Connector>>,
    limit: Option<Duration>,
}

impl Contestant for Asyncband {
    const NAME: &'static str = "asyncband";
    const PACKAGE: Option<&'static str> = Some("asyncband");
    const USUAL: &'static str = "has none: `tokio::time::timeout` of 5 s around it";
    const NEVER: &'static str = "has none";

    type Held<'a> = Object<Connector>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        // The connection used last is used first, as in most of the others.
        let config = PoolConfig::new(setup.size.into()).with_queue_strategy(QueueStrategy::Lifo);
        Self {
            pool: Pool::new(config, connector),
            limit: setup.limit.after(SECONDS_5),
        }
    }

    async fn acquire(&self) -> Result<Self::Held<'_>, GaveUp> {
        let Ok(object) = within(self.limit, self.pool.get()).await?;
        Ok(object)
    }
}

impl ManageObject for Connector {
    type Object = Connection;
    type Error = Failure;

    async fn create(&self) -> Result<Connection, Failure> {
        Ok(self.open())
    }

    // Called at every checkout; a manager that does not want a check there says so like this.
    async fn is_recyclable(&self, _: &mut Connection, _: &ObjectStatus) -> Result<(), Failure> {
        Ok(())
    }
}

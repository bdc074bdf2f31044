//! bb8.

use bb8::{ManageConnection, Pool, PooledConnection, QueueStrategy};

use super::{A_YEAR, Connection, Connector, Contestant, GaveUp, SECONDS_30, Setup, gave_up};
use crate::pools::connection::Failure;

#[derive(Clone)]
pub(crate) struct Bb8(Pool<Connector>);

impl Contestant for Bb8 {
    const NAME: &'static str = "bb8";
    const PACKAGE: Option<&'static str> = Some("bb8");
    const USUAL: &'static str = "`connection_timeout` of 30 s, its default";
    const NEVER: &'static str = "cannot do without: a year";

    // `get_owned` would count a reference more.
    type Held<'a> = PooledConnection<'a, Connector>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        let pool = Pool::builder()
            .max_size(setup.size.into())
            // By default it checks at every checkout.
            .test_on_check_out(false)
            // The connection used last is used first, as in most of the others.
            .queue_strategy(QueueStrategy::Lifo)
            .connection_timeout(setup.limit.after(SECONDS_30).unwrap_or(A_YEAR))
            .build(connector)
            .await;
        match pool {
            Ok(pool) => Self(pool),
            Err(never) => match never {},
        }
    }

    async fn acquire(&self) -> Result<Self::Held<'_>, GaveUp> {
        self.0.get().await.map_err(gave_up)
    }
}

impl ManageConnection for Connector {
    type Connection = Connection;
    type Error = Failure;

    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.open())
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), Failure> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

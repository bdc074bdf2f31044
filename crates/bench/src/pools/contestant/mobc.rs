//! mobc.

use mobc::{Manager, Pool, async_trait};

use super::{Connection, Connector, Contestant, GaveUp, SECONDS_30, Setup, gave_up};
use crate::pools::connection::Failure;

#[derive(Clone)]
pub(crate) struct Mobc(Pool<Connector>);

impl Contestant for Mobc {
    const NAME: &'static str = "mobc";
    const PACKAGE: Option<&'static str> = Some("mobc");
    const USUAL: &'static str = "`get_timeout` of 30 s, its default";
    const NEVER: &'static str = "`get_timeout(None)`";

    type Held<'a> = mobc::Connection<Connector>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        let pool = Pool::builder()
            .max_open(setup.size.into())
            // By default it keeps 2 and opens the others anew, which the others do not do.
            .max_idle(setup.size.into())
            // By default it checks at every checkout.
            .test_on_check_out(false)
            .get_timeout(setup.limit.after(SECONDS_30))
            .build(connector);
        Self(pool)
    }

    async fn acquire(&self) -> Result<Self::Held<'_>, GaveUp> {
        self.0.get().await.map_err(gave_up)
    }
}

#[async_trait]
impl Manager for Connector {
    type Connection = Connection;
    type Error = Failure;

    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.open())
    }

    async fn check(&self, connection: Connection) -> Result<Connection, Failure> {
        Ok(connection)
    }
}

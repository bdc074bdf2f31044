//! deadpool, its managed pool.

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, QueueMode, RecycleResult};

use super::{Connection, Connector, Contestant, GaveUp, SECONDS_5, Setup, gave_up};
use crate::pools::connection::Failure;

#[derive(Clone)]
pub(crate) struct Deadpool(Pool<Connector>);

impl Contestant for Deadpool {
    const NAME: &'static str = "deadpool";
    const PACKAGE: Option<&'static str> = Some("deadpool");
    const USUAL: &'static str = "wait timeout of 5 s; it has none by default";
    const NEVER: &'static str = "none, its default";

    type Held<'a> = Object<Connector>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        let pool = Pool::builder(connector)
            .max_size(setup.size.into())
            // The connection used last is used first, as in most of the others.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(setup.limit.after(SECONDS_5))
            .runtime(Runtime::Tokio1)
            .build();
        Self(pool.expect("there is a runtime for its timeouts"))
    }

    async fn acquire(&self) -> Result<Self::Held<'_>, GaveUp> {
        self.0.get().await.map_err(gave_up)
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = Failure;

    async fn create(&self) -> Result<Connection, Failure> {
        Ok(self.open())
    }

    // Called at every checkout; a manager that does not want a check there says so like this.
    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<Failure> {
        Ok(())
    }
}

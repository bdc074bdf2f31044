//! This project's own pool, at its defaults.

use std::fmt::Debug;
use std::marker::PhantomData;

use wait_pool::{Builder, Manager, Pool, Pooled, QueuePolicy};

use super::{Connection, Connector, Contestant, GaveUp, Limit, Setup, gave_up};
use crate::pools::connection::Failure;

/// The pool with a queue policy.
pub(crate) struct WaitPool<P = Default> {
    pool: Pool<Connector>,
    policy: PhantomData<P>,
}

/// How callers in line are treated.
pub(crate) trait Policy: Debug + Send + Sync + 'static {
    const NAME: &'static str;

    fn set(builder: Builder<Connector>) -> Builder<Connector>;
}

/// First come, first served.
#[derive(Debug)]
pub(crate) struct Default;

impl Policy for Default {
    const NAME: &'static str = "wait-pool";

    fn set(builder: Builder<Connector>) -> Builder<Connector> {
        builder
    }
}

/// Last come, first served in an overload.
#[derive(Debug)]
pub(crate) struct AdaptiveLifo;

impl Policy for AdaptiveLifo {
    const NAME: &'static str = "wait-pool adaptive-lifo";

    fn set(builder: Builder<Connector>) -> Builder<Connector> {
        builder.queue_policy(QueuePolicy::adaptive_lifo())
    }
}

impl<P: Policy> Contestant for WaitPool<P> {
    const NAME: &'static str = P::NAME;
    const PACKAGE: Option<&'static str> = Some("wait-pool");
    const USUAL: &'static str = "`wait_timeout` of 5 s, its default";
    const NEVER: &'static str = "`wait_timeout(None)`";

    type Held<'a> = Pooled<Connector>;

    async fn open(connector: Connector, setup: Setup) -> Self {
        let builder = P::set(Pool::builder(connector)).max_size(setup.size.into());
        let builder = match setup.limit {
            Limit::Usual => builder,
            Limit::Never => builder.wait_timeout(None),
            Limit::Of(limit) => builder.wait_timeout(limit),
        };
        Self {
            pool: builder.build().expect("the settings make sense"),
            policy: PhantomData,
        }
    }

    async fn acquire(&self) -> Result<Self::Held<'_>, GaveUp> {
        self.pool.get().await.map_err(gave_up)
    }
}

impl Manager for Connector {
    type Connection = Connection;
    type Error = Failure;

    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.open())
    }

    async fn check(&self, _: &mut Connection) -> Result<(), Failure> {
        Ok(())
    }
}

impl<P> Clone for WaitPool<P> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            policy: PhantomData,
        }
    }
}

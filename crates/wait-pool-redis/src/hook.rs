//! What users have done to connections when they are opened and when they are used again, in the shape of
//! deadpool's hooks.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::iter::successors;
use std::pin::Pin;
use std::sync::Arc;

use deadpool::managed::Metrics;
use redis::RedisError;
use redis::aio::MultiplexedConnection;

/// Why a hook refuses a connection.
pub type HookError = deadpool::managed::HookError<RedisError>;

/// What a hook says.
pub type HookResult = Result<(), HookError>;

/// What a hook that waits says in the end.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = HookResult> + Send + 'a>>;

type SyncFn = dyn Fn(&mut MultiplexedConnection, &Metrics) -> HookResult + Send + Sync;
type AsyncFn =
    dyn for<'a> Fn(&'a mut MultiplexedConnection, &'a Metrics) -> HookFuture<'a> + Send + Sync;

/// Something to be done to a connection: see [`Builder::post_create`](crate::Builder::post_create),
/// [`pre_recycle`](crate::Builder::pre_recycle) and [`post_recycle`](crate::Builder::post_recycle).
///
/// # Example
///
/// ```
/// use wait_pool_redis::{Hook, HookError, Pool, redis};
///
/// let pool = Pool::builder("redis://127.0.0.1/")
///     .post_create(Hook::async_fn(|connection, _| {
///         Box::pin(async move {
///             let () = redis::cmd("CLIENT")
///                 .arg("NO-EVICT")
///                 .arg("ON")
///                 .query_async(connection)
///                 .await
///                 .map_err(HookError::Backend)?;
///             Ok(())
///         })
///     }))
///     .pre_recycle(Hook::sync_fn(|_, metrics| {
///         match metrics.age().as_secs() < 600 {
///             true => Ok(()),
///             false => Err(HookError::message("too old")),
///         }
///     }))
///     .build()?;
/// # Ok::<(), wait_pool_redis::BuildError>(())
/// ```
pub enum Hook {
    /// One that is done at once.
    Fn(Box<SyncFn>),
    /// One that waits for something, as a command does.
    AsyncFn(Box<AsyncFn>),
}

impl Hook {
    /// A hook that is done at once.
    pub fn sync_fn(
        hook: impl Fn(&mut MultiplexedConnection, &Metrics) -> HookResult + Send + Sync + 'static,
    ) -> Self {
        Self::Fn(Box::new(hook))
    }

    /// A hook that waits for something, as a command does.
    pub fn async_fn(
        hook: impl for<'a> Fn(&'a mut MultiplexedConnection, &'a Metrics) -> HookFuture<'a>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self::AsyncFn(Box::new(hook))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fn(_) => "Hook::Fn",
            Self::AsyncFn(_) => "Hook::AsyncFn",
        })
    }
}

/// All that is done, each kind in the order in which it was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) post_create: Vec<Arc<Hook>>,
    pub(crate) pre_recycle: Vec<Arc<Hook>>,
    pub(crate) post_recycle: Vec<Arc<Hook>>,
}

impl Hooks {
    /// Whether any wants to be asked before a connection is used again.
    pub(crate) const fn are_before_use(&self) -> bool {
        !self.pre_recycle.is_empty() || !self.post_recycle.is_empty()
    }

    /// Runs hooks one after the other, up to the first that refuses.
    pub(crate) async fn run(
        hooks: &[Arc<Hook>],
        connection: &mut MultiplexedConnection,
        metrics: &Metrics,
    ) -> HookResult {
        for hook in hooks {
            match &**hook {
                Hook::Fn(hook) => hook(connection, metrics)?,
                Hook::AsyncFn(hook) => hook(connection, metrics).await?,
            }
        }
        Ok(())
    }
}

/// A hook's refusal on its way through redis-rs's error, which is what the pool below knows.
#[derive(Debug, thiserror::Error)]
#[error("a hook refused the connection: {0}")]
struct Refused(HookError);

/// What it travels in: an I/O error shows the source of what is in it, but not that itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Carrier(#[source] Refused);

/// Packs a hook's refusal.
pub(crate) fn refused(error: HookError) -> RedisError {
    io::Error::other(Carrier(Refused(error))).into()
}

/// What a hook has refused with, if this is a hook's refusal.
pub(crate) fn refusal(error: &RedisError) -> Option<HookError> {
    let sources = successors(error.source(), |&error| error.source());
    let mut refusals = sources.filter_map(|source| source.downcast_ref());
    let Refused(refusal) = refusals.next()?;
    Some(match refusal {
        HookError::Message(message) => HookError::Message(message.clone()),
        HookError::Backend(error) => HookError::Backend(error.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_way() {
        let packed = refused(HookError::message("too old"));
        assert!(packed.to_string().contains("too old"), "{packed}");
        let HookError::Message(message) = refusal(&packed).unwrap() else {
            panic!("{packed:?}");
        };
        assert_eq!(message, "too old");
        assert!(refusal(&RedisError::from(io::Error::other("else"))).is_none());
    }
}

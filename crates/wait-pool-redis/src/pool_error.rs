//! Why a pool gave no connection, in the words of deadpool.

use deadpool::managed::TimeoutType;
use redis::{ErrorKind, RedisError};
use wait_pool::{AcquireError, ConnectError, Phase, Timeout};

use crate::error;
use crate::hook::{self, HookError};
use crate::node::NodeAddr;

/// Why [`Pool::get`](crate::Pool::get) and its like gave no connection.
///
/// The variants are those of deadpool's error. It has no room for what a caller that waited in vain was
/// up against: that is in the errors of [`Pool::check_out`](crate::Pool::check_out), of
/// [`cluster::Pool::pin`](crate::cluster::Pool::pin) and of commands on a pool or a [`Handle`](crate::Handle).
///
/// # Example
///
/// ```no_run
/// use redis::AsyncCommands;
/// use wait_pool_redis::{Pool, PoolError, TimeoutType};
///
/// /// `?` makes a `RedisError` of it where that is what a function returns.
/// async fn visits(pool: &Pool) -> redis::RedisResult<i64> {
///     let mut own = match pool.get().await {
///         Err(PoolError::Timeout(TimeoutType::Wait)) => return Ok(0),
///         got => got?,
///     };
///     own.incr("visits", 1).await
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Time ran out while a connection came free, was opened or was checked.
    #[error("no connection in time: {}", phase(.0))]
    Timeout(TimeoutType),
    /// The server, or the way to it, has refused a connection; or the pool has: it is paused, or its line is
    /// full.
    #[error("could not connect: {0}")]
    Backend(#[source] RedisError),
    /// The pool has been closed.
    #[error("the pool is closed")]
    Closed,
    /// The call was made outside of a tokio runtime.
    #[error("the pool was used outside of a tokio runtime")]
    NoRuntimeSpecified,
    /// A [hook](crate::Builder::post_create) has refused a connection that had just been opened.
    #[error("the hook after creation refused a connection: {0}")]
    PostCreateHook(#[source] HookError),
}

impl PoolError {
    /// What the pool below says, of connections to this server.
    pub(crate) fn of(server: &NodeAddr, refused: AcquireError<RedisError>) -> Self {
        match &refused {
            AcquireError::Timeout(report) => Self::Timeout(timeout_type(report)),
            AcquireError::Closed => Self::Closed,
            AcquireError::NoRuntime => Self::NoRuntimeSpecified,
            AcquireError::Connect(cause) => match &**cause {
                ConnectError::TimedOut(_) => Self::Timeout(TimeoutType::Create),
                ConnectError::Failed(error) => match hook::refusal(error) {
                    Some(refusal) => Self::PostCreateHook(refusal),
                    None => Self::Backend(error::no_connection(server, refused)),
                },
                _ => Self::Backend(error::no_connection(server, refused)),
            },
            _ => Self::Backend(error::no_connection(server, refused)),
        }
    }
}

/// What the caller was waiting for: a place, or a connection for the place it had.
fn timeout_type(report: &Timeout<RedisError>) -> TimeoutType {
    let status = &report.status;
    match report.phase {
        Phase::Connecting => TimeoutType::Create,
        Phase::Checking => TimeoutType::Recycle,
        _ if report.ahead + status.in_use < status.max_size => TimeoutType::Create,
        _ => TimeoutType::Wait,
    }
}

const fn phase(timeout: &TimeoutType) -> &'static str {
    match timeout {
        TimeoutType::Wait => "all were in use",
        TimeoutType::Create => "one was being opened",
        TimeoutType::Recycle => "one was being checked",
    }
}

impl From<RedisError> for PoolError {
    fn from(error: RedisError) -> Self {
        Self::Backend(error)
    }
}

/// For functions whose errors are redis-rs's. [`is_timeout`](RedisError::is_timeout) and the like say of it what
/// they say of a command on the pool.
impl From<PoolError> for RedisError {
    fn from(error: PoolError) -> Self {
        let text = error.to_string();
        match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => error::timed_out(text),
            PoolError::Closed => error::closed(),
            PoolError::NoRuntimeSpecified => error::no_runtime(),
            PoolError::PostCreateHook(HookError::Backend(error)) => error,
            PoolError::PostCreateHook(HookError::Message(_)) => {
                (ErrorKind::Client, "a hook refused a connection", text).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io;
    use std::sync::Arc;

    use super::*;

    fn server() -> NodeAddr {
        NodeAddr::new("10.0.0.1", 6379)
    }

    #[test]
    fn what_the_pool_says_has_its_variant() {
        let of = |refused| PoolError::of(&server(), refused);
        assert!(matches!(of(AcquireError::Closed), PoolError::Closed));
        let outside = of(AcquireError::NoRuntime);
        assert!(matches!(outside, PoolError::NoRuntimeSpecified));
        let late = ConnectError::TimedOut(std::time::Duration::from_secs(1));
        let late = of(AcquireError::Connect(Arc::new(late)));
        assert!(matches!(late, PoolError::Timeout(TimeoutType::Create)));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = ConnectError::Failed(RedisError::from(refused));
        let refused = of(AcquireError::Connect(Arc::new(refused)));
        assert!(matches!(&refused, PoolError::Backend(error) if error.is_connection_refusal()));
        assert!(refused.source().is_some());
    }

    #[test]
    fn redis_rs_tells_them_apart() {
        let of = RedisError::from;
        assert!(of(PoolError::Timeout(TimeoutType::Wait)).is_timeout());
        assert_eq!(of(PoolError::Closed).kind(), ErrorKind::Client);
        let hook = of(PoolError::PostCreateHook(HookError::message("not today")));
        assert!(hook.to_string().contains("not today"), "{hook}");
        let denied = RedisError::from((ErrorKind::AuthenticationFailed, "WRONGPASS"));
        let denied = PoolError::PostCreateHook(HookError::Backend(denied));
        assert_eq!(of(denied).kind(), ErrorKind::AuthenticationFailed);
    }
}

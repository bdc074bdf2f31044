//! This project's own client, at its defaults but for what has to be seen: few connections, so that there are lines.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisResult, Value, from_redis_value};
use wait_pool_redis::cluster::Pool;

use super::client::{Client, Held};

/// A pool for the cluster.
#[derive(Clone, Debug)]
pub struct Ours(Pool);

const PER_NODE: usize = 8;

impl Client for Ours {
    const NAME: &'static str = "wait-pool-redis";

    async fn open(urls: Vec<String>) -> anyhow::Result<Self> {
        let pool = Pool::builder(urls)
            .max_connections_per_node(PER_NODE)
            .request_timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self(pool))
    }

    async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        cmd.query_async(&mut self.0.clone()).await
    }

    async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = pipeline.len();
        self.0.clone().req_packed_commands(pipeline, 0, count).await
    }

    async fn add_twice(&self, key: &str) -> RedisResult<Option<[i64; 2]>> {
        let mut own = self.0.pin(key).await?;
        redis::cmd("WATCH").arg(key).exec_async(&mut own).await?;
        let mut add = redis::pipe();
        add.atomic().incr(key, 1).incr(key, 1);
        let value: Value = add.query_async(&mut own).await?;
        match value {
            Value::Nil => Ok(None),
            value => Ok(Some(from_redis_value(value)?)),
        }
    }

    fn resize(&self, size: usize) {
        self.0.resize(size);
    }

    fn cap_per_node(&self) -> Option<usize> {
        Some(PER_NODE)
    }

    fn held(&self) -> Option<Held> {
        let totals = self.0.totals();
        Some(Held {
            in_use: totals.in_use,
            waiting: totals.waiting,
        })
    }
}

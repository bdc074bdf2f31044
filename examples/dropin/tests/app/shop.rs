//! A small shop: what a service does with connections while everything goes well.

use std::collections::HashMap;

use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::streams::StreamReadReply;
use deadpool_redis::redis::{
    AsyncCommands, FromRedisValue, Pipeline, RedisError, RedisResult, Script, cmd,
    from_redis_value, pipe,
};
use deadpool_redis::{Connection, Pool, PoolError, Runtime};

use super::Journal;

/// The service's own error, as services have them.
#[derive(Debug)]
enum Error {
    Pool(PoolError),
    Redis(RedisError),
    SoldOut,
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pool(error) => write!(f, "no connection: {error}"),
            Self::Redis(error) => write!(f, "redis: {error}"),
            Self::SoldOut => f.write_str("sold out"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pool(error) => Some(error),
            Self::Redis(error) => Some(error),
            Self::SoldOut => None,
        }
    }
}

#[derive(Clone)]
struct Shop {
    pool: Pool,
    reserve: Script,
}

impl Shop {
    async fn connection(&self) -> Result<Connection, Error> {
        Ok(self.pool.get().await?)
    }

    async fn stock(&self, goods: &HashMap<&str, i64>) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let mut pipeline: Pipeline = pipe();
        pipeline.atomic();
        for (name, count) in goods {
            pipeline.hset("stock", *name, *count).ignore();
        }
        let () = pipeline.query_async(&mut connection).await?;
        Ok(())
    }

    /// Alone: nobody buys the same piece.
    async fn buy(&self, customer: &str, name: &str) -> Result<i64, Error> {
        let mut connection = self.connection().await?;
        loop {
            let () = cmd("WATCH")
                .arg("stock")
                .query_async(&mut connection)
                .await?;
            let left: Option<i64> = connection.hget("stock", name).await?;
            let Some(left) = left.filter(|left| *left > 0) else {
                let () = cmd("UNWATCH").query_async(&mut connection).await?;
                return Err(Error::SoldOut);
            };
            let mut sale = pipe();
            sale.atomic()
                .hset("stock", name, left - 1)
                .ignore()
                .rpush(format!("basket:{customer}"), name);
            let sold: Option<(i64,)> = sale.query_async(&mut connection).await?;
            if let Some((basket,)) = sold {
                return Ok(basket);
            }
        }
    }

    async fn reserve(&self, name: &str, count: i64) -> Result<i64, Error> {
        let mut connection = self.connection().await?;
        let mut script = self.reserve.key("stock");
        let script = script.arg(name).arg(count);
        Ok(script.invoke_async(&mut connection).await?)
    }

    async fn view<T: FromRedisValue>(&self, name: &str) -> Result<T, Error> {
        let mut connection = self.connection().await?;
        Ok(read(&mut connection, name).await?)
    }
}

/// As in any library on redis-rs.
async fn read<T: FromRedisValue>(
    connection: &mut impl AsyncCommands,
    name: &str,
) -> RedisResult<T> {
    connection.hget("stock", name).await
}

async fn by_reference(connection: &mut MultiplexedConnection) -> RedisResult<i64> {
    connection.incr("visits", 1).await
}

async fn behind_dyn(connection: &mut (dyn ConnectionLike + Send)) -> RedisResult<String> {
    let ping = cmd("PING");
    let answer = connection.req_packed_command(&ping).await?;
    Ok(from_redis_value(answer)?)
}

pub(super) async fn run(journal: &mut Journal, url: &str) {
    let pool = deadpool_redis::Config::from_url(url).create_pool(Some(Runtime::Tokio1));
    let shop = Shop {
        pool: pool.unwrap(),
        reserve: Script::new(
            "local left = redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2])
             if left < 0 then redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2]) return -1 end
             return left",
        ),
    };
    shop.stock(&HashMap::from([("apple", 20), ("pear", 1)]))
        .await
        .unwrap();
    let mut customers = Vec::new();
    for customer in 0..20 {
        let shop = shop.clone();
        customers.push(tokio::spawn(async move {
            shop.buy(&customer.to_string(), "apple").await
        }));
    }
    let mut baskets = Vec::new();
    for customer in customers {
        baskets.push(customer.await.unwrap().unwrap());
    }
    journal.note("baskets", baskets);
    journal.note("apples", shop.view::<i64>("apple").await.unwrap());
    let sold_out = shop.buy("late", "apple").await.unwrap_err();
    journal.note("sold out", matches!(sold_out, Error::SoldOut));
    journal.note("reserved", shop.reserve("pear", 1).await.unwrap());
    journal.note("not reserved", shop.reserve("pear", 1).await.unwrap());
    journal.note("no plums", shop.view::<Option<i64>>("plum").await.unwrap());
    let wrong = shop.view::<Vec<HashMap<String, String>>>("pear").await;
    journal.note("wrong type", matches!(wrong, Err(Error::Redis(_))));

    let mut connection = shop.connection().await.unwrap();
    let mixed: (i64, Option<String>, Vec<String>) = pipe()
        .cmd("INCR")
        .arg("counter")
        .get("nothing")
        .rpush("list", &["a", "b"])
        .ignore()
        .lrange("list", 0, -1)
        .query_async(&mut connection)
        .await
        .unwrap();
    journal.note("pipeline", mixed);
    let type_error: RedisResult<i64> = connection.incr("list", 1).await;
    journal.note(
        "error code",
        type_error.unwrap_err().code().map(str::to_owned),
    );
    journal.note("database", connection.get_db());
    journal.note("deref", by_reference(&mut connection).await.unwrap());
    let mut clone: MultiplexedConnection = connection.as_ref().clone();
    journal.note("as_ref", by_reference(&mut clone).await.unwrap());
    journal.note("as_mut", by_reference(connection.as_mut()).await.unwrap());
    journal.note("dyn", behind_dyn(&mut connection).await.unwrap());
    let _: String = connection
        .xadd("events", "*", &[("what", "sold")])
        .await
        .unwrap();
    let events: StreamReadReply = connection.xread(&["events"], &["0"]).await.unwrap();
    journal.note("stream", events.keys[0].ids.len());
    for number in 0..30 {
        let () = connection.sadd("numbers", number).await.unwrap();
    }
    let mut found = connection.sscan::<_, i64>("numbers").await.unwrap();
    let mut numbers = Vec::new();
    while let Some(number) = found.next_item().await {
        numbers.push(number.unwrap());
    }
    drop(found);
    numbers.sort_unstable();
    journal.note("scanned", (numbers.len(), numbers.last().copied()));

    let size = shop.pool.status().size;
    let mut taken: MultiplexedConnection = Connection::take(connection);
    journal.note("taken leaves", size - shop.pool.status().size);
    journal.note("taken works", by_reference(&mut taken).await.unwrap());
}

//! The same on a cluster.

use deadpool_redis::cluster::{
    Config, ConfigError, Connection, CreatePoolError, Manager, ObjectId, Pool, PoolConfig,
    PoolError, Runtime, Timeouts,
};
use deadpool_redis::redis::{AsyncCommands, RedisResult, Script, cmd, pipe};

use super::Journal;

async fn visit(connection: &mut impl AsyncCommands, user: &str) -> RedisResult<i64> {
    connection.incr(format!("{{{user}}}:visits"), 1).await
}

pub(super) async fn run(journal: &mut Journal, nodes: Vec<String>) {
    let text = serde_json::json!({
        "urls": nodes,
        "pool": { "max_size": 3, "timeouts": { "wait": { "secs": 2, "nanos": 0 } } },
        "read_from_replicas": false,
    });
    let config: Config = serde_json::from_value(text).unwrap();
    let pool: Pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    journal.note("cluster waits for", pool.timeouts().wait);

    let mut connection: Connection = pool.get().await.unwrap();
    let mut visits = 0;
    for user in 0..50 {
        visits += visit(&mut connection, &user.to_string()).await.unwrap();
    }
    journal.note("visits", visits);
    let (count, missing): (i64, Option<String>) = pipe()
        .cmd("INCR")
        .arg("{7}:visits")
        .get("{7}:nothing")
        .query_async(&mut connection)
        .await
        .unwrap();
    journal.note("cluster pipeline", (count, missing));
    let (left,): (i64,) = pipe()
        .atomic()
        .decr("{7}:visits", 1)
        .query_async(&mut connection)
        .await
        .unwrap();
    journal.note("cluster transaction", left);
    let script = Script::new("return redis.call('INCRBY', KEYS[1], 10)");
    let added: i64 = script
        .key("{7}:visits")
        .invoke_async(&mut connection)
        .await
        .unwrap();
    journal.note("cluster script", added);
    let wrong: RedisResult<i64> = cmd("LLEN")
        .arg("{7}:visits")
        .query_async(&mut connection)
        .await;
    journal.note(
        "cluster error",
        wrong.unwrap_err().code().map(str::to_owned),
    );
    drop(connection);

    let one: ObjectId = Connection::id(&pool.get().await.unwrap());
    let same = Connection::id(&pool.timeout_get(&Timeouts::new()).await.unwrap());
    journal.note("cluster object again", one == same);
    let mut crowd = Vec::new();
    for user in 0..20 {
        let pool = pool.clone();
        crowd.push(tokio::spawn(async move {
            let mut connection = pool.get().await?;
            visit(&mut connection, &user.to_string())
                .await
                .map_err(PoolError::from)
        }));
    }
    let mut counts = Vec::new();
    for one in crowd {
        counts.push(one.await.unwrap().unwrap());
    }
    journal.note("cluster crowd", counts.iter().sum::<i64>());

    let mut taken = Connection::take(pool.get().await.unwrap());
    journal.note("cluster taken", visit(&mut taken, "8").await.unwrap());
    let weak = pool.weak();
    journal.note("cluster weak", weak.upgrade().is_some());
    pool.close();
    let closed = matches!(pool.get().await, Err(PoolError::Closed));
    journal.note(
        "cluster closed",
        (pool.is_closed(), closed, pool.status().max_size),
    );

    let manager = Manager::new(nodes, false).unwrap();
    let pool = Pool::builder(manager)
        .config(PoolConfig::new(2))
        .build()
        .unwrap();
    let mut connection = pool.get().await.unwrap();
    let found: Option<i64> = connection.get("{8}:visits").await.unwrap();
    journal.note("cluster from a manager", found);
    let mut both = Config::from_urls(["redis://h".to_owned()]);
    both.connections = Config::default().connections;
    let refused = both.create_pool(None).map(drop);
    let refused = matches!(
        refused,
        Err(CreatePoolError::Config(
            ConfigError::UrlAndConnectionSpecified
        ))
    );
    journal.note("cluster urls and connections are refused", refused);
}

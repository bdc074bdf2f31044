//! The configuration of a pool behind sentinels.

use std::time::Duration;

use deadpool_redis::RedisConnectionInfo;
use deadpool_redis::redis::{self, AsyncCommands};
use deadpool_redis::sentinel::{
    Config, ConfigError, Connection, CreatePoolError, Manager, Pool, PoolError, Runtime,
    SentinelNodeConnectionInfo, SentinelServerType, TimeoutType, Timeouts, TlsMode,
};

use super::Journal;

pub(super) fn run(journal: &mut Journal) {
    let config: Config = serde_json::from_str(
        r#"{
            "urls": ["redis://127.0.0.1:26379", "redis://127.0.0.1:26380"],
            "node_connection_info": {
                "tls_mode": "Secure",
                "redis_connection_info": {
                    "db": 2, "username": "shop", "password": null, "protocol": "RESP3"
                }
            }
        }"#,
    )
    .unwrap();
    journal.note("master by default", &config.master_name);
    let master = matches!(config.server_type, SentinelServerType::Master);
    journal.note("the master itself", master);
    journal.note("sentinels", config.urls.as_ref().map(Vec::len));
    let info = config.node_connection_info.clone().unwrap();
    journal.note("tls", matches!(info.tls_mode, Some(TlsMode::Secure)));
    let own: RedisConnectionInfo = info.redis_connection_info.clone().unwrap();
    journal.note("user", own.username);
    let _theirs: redis::sentinel::SentinelNodeConnectionInfo = info.into();
    let replica = redis::sentinel::SentinelServerType::from(SentinelServerType::Replica);
    let replica = SentinelServerType::from(replica);
    journal.note("a replica", matches!(replica, SentinelServerType::Replica));

    let config = Config::from_urls(
        vec!["redis://127.0.0.1:26379".to_owned()],
        "shop".to_owned(),
        SentinelServerType::Replica,
    );
    let config = config.with_node_connection_info(Some(SentinelNodeConnectionInfo::default()));
    let written = serde_json::to_value(&config).unwrap();
    journal.note("written name", written["master_name"].as_str());
    journal.note("written type", written["server_type"].as_str());
    journal.note("default size", config.get_pool_config().max_size > 0);
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    journal.note(
        "behind sentinels, nothing open",
        (pool.status().size, pool.is_closed()),
    );
    pool.close();
    journal.note("behind sentinels, closed", pool.is_closed());
    let mut both = config;
    both.connections = Config::default().connections;
    let refused = both.create_pool(None).map(drop);
    let refused = matches!(
        refused,
        Err(CreatePoolError::Config(
            ConfigError::UrlAndConnectionSpecified
        ))
    );
    journal.note("sentinels given twice are refused", refused);
    let default = Config::default().connections.unwrap();
    let port = matches!(
        &default[0].addr,
        deadpool_redis::ConnectionAddr::Tcp(_, 26379)
    );
    journal.note("default sentinel", port);
}

/// On servers that these sentinels watch by the name of `shop`.
pub(super) async fn live(journal: &mut Journal, sentinels: Vec<String>) {
    let open = |kind| {
        let manager = Manager::new(sentinels.clone(), "shop".to_owned(), None, kind).unwrap();
        let builder = Pool::builder(manager).max_size(1).runtime(Runtime::Tokio1);
        builder.build().unwrap()
    };
    let pool = open(SentinelServerType::Master);
    let mut own: Connection = pool.get().await.unwrap();
    journal.note("to the master", role(&mut own).await);
    let () = own.set("stock", 3).await.unwrap();
    journal.note("its stock", own.get::<_, u32>("stock").await.unwrap());
    let mut hasty = Timeouts::new();
    hasty.wait = Some(Duration::ZERO);
    let refused = pool.timeout_get(&hasty).await.map(drop);
    let none_left = matches!(refused, Err(PoolError::Timeout(TimeoutType::Wait)));
    journal.note("there is one only", none_left);
    drop(own);
    let looked = pool.retain(|_, _| false);
    journal.note("taken out", (looked.retained, looked.removed.len()));
    journal.note("none is left", pool.status().size);
    let () = pool.get().await.unwrap().set("stock", 2).await.unwrap();
    pool.close();
    let closed = pool.get().await.map(drop);
    journal.note("closed", matches!(closed, Err(PoolError::Closed)));

    let config = Config::from_urls(
        sentinels.clone(),
        "shop".to_owned(),
        SentinelServerType::Replica,
    );
    let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
    let mut own = pool.get().await.unwrap();
    journal.note("to a replica", role(&mut own).await);
    let refused = own.set::<_, _, ()>("stock", 1).await.unwrap_err();
    journal.note("which writes nothing", refused.code());
}

async fn role(own: &mut Connection) -> String {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(own).await.unwrap();
    redis::from_redis_value(role[0].clone()).unwrap()
}

//! Configuration from files and from the environment.

use deadpool_redis::redis::{self, AsyncCommands};
use deadpool_redis::{
    Config, ConfigError, ConnectionAddr, ConnectionInfo, CreatePoolError, PoolConfig,
    ProtocolVersion, QueueMode, RedisConnectionInfo, Runtime, Timeouts,
};
use serde::{Deserialize, Serialize};

use super::Journal;

#[derive(Debug, Default, Deserialize, Serialize)]
struct Settings {
    listen: Option<String>,
    #[serde(default)]
    redis: Config,
}

pub(super) async fn run(journal: &mut Journal, url: &str) {
    let text = format!(
        r#"{{
            "listen": "0.0.0.0:80",
            "redis": {{
                "url": "{url}/1",
                "pool": {{
                    "max_size": 3,
                    "timeouts": {{
                        "wait": {{ "secs": 2, "nanos": 0 }},
                        "create": null,
                        "recycle": null
                    }},
                    "queue_mode": "Lifo"
                }}
            }}
        }}"#
    );
    let settings: Settings = serde_json::from_str(&text).unwrap();
    journal.note("listens", &settings.listen);
    let pool = settings.redis.create_pool(Some(Runtime::Tokio1)).unwrap();
    journal.note("size from a file", pool.status().max_size);
    journal.note("wait from a file", pool.timeouts().wait);
    let mut connection = pool.get().await.unwrap();
    let () = connection.set("files", 1).await.unwrap();
    drop(connection);

    let (host, port) = url.rsplit_once('/').unwrap().1.split_once(':').unwrap();
    let info = ConnectionInfo {
        addr: ConnectionAddr::Tcp(host.to_owned(), port.parse().unwrap()),
        redis: RedisConnectionInfo {
            db: 1,
            username: None,
            password: None,
            protocol: ProtocolVersion::RESP3,
        },
    };
    let info: redis::ConnectionInfo = info.into();
    let mut config = Config::from_connection_info(info);
    config.pool = Some(PoolConfig {
        max_size: 2,
        timeouts: Timeouts::wait_millis(500),
        queue_mode: QueueMode::Fifo,
    });
    let written = serde_json::to_value(&config).unwrap();
    journal.note("written connection", written["connection"]["db"].as_i64());
    journal.note(
        "written protocol",
        written["connection"]["protocol"].as_str(),
    );
    let address = &written["connection"]["addr"]["Tcp"][0];
    journal.note("written address", address.as_str());
    journal.note("written pool", written["pool"].to_string());
    let again: Config = serde_json::from_value(written).unwrap();
    let pool = again
        .builder()
        .unwrap()
        .max_size(1)
        .runtime(Runtime::Tokio1);
    let pool = pool.build().unwrap();
    let found: Option<i32> = pool.get().await.unwrap().get("files").await.unwrap();
    journal.note("found in database 1", found);
    journal.note("size", pool.status().max_size);
    journal.note("waits for", pool.timeouts().wait);

    let mut both = Config::from_url(url);
    both.connection = Some(ConnectionInfo::default());
    let both = both.create_pool(None);
    let refused = matches!(
        both,
        Err(CreatePoolError::Config(
            ConfigError::UrlAndConnectionSpecified
        ))
    );
    journal.note("url and connection are refused", refused);
    let unknown = Config::from_url("carrot://h").create_pool(None);
    let refused = matches!(unknown, Err(CreatePoolError::Config(ConfigError::Redis(_))));
    journal.note("an unknown scheme is refused", refused);
    let default = Config::default();
    journal.note("default has a url", default.url.is_some());
    let default = default.connection.unwrap().addr;
    let local = matches!(default, ConnectionAddr::Tcp(host, 6379) if host == "127.0.0.1");
    journal.note("default is local", local);
    let size = Config::from_url(url).get_pool_config().max_size;
    let cores = std::thread::available_parallelism().unwrap().get();
    journal.note("default size is twice the cores", size == cores * 2);
    let error: Box<dyn std::error::Error + Send + Sync> = Config::from_url("carrot://h")
        .create_pool(None)
        .unwrap_err()
        .into();
    journal.note("errors say something", !error.to_string().is_empty());
}

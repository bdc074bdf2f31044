//! An application that was written for deadpool-redis and runs on wait-pool-redis, with one line of its
//! `Cargo.toml` changed: see `tests`.

pub use deadpool_redis as redis_pool;

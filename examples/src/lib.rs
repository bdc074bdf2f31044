//! Programs that use wait-pool and wait-pool-redis.

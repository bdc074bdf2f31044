//! Programs that use wait-pool and wait-pool-redis, in `src/bin`, and the code of the project's
//! pages, which is compiled here.

pub mod feast;

#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/architecture.md")]
#[doc = include_str!("../../docs/guarantees.md")]
#[doc = include_str!("../../docs/migrating.md")]
#[doc = include_str!("../../crates/wait-pool/README.md")]
#[doc = include_str!("../../crates/wait-pool-redis/README.md")]
#[cfg(doctest)]
mod pages {}

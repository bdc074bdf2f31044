//! What users of other pools have suffered, told in public threads, and that it does not happen here.
//!
//! `docs/field.md` lists them all, with those that other test files have a test for.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod keeping;
mod opening;
mod waiting;

use common::Connector;
use wait_pool::Pool;

/// Has so many connections open and idle.
async fn open(pool: &Pool<Connector>, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(pool.get().await.unwrap());
    }
}

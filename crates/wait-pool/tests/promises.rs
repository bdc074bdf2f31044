//! Which types may cross threads, be moved while pinned, and be printed.

mod common;

use std::fmt::Debug;

use common::Connector;
use wait_pool::{AcquireError, Builder, Lease, Manager, Pool, Pooled, Status};

fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
fn value<T: Debug + Send + Sync + Unpin + 'static>() {}
fn future<T: Send>(_: T) {}

/// A connection that is `Send + Sync` and nothing else.
struct Bare;

impl Manager for Bare {
    type Connection = std::marker::PhantomPinned;
    type Error = std::io::Error;

    async fn connect(&self) -> std::io::Result<Self::Connection> {
        Ok(std::marker::PhantomPinned)
    }

    async fn check(&self, _: &mut Self::Connection) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn handles_and_guards_go_anywhere() {
    handle::<Pool<Connector>>();
    handle::<Pool<Bare>>();
    value::<Pooled<Connector>>();
    value::<Pooled<Bare>>();
    value::<Lease<Bare>>();
    value::<Builder<Connector>>();
    value::<AcquireError<std::io::Error>>();
    handle::<Status>();
    let pool = Pool::builder(Bare).build().unwrap();
    future(pool.get());
    future(pool.lease());
}

//! Which types may cross threads, be moved while pinned, and be printed.

mod common;

use std::fmt::Debug;

use common::Connector;
use wait_pool::event::{CheckOutFailedReason, CloseReason, Event, Listener};
use wait_pool::{
    AcquireError, BuildError, Builder, ConnectError, Holding, Hook, Lease, Manager, Phase, Pool,
    Pooled, Priority, QueuePolicy, Request, Status, Timeout, TryAcquireError,
};

fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
fn value<T: Debug + Send + Sync + Unpin + 'static>() {}
fn plain<T: Copy + Debug + Send + Sync + Unpin>() {}
fn object<T: ?Sized + Send + Sync + 'static>() {}
fn future<T: Future + Send + Unpin>(_: &T) {}
fn pinned<T: Future + Send>(_: &T) {}

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
    plain::<Request<'_, Connector>>();
    plain::<Request<'_, Bare>>();
}

#[test]
fn what_is_told_goes_anywhere() {
    value::<AcquireError<std::io::Error>>();
    value::<ConnectError<std::io::Error>>();
    value::<Timeout<std::io::Error>>();
    handle::<BuildError>();
    plain::<TryAcquireError>();
    plain::<Phase>();
    plain::<Status>();
    plain::<Holding>();
    plain::<Priority>();
    plain::<QueuePolicy>();
    plain::<Event<'_>>();
    plain::<CloseReason>();
    plain::<CheckOutFailedReason>();
    object::<dyn Listener>();
    object::<dyn Hook<Bare>>();
}

#[test]
fn futures_go_to_other_threads() {
    let pool = Pool::builder(Bare).build().unwrap();
    pinned(&pool.get());
    pinned(&pool.lease());
    future(&pool.request().get());
    future(&pool.request().lease());
    pinned(&pool.warm_up());
    pinned(&pool.close_with(std::time::Instant::now()));
}

//! Requests, by the public API alone, so that the way they go inside may change.

use std::net::SocketAddr;

use anyhow::ensure;
use futures_util::future::{join_all, poll_immediate};
use redis::Pipeline;
use tokio::task::unconstrained;
use wait_pool_redis::{Builder, NodeAddr, cluster};

use crate::count;
use crate::server::{self, VALUE};

/// Ten keys of a request, and three nodes that have some of them each.
const KEYS: u32 = 10;
const NODES: usize = 3;

/// A pipeline of ten `GET`s, routed, grouped by node, and put into the lines of three nodes whose connections others
/// have; then given up. It is all of a request that comes before it is sent.
pub(crate) fn plan(times: u32) -> anyhow::Result<()> {
    let (servers, runtime) = server::start(NODES)?;
    let pool = pool(&servers).max_connections_per_node(1);
    let pool = pool.request_timeout(None).build()?;
    let taken = servers.iter().map(|it| {
        let node = NodeAddr::new(it.ip().to_string(), it.port());
        let pool = pool.clone();
        async move { pool.pin_node(&node).await }
    });
    let taken = runtime.block_on(join_all(taken));
    let taken: Vec<_> = taken.into_iter().collect::<Result<_, _>>()?;
    let gets = gets();
    let mut caller = pool.clone();
    count(&runtime, times, async || {
        // Nothing here ever yields to tokio, which would otherwise hold the request up every so often.
        let request = unconstrained(gets.query_async::<Vec<u64>>(&mut caller));
        ensure!(poll_immediate(request).await.is_none(), "it did not wait");
        Ok(())
    })?;
    ensure!(pool.totals().in_use == taken.len() && pool.totals().waiting == 0);
    Ok(())
}

/// One `GET`, to one server.
pub(crate) fn command(times: u32) -> anyhow::Result<()> {
    let (servers, runtime) = server::start(1)?;
    let mut pool = wait_pool_redis::Pool::builder(url(&servers[0])).build()?;
    let get = redis::cmd("GET").arg(key(0)).take();
    count(&runtime, times, async || {
        let value: u64 = get.query_async(&mut pool).await?;
        ensure!(value == VALUE);
        Ok(())
    })
}

/// A pipeline of ten `GET`s over three nodes.
pub(crate) fn pipeline(times: u32) -> anyhow::Result<()> {
    let (servers, runtime) = server::start(NODES)?;
    let mut pool = pool(&servers).build()?;
    let gets = gets();
    count(&runtime, times, async || {
        let values: Vec<u64> = gets.query_async(&mut pool).await?;
        ensure!(values == [VALUE; KEYS as usize]);
        Ok(())
    })
}

/// An `MGET` of the same keys, which are in as many slots.
pub(crate) fn mget(times: u32) -> anyhow::Result<()> {
    let (servers, runtime) = server::start(NODES)?;
    let mut pool = pool(&servers).build()?;
    let mget = redis::cmd("MGET")
        .arg((0..KEYS).map(key).collect::<Vec<_>>())
        .take();
    count(&runtime, times, async || {
        let values: Vec<u64> = mget.query_async(&mut pool).await?;
        ensure!(values == [VALUE; KEYS as usize]);
        Ok(())
    })
}

/// A lookup of the same keys.
pub(crate) fn lookup(times: u32) -> anyhow::Result<()> {
    let (servers, runtime) = server::start(NODES)?;
    let lookup = pool(&servers).build()?.lookup();
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    count(&runtime, times, async || {
        let values = lookup.keys(&keys).get::<u64>().await.all()?;
        ensure!(values == [Some(VALUE); KEYS as usize]);
        Ok(())
    })
}

/// What comes by the clock alone is turned off: it would be counted in some runs.
fn pool(servers: &[SocketAddr]) -> Builder<cluster::Pool> {
    let urls: Vec<String> = servers.iter().map(url).collect();
    cluster::Pool::builder(urls).topology_check_interval(None)
}

fn url(server: &SocketAddr) -> String {
    format!("redis://{server}")
}

fn gets() -> Pipeline {
    let mut gets = redis::pipe();
    for number in 0..KEYS {
        gets.get(key(number));
    }
    gets
}

fn key(number: u32) -> String {
    format!("user:{number}:clicks")
}

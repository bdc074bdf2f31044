//! The hooks, at the turns of a connection's life that the pool below knows.

use async_trait::async_trait;
use redis::RedisResult;
use wait_pool::{Builder, Hook};

use crate::connector::{Connector, Link};
use crate::hook::{self, Hooks};

/// Has the pool call the hooks, each kind only where there is one: what is done before use costs every
/// checkout a little.
pub(crate) fn hook_up(builder: Builder<Connector>, hooks: &Hooks) -> Builder<Connector> {
    let builder = match hooks.post_create.is_empty() {
        true => builder,
        false => builder.after_connect(Created(hooks.clone())),
    };
    match hooks.are_before_use() {
        true => builder.before_use(Recycled(hooks.clone())),
        false => builder,
    }
}

struct Created(Hooks);

#[async_trait]
impl Hook<Connector> for Created {
    async fn call(&self, link: &mut Link) -> RedisResult<()> {
        let (connection, metrics) = link.parts();
        let done = Hooks::run(&self.0.post_create, connection, metrics).await;
        done.map_err(hook::refused)
    }
}

struct Recycled(Hooks);

#[async_trait]
impl Hook<Connector> for Recycled {
    async fn call(&self, link: &mut Link) -> RedisResult<()> {
        if link.is_new() {
            return Ok(());
        }
        let (connection, metrics) = link.parts();
        for hooks in [&self.0.pre_recycle, &self.0.post_recycle] {
            let done = Hooks::run(hooks, connection, metrics).await;
            done.map_err(hook::refused)?;
        }
        Ok(())
    }
}

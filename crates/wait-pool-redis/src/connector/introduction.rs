//! What a server is told of a new connection.

use redis::{Cmd, ConnectionInfo};

/// What a server is told of who is there: for people who read `CLIENT LIST`, so nobody waits for the
/// answers, and a server that knows no `CLIENT SETINFO` (before 7.2) or a user that may not run it does no harm.
///
/// redis-rs has told its own name and version in the handshake; its name becomes
/// `redis-rs(wait-pool-redis_v…)`, [as is the custom](https://redis.io/docs/latest/commands/client-setinfo/)
/// of what stands on another library, unless the application has set or forbidden it.
pub(super) fn introduction(info: &ConnectionInfo, name: &str) -> Vec<Cmd> {
    let mut commands = Vec::new();
    if !name.is_empty() {
        commands.push(redis::cmd("CLIENT").arg("SETNAME").arg(name).take());
    }
    let settings = info.redis_settings();
    if !settings.skip_set_lib_name() && settings.lib_name().is_none() {
        let library = redis::cmd("CLIENT")
            .arg("SETINFO")
            .arg("LIB-NAME")
            .arg(LIBRARY)
            .take();
        commands.push(library);
    }
    for cmd in &mut commands {
        cmd.set_no_response(true);
    }
    commands
}

const LIBRARY: &str = concat!("redis-rs(wait-pool-redis_v", env!("CARGO_PKG_VERSION"), ")");

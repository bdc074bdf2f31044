//! Failovers as a sentinel announces them.
//!
//! One task with one connection, to any of the sentinels. It does nothing while nothing is announced; if its
//! connection is lost it goes to the next sentinel. It does not keep the pool: it ends with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult, Value, from_redis_value,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::{Group, Topologies};
use crate::connector::Connector;
use crate::error;
use crate::node::NodeAddr;

const CHANNEL: &str = "+switch-master";

/// Between two attempts to subscribe, doubled from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Nothing comes for months, so it is the operating system that finds out whether the sentinel is there.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// How often the topology is looked up for one announcement. A look-up may have begun before it.
const TRIES: u32 = 10;

/// The task, if it runs. Its drop ends it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Watch {
    /// Begins, unless it has: again if the runtime that it ran in has ended.
    pub(super) fn begin(&self, group: &Arc<Group>, topologies: &Arc<Topologies>) {
        let mut task = self.task.lock();
        let runs = task.as_ref().is_some_and(|task| !task.is_finished());
        if let (false, Ok(runtime)) = (runs, Handle::try_current()) {
            let watch = watch(Arc::clone(group), Arc::downgrade(topologies));
            *task = Some(runtime.spawn(watch));
        }
    }

    pub(super) fn end(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

async fn watch(group: Arc<Group>, topologies: Weak<Topologies>) {
    let mut pause = PAUSES.0;
    loop {
        for (_, info) in group.candidates() {
            let Ok(mut subscription) = Subscription::begin(&group, info).await else {
                continue;
            };
            pause = PAUSES.0;
            // Something may have happened while nobody listened.
            if let Some(topologies) = topologies.upgrade() {
                topologies.request();
            }
            while let Some(master) = subscription.next(&group.master).await {
                look_up(&topologies, &master).await;
            }
        }
        tokio::time::sleep(pause.mul_f64(1.0 + 0.5 * fastrand::f64())).await;
        pause = PAUSES.1.min(pause * 2);
    }
}

/// Has the topology looked up until it names the new master.
async fn look_up(topologies: &Weak<Topologies>, master: &NodeAddr) {
    for _ in 0..TRIES {
        let Some(topologies) = topologies.upgrade() else {
            return;
        };
        match topologies.after_refresh().await {
            Ok(known) if known.topology.primary(0) == master => return,
            _ if topologies.is_closed() => return,
            _ => {}
        }
    }
}

struct Subscription {
    /// Open as long as this is there.
    _connection: MultiplexedConnection,
    pushed: UnboundedReceiver<PushInfo>,
}

impl Subscription {
    async fn begin(group: &Group, info: ConnectionInfo) -> RedisResult<Self> {
        let (sender, pushed) = unbounded_channel();
        let mut settings = group.settings.clone();
        settings.connection = settings.connection.set_push_sender(sender);
        let connector = Connector::apart(lasting(info), &settings, "failover")?;
        let begin = async {
            let mut connection = connector.open().await?;
            connection.subscribe(CHANNEL).await?;
            RedisResult::Ok(connection)
        };
        let limit = settings.connect_timeout;
        let connection = tokio::time::timeout(limit, begin).await;
        let connection = connection.map_err(|_| error::timed_out(CHANNEL.to_owned()))??;
        Ok(Self {
            _connection: connection,
            pushed,
        })
    }

    /// The next master that is announced for this name; `None` once the connection is lost.
    async fn next(&mut self, name: &str) -> Option<NodeAddr> {
        loop {
            let push = self.pushed.recv().await?;
            match push.kind {
                PushKind::Disconnection => return None,
                PushKind::Message => {
                    let (_, message): (String, String) =
                        from_redis_value(Value::Array(push.data)).ok()?;
                    if let Some(master) = new_master(&message, name) {
                        return Some(master);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Reads `NAME OLD-IP OLD-PORT NEW-IP NEW-PORT`.
fn new_master(message: &str, name: &str) -> Option<NodeAddr> {
    let mut words = message.rsplitn(5, ' ');
    let port = words.next()?.parse().ok()?;
    let host = words.next()?;
    (words.nth(2)? == name).then(|| NodeAddr::new(host, port))
}

fn lasting(info: ConnectionInfo) -> ConnectionInfo {
    let protocol = info.redis_settings().clone();
    let info = info.set_redis_settings(protocol.set_protocol(ProtocolVersion::RESP3));
    let settings = info.tcp_settings().clone();
    if settings.keepalive().is_some() {
        return info;
    }
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE.0)
        .with_interval(KEEPALIVE.1);
    info.set_tcp_settings(settings.set_keepalive(keepalive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_of_this_master_are_read() {
        let message = "features 127.0.0.1 6379 redis-1.example 6380";
        let master = NodeAddr::new("redis-1.example", 6380);
        assert_eq!(new_master(message, "features"), Some(master));
        assert_eq!(new_master(message, "sessions"), None);
        assert_eq!(new_master("features 127.0.0.1 6379", "features"), None);
        assert_eq!(new_master("features a 1 b c", "features"), None);
    }
}

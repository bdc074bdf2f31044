//! What a sentinel tells of the master it watches, and of who else watches it.

use std::collections::HashMap;

use redis::{RedisResult, Value, from_redis_value};

use crate::node::NodeAddr;

/// The answers of one sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentinelReply {
    pub(crate) master: NodeAddr,
    /// Goes up with every failover.
    pub(crate) epoch: u64,
    /// Those that follow the master and are well.
    pub(crate) replicas: Vec<NodeAddr>,
    /// The others that watch it.
    pub(crate) sentinels: Vec<NodeAddr>,
}

impl SentinelReply {
    /// Reads the answers to `SENTINEL GET-MASTER-ADDR-BY-NAME`, `MASTER`, `REPLICAS` and `SENTINELS`. `None` if the
    /// sentinel knows no master by that name.
    ///
    /// # Errors
    ///
    /// If the first of them is nothing that a sentinel says. What the others lack is left out.
    pub(crate) fn read(answers: [Value; 4]) -> RedisResult<Option<Self>> {
        let [master, state, replicas, sentinels] = answers;
        let Some((host, port)) =
            from_redis_value::<Option<(String, u16)>>(master.extract_error()?)?
        else {
            return Ok(None);
        };
        let state: HashMap<String, String> = from_redis_value(state).unwrap_or_default();
        let epoch = state
            .get("config-epoch")
            .and_then(|epoch| epoch.parse().ok());
        Ok(Some(Self {
            master: NodeAddr::new(host, port),
            epoch: epoch.unwrap_or_default(),
            replicas: instances(replicas, follows),
            sentinels: instances(sentinels, |_| true),
        }))
    }
}

type Instance = HashMap<String, String>;

/// The addresses of those that fit.
fn instances(answer: Value, fit: impl Fn(&Instance) -> bool) -> Vec<NodeAddr> {
    let all: Vec<Instance> = from_redis_value(answer).unwrap_or_default();
    let addr = |instance: &Instance| {
        let port = instance.get("port")?.parse().ok()?;
        Some(NodeAddr::new(instance.get("ip")?.as_str(), port))
    };
    all.iter().filter(|it| fit(it)).filter_map(addr).collect()
}

/// A master that is down stands among the replicas of the next, with the flags of one that is.
fn follows(replica: &Instance) -> bool {
    let is = |field: &str, value: &str| replica.get(field).is_some_and(|is| is == value);
    let sick = ["s_down", "o_down", "disconnected"];
    let mut flags = replica
        .get("flags")
        .into_iter()
        .flat_map(|flags| flags.split(','));
    is("master-link-status", "ok")
        && is("role-reported", "slave")
        && !flags.any(|flag| sick.contains(&flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn list(words: &str) -> Value {
        Value::Array(words.split(' ').map(text).collect())
    }

    fn addrs(ports: &[u16]) -> Vec<NodeAddr> {
        ports
            .iter()
            .map(|&port| NodeAddr::new("10.0.0.1", port))
            .collect()
    }

    fn replica(port: u16, flags: &str, link: &str, role: &str) -> Value {
        list(&format!(
            "name x ip 10.0.0.1 port {port} flags {flags} master-link-status {link} role-reported {role}"
        ))
    }

    #[test]
    fn replicas_that_are_not_well_are_left_out() {
        let replicas = Value::Array(vec![
            replica(1, "slave", "ok", "slave"),
            replica(2, "s_down,slave,disconnected", "ok", "slave"),
            replica(3, "slave", "err", "slave"),
            // The old master, back again and not told yet.
            replica(4, "slave", "ok", "master"),
            list("name x ip 10.0.0.1"),
        ]);
        let sentinels = Value::Array(vec![
            list("ip 10.0.0.1 port 26379"),
            list("ip 10.0.0.1 port x"),
        ]);
        let told = SentinelReply::read([
            list("10.0.0.1 6379"),
            list("name m config-epoch 7"),
            replicas,
            sentinels,
        ]);
        assert_eq!(
            told.unwrap().unwrap(),
            SentinelReply {
                master: NodeAddr::new("10.0.0.1", 6379),
                epoch: 7,
                replicas: addrs(&[1]),
                sentinels: addrs(&[26379]),
            }
        );
    }

    #[test]
    fn only_the_address_of_the_master_is_needed() {
        let unknown = redis::parse_redis_value(b"-ERR no\r\n").unwrap();
        let others = || [unknown.clone(), unknown.clone(), unknown.clone()];
        let read = |master: Value| {
            let [state, replicas, sentinels] = others();
            SentinelReply::read([master, state, replicas, sentinels])
        };
        let told = read(list("redis.example 6379")).unwrap().unwrap();
        assert_eq!((told.epoch, told.replicas), (0, Vec::new()));
        assert_eq!(read(Value::Nil).unwrap(), None);
        assert!(read(unknown.clone()).is_err());
        assert!(read(text("?")).is_err());
    }
}

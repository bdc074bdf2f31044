//! Who serves which key, as a cluster says it.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use crc16::{State, XMODEM};
use redis::{FromRedisValue as _, Value};

const SLOTS: u16 = 16_384;

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The masters with their slots, and the replicas.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) masters: Vec<Address>,
    pub(super) replicas: Vec<Address>,
    /// For each slot the place of its master.
    owners: Box<[usize]>,
}

impl Slots {
    /// Reads the reply of `CLUSTER SLOTS`. A node that does not know its own name is at `asked`.
    pub(super) fn read(reply: Value, asked: &str) -> anyhow::Result<Self> {
        let ranges: Vec<Vec<Value>> = Vec::from_redis_value(reply)?;
        let mut slots = Self {
            masters: Vec::new(),
            replicas: Vec::new(),
            owners: vec![usize::MAX; usize::from(SLOTS)].into(),
        };
        for range in ranges {
            slots.add(range, asked)?;
        }
        if let Some(slot) = slots.owners.iter().position(|&owner| owner == usize::MAX) {
            bail!("the cluster is not whole: nobody serves slot {slot}");
        }
        Ok(slots)
    }

    /// Adds what `CLUSTER NODES` says: `CLUSTER SLOTS` leaves out replicas that have had nothing to
    /// replicate so far.
    pub(super) fn add_replicas(&mut self, reply: &str) {
        let replicas: Vec<_> = reply.lines().filter_map(replica).collect();
        // There the same nodes may have other names, so these replace the known ones or are none.
        if replicas.len() > self.replicas.len() {
            self.replicas = replicas;
        }
    }

    /// Which of the masters serves the key. Keys with braces are none of ours.
    pub(super) fn owner(&self, key: &str) -> usize {
        let slot = State::<XMODEM>::calculate(key.as_bytes()) % SLOTS;
        self.owners[usize::from(slot)]
    }

    /// Masters and replicas.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Address> {
        self.masters.iter().chain(&self.replicas)
    }

    /// `[first, last, master, replica…]`, a node being `[host, port, …]`.
    fn add(&mut self, range: Vec<Value>, asked: &str) -> anyhow::Result<()> {
        let mut range = range.into_iter();
        let mut number = || -> anyhow::Result<u16> {
            let value = range.next().context("a slot range without its ends")?;
            Ok(u16::from_redis_value(value)?)
        };
        let (first, last) = (number()?, number()?);
        ensure!(first <= last && last < SLOTS, "slots {first} to {last}");
        let mut nodes = range.map(|node| address(node, asked));
        let master = nodes.next().context("a slot range without its master")??;
        let place = place(&mut self.masters, master);
        self.owners[usize::from(first)..=usize::from(last)].fill(place);
        for replica in nodes {
            self::place(&mut self.replicas, replica?);
        }
        Ok(())
    }
}

fn place(nodes: &mut Vec<Address>, node: Address) -> usize {
    nodes
        .iter()
        .position(|known| *known == node)
        .unwrap_or_else(|| {
            nodes.push(node);
            nodes.len() - 1
        })
}

fn address(node: Value, asked: &str) -> anyhow::Result<Address> {
    let mut parts = Vec::<Value>::from_redis_value(node)?.into_iter();
    let host = Option::<String>::from_redis_value(parts.next().context("a node without a host")?)?;
    let port = u16::from_redis_value(parts.next().context("a node without a port")?)?;
    let host = host.filter(|host| !host.is_empty());
    Ok(Address {
        host: host.unwrap_or_else(|| asked.to_owned()),
        port,
    })
}

/// `ID HOST:PORT@BUS[,NAME] FLAGS …`, if it is a replica in good health.
fn replica(line: &str) -> Option<Address> {
    let mut words = line.split(' ').skip(1);
    let (place, flags) = (words.next()?, words.next()?);
    let mut flags = flags.split(',');
    let healthy = flags.clone().all(|flag| matches!(flag, "slave" | "myself"));
    let (host, port) = place.split('@').next()?.rsplit_once(':')?;
    (healthy && flags.any(|flag| flag == "slave")).then_some(Address {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        let id = Value::BulkString(b"07c37dfeb235213a872192d90877d0cd55635b91".to_vec());
        Value::Array(vec![
            Value::BulkString(host.into()),
            Value::Int(port),
            id,
            Value::Array(Vec::new()),
        ])
    }

    fn range(first: i64, last: i64, nodes: impl IntoIterator<Item = Value>) -> Value {
        let mut values = vec![Value::Int(first), Value::Int(last)];
        values.extend(nodes);
        Value::Array(values)
    }

    #[test]
    fn masters_replicas_and_owners_are_read() {
        let reply = Value::Array(vec![
            range(0, 99, [node("10.0.0.1", 1), node("10.0.0.1", 3)]),
            range(100, 12_000, [node("", 2)]),
            range(12_001, 16_383, [node("10.0.0.1", 1), node("10.0.0.1", 3)]),
        ]);
        let slots = Slots::read(reply, "10.0.0.9").unwrap();
        let texts: Vec<_> = slots.nodes().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.1:1", "10.0.0.9:2", "10.0.0.1:3"]);
        assert_eq!(slots.masters.len(), 2);
        // Slots 12,182 and 5,061 by the cluster specification's own algorithm.
        assert_eq!(slots.owner("foo"), 0);
        assert_eq!(slots.owner("bar"), 1);
    }

    #[test]
    fn replicas_are_read() {
        let reply = Value::Array(vec![range(0, 16_383, [node("10.0.0.1", 1)])]);
        let mut slots = Slots::read(reply, "").unwrap();
        let lines = "\
            07c3 10.0.0.2:30004@40004,host-4 slave e7d1 0 1426238317239 4 connected\n\
            07c4 ::1:30005@40005 myself,slave e7d1 0 1426238317239 4 connected\n\
            07c5 10.0.0.2:30006@40006 slave,fail e7d1 0 1426238317239 4 disconnected\n\
            e7d1 10.0.0.1:1@30001 master - 0 0 1 connected 0-16383\n";
        slots.add_replicas(lines);
        let texts: Vec<_> = slots.replicas.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.2:30004", "::1:30005"]);
        slots.add_replicas("07c3 10.0.0.3:1@2 slave e7d1 0 0 4 connected\n");
        assert_eq!(slots.replicas.len(), 2);
    }

    #[test]
    fn a_gap_is_an_error() {
        let reply = Value::Array(vec![range(0, 16_382, [node("a", 1)])]);
        let error = Slots::read(reply, "a").unwrap_err().to_string();
        assert!(error.ends_with("nobody serves slot 16383"), "{error}");
    }

    #[test]
    fn nonsense_is_an_error() {
        for reply in [
            Value::Int(1),
            Value::Array(vec![range(5, 4, [node("a", 1)])]),
            Value::Array(vec![range(0, 16_384, [node("a", 1)])]),
            Value::Array(vec![range(0, 16_383, [])]),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
        ] {
            assert!(Slots::read(reply, "a").is_err());
        }
    }
}

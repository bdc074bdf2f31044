//! What servers answer to CLUSTER SHARDS and CLUSTER SLOTS, read into a [`Topology`].
//!
//! Replies come from outside and may be anything, so nothing here panics. Wrong types, missing fields and
//! slots that don't exist are errors, since such a reply is better not believed at all. What servers do say in
//! troubled times is accepted and means:
//!
//! - A shard without a primary is left out; its slots have no owner until a newer reply.
//! - A primary that has failed stays the owner as long as its shard has no other: until the failover
//!   is over, nobody else answers for its slots. Of several primaries the one online counts; if several
//!   are, CLUSTER SLOTS has to be asked.
//! - Replicas that are failed or loading are left out, as are nodes without a port.
//! - A slot that two shards claim belongs to the one named last; a MOVED puts it right.
//! - One primary in several entries is one shard. An address that is named as a primary is no replica.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::ops::RangeInclusive;

use redis::Value;

use super::{MAX_SHARDS, Shard, ShardIndex, Topology};
use crate::node::NodeAddr;
use crate::slot::Slot;

/// Why a server's reply gives no topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TopologyError {
    /// The reply is not what the command is documented to answer.
    #[error("malformed topology reply: {0}")]
    Malformed(&'static str),
    /// A shard has several primaries that are online, and the reply does not say which of them owns its
    /// slots. So it is for a while after a replica has taken over from a primary that is not yet known to have
    /// failed. CLUSTER SLOTS tells.
    #[error("the topology reply names several primaries of a shard")]
    SeveralPrimaries,
    /// The reply names no primary that has an address.
    #[error("the topology reply names no primary")]
    NoPrimary,
}

use TopologyError::Malformed;

impl Topology {
    /// Reads the reply to CLUSTER SHARDS, in either protocol version. Hosts that the server leaves open are
    /// the host of `asked`, the node that gave the reply; `tls` chooses the `tls-port` where there are two.
    ///
    /// # Errors
    ///
    /// If the reply is malformed or names no primary.
    pub(crate) fn from_shards(
        reply: &Value,
        asked: &NodeAddr,
        tls: bool,
    ) -> Result<Self, TopologyError> {
        let mut draft = Draft::new();
        for shard in list(reply, "the shards are no list")? {
            let slots = field(shard, "slots").ok_or(Malformed("a shard without slots"))?;
            let slots = ranges(list(slots, "a shard's slots are no list")?)?;
            let nodes = field(shard, "nodes").ok_or(Malformed("a shard without nodes"))?;
            let members = list(nodes, "a shard's nodes are no list")?
                .iter()
                .map(|node| Member::read(node, asked, tls))
                .collect::<Result<Vec<_>, _>>()?;
            draft.add_members(&members, slots)?;
        }
        draft.finish()
    }

    /// Reads the reply to CLUSTER SLOTS, for servers without CLUSTER SHARDS. Hosts that the server leaves open
    /// are the host of `asked`, the node that gave the reply. The server has chosen the port that fits the
    /// connection it was asked on.
    ///
    /// # Errors
    ///
    /// If the reply is malformed or names no primary.
    pub(crate) fn from_slots(reply: &Value, asked: &NodeAddr) -> Result<Self, TopologyError> {
        let mut draft = Draft::new();
        for entry in list(reply, "the slots are no list")? {
            let [start, end, nodes @ ..] = list(entry, "a slot range is no list")? else {
                return Err(Malformed("a slot range without bounds"));
            };
            let slots = range(start, end)?;
            let mut addrs = Vec::with_capacity(nodes.len());
            for node in nodes {
                addrs.push(slots_node(node, asked)?);
            }
            // The first is the primary; without its address the range has no owner.
            if let Some((Some(primary), replicas)) = addrs.split_first() {
                draft.add(primary, replicas.iter().flatten(), [slots])?;
            }
        }
        draft.finish()
    }
}

/// The `cluster_current_epoch` in the reply to CLUSTER INFO, if it is one.
pub(crate) fn epoch(reply: &Value) -> Option<u64> {
    let info = match reply {
        Value::VerbatimString { text, .. } => text.as_str(),
        other => text(other)?,
    };
    let mut lines = info.lines();
    let epoch = lines.find_map(|line| line.strip_prefix("cluster_current_epoch:"));
    epoch?.trim().parse().ok()
}

/// A topology in the making. Replicas wait until every primary is known, since one that is named as a
/// primary anywhere is no replica.
struct Draft {
    topology: Topology,
    led_by: HashMap<NodeAddr, ShardIndex>,
    replicas: Vec<(ShardIndex, NodeAddr)>,
}

impl Draft {
    fn new() -> Self {
        Self {
            topology: Topology::empty(),
            led_by: HashMap::new(),
            replicas: Vec::new(),
        }
    }

    fn add_members(
        &mut self,
        members: &[Member],
        slots: Vec<RangeInclusive<u16>>,
    ) -> Result<(), TopologyError> {
        let primaries = || members.iter().filter(|m| m.is_primary && m.addr.is_some());
        if primaries().filter(|m| m.is_online).count() > 1 {
            return Err(TopologyError::SeveralPrimaries);
        }
        let chosen = primaries()
            .find(|m| m.is_online)
            .or_else(|| primaries().next());
        let Some(primary) = chosen.and_then(|m| m.addr.as_ref()) else {
            return Ok(());
        };
        let replicas = members
            .iter()
            .filter(|m| !m.is_primary && m.is_online)
            .filter_map(|m| m.addr.as_ref());
        self.add(primary, replicas, slots)
    }

    fn add<'a>(
        &mut self,
        primary: &NodeAddr,
        replicas: impl Iterator<Item = &'a NodeAddr>,
        slots: impl IntoIterator<Item = RangeInclusive<u16>>,
    ) -> Result<(), TopologyError> {
        let shards = &mut self.topology.shards;
        let index = match self.led_by.entry(primary.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if shards.len() == MAX_SHARDS => {
                return Err(Malformed("more shards than slots"));
            }
            Entry::Vacant(new) => {
                shards.push(Shard::new(primary.clone()));
                let index = shards.len() - 1;
                *new.insert(ShardIndex::try_from(index).expect("below MAX_SHARDS"))
            }
        };
        for slots in slots {
            self.topology.owners[usize::from(*slots.start())..=usize::from(*slots.end())]
                .fill(index);
        }
        self.replicas
            .extend(replicas.map(|replica| (index, replica.clone())));
        Ok(())
    }

    fn finish(mut self) -> Result<Topology, TopologyError> {
        if self.topology.shards.is_empty() {
            return Err(TopologyError::NoPrimary);
        }
        let mut placed: HashSet<NodeAddr> = self.led_by.into_keys().collect();
        for (index, replica) in self.replicas {
            if placed.insert(replica.clone()) {
                self.topology.shards[usize::from(index)]
                    .replicas
                    .push(replica);
            }
        }
        Ok(self.topology)
    }
}

/// One node of a shard as CLUSTER SHARDS lists it.
struct Member {
    /// `None` for a node that cannot be reached.
    addr: Option<NodeAddr>,
    is_primary: bool,
    is_online: bool,
}

impl Member {
    fn read(node: &Value, asked: &NodeAddr, tls: bool) -> Result<Self, TopologyError> {
        let role = field(node, "role").and_then(text);
        let role = role.ok_or(Malformed("a node without a role"))?;
        let port = |name| field(node, name).map_or(Ok(None), read_port);
        let (plain, encrypted) = (port("port")?, port("tls-port")?);
        let ip = field(node, "ip");
        let endpoint = field(node, "endpoint").or(ip);
        // Behind a proxy that ends TLS, the one port announced is the one to use, whatever it is called.
        let port = if tls {
            encrypted.or(plain)
        } else {
            plain.or(encrypted)
        };
        let addr = match port {
            Some(port) => Some(address(endpoint, ip, port, asked)?),
            None => None,
        };
        Ok(Self {
            addr,
            is_primary: matches!(role, "master" | "primary"),
            is_online: field(node, "health").is_none_or(|health| text(health) == Some("online")),
        })
    }
}

/// A node as CLUSTER SLOTS lists it: endpoint, port, id, and further names; `None` if it has no port.
fn slots_node(node: &Value, asked: &NodeAddr) -> Result<Option<NodeAddr>, TopologyError> {
    let [endpoint, port, rest @ ..] = list(node, "a node is no list")? else {
        return Err(Malformed("a node without endpoint and port"));
    };
    let ip = rest.get(1).and_then(|names| field(names, "ip"));
    match read_port(port)? {
        Some(port) => address(Some(endpoint), ip, port, asked).map(Some),
        None => Ok(None),
    }
}

/// A null or empty endpoint stands for the host that was asked. With `?` the server only says that it has no
/// host name for that node: its IP address is then right where it is told, and the host that was asked a
/// last resort.
fn address(
    endpoint: Option<&Value>,
    ip: Option<&Value>,
    port: u16,
    asked: &NodeAddr,
) -> Result<NodeAddr, TopologyError> {
    let host = match endpoint {
        None | Some(Value::Nil) => "",
        Some(host) => text(host).ok_or(Malformed("an endpoint that is no text"))?,
    };
    let known = match host {
        "?" => ip.and_then(text).unwrap_or_default(),
        host => host,
    };
    Ok(asked.sibling(known, port))
}

/// `None` for 0, which means that the node does not listen there.
fn read_port(value: &Value) -> Result<Option<u16>, TopologyError> {
    let port = int(value).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(Malformed("a port that is none"))?;
    Ok((port != 0).then_some(port))
}

/// The ranges of a flat list of bounds: start, end, start, end…
fn ranges(bounds: &[Value]) -> Result<Vec<RangeInclusive<u16>>, TopologyError> {
    let (pairs, rest) = bounds.as_chunks();
    if !rest.is_empty() {
        return Err(Malformed("a slot range without an end"));
    }
    pairs.iter().map(|[start, end]| range(start, end)).collect()
}

fn range(start: &Value, end: &Value) -> Result<RangeInclusive<u16>, TopologyError> {
    let slot = |value| {
        let number = int(value).and_then(|number| u16::try_from(number).ok());
        let slot = number.and_then(Slot::new).map(Slot::number);
        slot.ok_or(Malformed("a slot that does not exist"))
    };
    let (start, end) = (slot(start)?, slot(end)?);
    if start > end {
        return Err(Malformed("a slot range that ends before it starts"));
    }
    Ok(start..=end)
}

fn list<'a>(value: &'a Value, otherwise: &'static str) -> Result<&'a [Value], TopologyError> {
    value.as_sequence().ok_or(Malformed(otherwise))
}

/// The value of `name` in a map, or in the flat list that a map is in RESP2.
fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let mut fields = map.as_map_iter()?;
    fields.find_map(|(key, value)| (text(key) == Some(name)).then_some(value))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

const fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn ints(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().copied().map(Value::Int).collect())
    }

    /// A map as RESP2 sends it.
    fn flat(fields: &[(&str, Value)]) -> Value {
        let fields = fields.iter();
        Value::Array(fields.flat_map(|(k, v)| [bulk(k), v.clone()]).collect())
    }

    /// A map as RESP3 sends it.
    fn map(fields: &[(&str, Value)]) -> Value {
        Value::Map(fields.iter().map(|(k, v)| (bulk(k), v.clone())).collect())
    }

    type MakeMap = fn(&[(&str, Value)]) -> Value;

    fn node_of(make: MakeMap, port: i64, role: &str, health: &str) -> Value {
        make(&[
            ("id", bulk("0123")),
            ("port", Value::Int(port)),
            ("ip", bulk("10.0.0.2")),
            ("endpoint", bulk("10.0.0.2")),
            ("role", bulk(role)),
            ("replication-offset", Value::Int(72_156)),
            ("health", bulk(health)),
        ])
    }

    fn node(port: i64, role: &str, health: &str) -> Value {
        node_of(flat, port, role, health)
    }

    fn shard_of(make: MakeMap, slots: &[i64], nodes: Vec<Value>) -> Value {
        make(&[("slots", ints(slots)), ("nodes", Value::Array(nodes))])
    }

    fn shard(slots: &[i64], nodes: Vec<Value>) -> Value {
        shard_of(flat, slots, nodes)
    }

    fn asked() -> NodeAddr {
        NodeAddr::new("10.0.0.1", 7000)
    }

    fn shards(reply: Vec<Value>) -> Result<Topology, TopologyError> {
        Topology::from_shards(&Value::Array(reply), &asked(), false)
    }

    fn owner(topology: &Topology, slot: u16) -> Option<String> {
        let shard = topology.shard_of(Slot::new(slot).unwrap())?;
        Some(topology.primary(shard).to_string())
    }

    /// The address that a node with these fields gets, in a shard of its own.
    #[track_caller]
    fn addr_of(fields: &[(&str, Value)], tls: bool) -> String {
        let mut fields = fields.to_vec();
        fields.push(("role", bulk("master")));
        let reply = Value::Array(vec![shard(&[0, 1], vec![flat(&fields)])]);
        let topology = Topology::from_shards(&reply, &asked(), tls).unwrap();
        topology.primary(0).to_string()
    }

    #[test]
    fn shards_in_both_protocols() {
        for make in [flat as MakeMap, map] {
            let topology = shards(vec![
                shard_of(
                    make,
                    &[0, 99, 200, 200],
                    vec![
                        node_of(make, 7100, "replica", "online"),
                        node_of(make, 7000, "master", "online"),
                    ],
                ),
                shard_of(
                    make,
                    &[100, 199],
                    vec![node_of(make, 7001, "master", "online")],
                ),
            ])
            .unwrap();
            assert_eq!(owner(&topology, 99).unwrap(), "10.0.0.2:7000");
            assert_eq!(owner(&topology, 100).unwrap(), "10.0.0.2:7001");
            assert_eq!(owner(&topology, 200).unwrap(), "10.0.0.2:7000");
            assert_eq!(owner(&topology, 201), None);
            assert_eq!(topology.coverage(), 201);
            assert_eq!(
                topology.shards()[0].replicas,
                [NodeAddr::new("10.0.0.2", 7100)]
            );
            assert_eq!(topology.nodes().count(), 3);
        }
    }

    #[test]
    fn a_failed_primary_stays_while_there_is_no_other() {
        let topology = shards(vec![shard(
            &[0, 9],
            vec![
                node(7100, "replica", "loading"),
                node(7101, "replica", "fail"),
                node(7000, "master", "fail"),
            ],
        )])
        .unwrap();
        assert_eq!(owner(&topology, 0).unwrap(), "10.0.0.2:7000");
        assert_eq!(topology.nodes().count(), 1);
    }

    #[test]
    fn of_two_primaries_the_one_online_counts() {
        let topology = shards(vec![shard(
            &[0, 9],
            vec![node(7000, "master", "fail"), node(7100, "master", "online")],
        )])
        .unwrap();
        assert_eq!(owner(&topology, 0).unwrap(), "10.0.0.2:7100");
    }

    /// What servers say after a takeover, until they have noticed that the old primary is dead: Valkey 8.1 with
    /// the slots, Redis 8.2 without.
    #[test]
    fn of_two_primaries_online_the_reply_does_not_say_who_owns_the_slots() {
        for slots in [&[0, 9][..], &[]] {
            let both = vec![
                node(7000, "master", "online"),
                node(7100, "master", "online"),
            ];
            let told = shards(vec![shard(slots, both)]);
            assert_eq!(told, Err(TopologyError::SeveralPrimaries), "{slots:?}");
        }
    }

    #[test]
    fn a_shard_without_a_primary_leaves_its_slots_open() {
        let topology = shards(vec![
            shard(&[0, 9], vec![node(7100, "replica", "online")]),
            shard(&[10, 19], vec![node(7001, "master", "online")]),
        ])
        .unwrap();
        assert_eq!(owner(&topology, 0), None);
        assert_eq!(owner(&topology, 10).unwrap(), "10.0.0.2:7001");
    }

    #[test]
    fn a_shard_without_slots_is_known() {
        let topology = shards(vec![
            shard(&[0, 16_383], vec![node(7000, "master", "online")]),
            shard(&[], vec![node(7001, "master", "online")]),
        ])
        .unwrap();
        assert_eq!(topology.shards().len(), 2);
        assert_eq!(topology.coverage(), Slot::COUNT);
    }

    #[test]
    fn an_address_stands_in_one_place() {
        let topology = shards(vec![
            shard(
                &[0, 9],
                vec![
                    node(7000, "master", "online"),
                    node(7001, "replica", "online"),
                ],
            ),
            shard(
                &[5, 19],
                vec![
                    node(7001, "master", "online"),
                    node(7000, "replica", "online"),
                ],
            ),
            shard(&[30, 39], vec![node(7000, "master", "online")]),
        ])
        .unwrap();
        assert_eq!(topology.nodes().count(), 2);
        assert_eq!(owner(&topology, 4).unwrap(), "10.0.0.2:7000");
        assert_eq!(
            owner(&topology, 5).unwrap(),
            "10.0.0.2:7001",
            "the last claim holds"
        );
        assert_eq!(owner(&topology, 39).unwrap(), "10.0.0.2:7000");
    }

    #[test]
    fn open_hosts() {
        let port = || ("port", Value::Int(7001));
        let ip = || ("ip", bulk("10.0.0.9"));
        let endpoint = |value| ("endpoint", value);
        let cases = [
            (
                vec![port(), ip(), endpoint(bulk("a.example"))],
                "a.example:7001",
            ),
            (vec![port(), ip()], "10.0.0.9:7001"),
            (vec![port(), ip(), endpoint(bulk("?"))], "10.0.0.9:7001"),
            (vec![port(), endpoint(bulk("?"))], "10.0.0.1:7001"),
            (vec![port(), ip(), endpoint(Value::Nil)], "10.0.0.1:7001"),
            (
                vec![port(), ("ip", bulk("")), endpoint(bulk(""))],
                "10.0.0.1:7001",
            ),
            (vec![port()], "10.0.0.1:7001"),
            (vec![port(), endpoint(bulk("::1"))], "[::1]:7001"),
        ];
        for (fields, expected) in cases {
            assert_eq!(addr_of(&fields, false), expected, "{fields:?}");
        }
    }

    #[test]
    fn ports_with_and_without_tls() {
        let (plain, tls) = (("port", Value::Int(1)), ("tls-port", Value::Int(2)));
        assert_eq!(addr_of(&[plain.clone(), tls.clone()], false), "10.0.0.1:1");
        assert_eq!(addr_of(&[plain.clone(), tls.clone()], true), "10.0.0.1:2");
        assert_eq!(addr_of(&[plain], true), "10.0.0.1:1");
        assert_eq!(
            addr_of(&[("port", Value::Int(0)), tls], false),
            "10.0.0.1:2"
        );
    }

    #[test]
    fn slots_of_older_servers() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), bulk("0123")]);
        let entry = |start, end, nodes: &[Value]| {
            Value::Array([&[Value::Int(start), Value::Int(end)], nodes].concat())
        };
        let named = Value::Array(vec![
            bulk("?"),
            Value::Int(7002),
            bulk("0123"),
            flat(&[("ip", bulk("10.0.0.9"))]),
        ]);
        let reply = Value::Array(vec![
            entry(0, 9, &[node(bulk(""), 7000), node(bulk("10.0.0.3"), 7100)]),
            entry(
                20,
                29,
                &[node(Value::Nil, 7000), node(bulk("10.0.0.3"), 7100)],
            ),
            entry(10, 19, &[named]),
            entry(30, 39, &[]),
        ]);
        let topology = Topology::from_slots(&reply, &asked()).unwrap();
        assert_eq!(owner(&topology, 0).unwrap(), "10.0.0.1:7000");
        assert_eq!(owner(&topology, 29).unwrap(), "10.0.0.1:7000");
        assert_eq!(owner(&topology, 10).unwrap(), "10.0.0.9:7002");
        assert_eq!(owner(&topology, 30), None);
        assert_eq!(topology.shards().len(), 2);
        assert_eq!(topology.nodes().count(), 3);
    }

    #[test]
    fn the_epoch_is_read() {
        let info = "cluster_state:ok\r\ncluster_current_epoch:12\r\ncluster_my_epoch:3\r\n";
        let verbatim = Value::VerbatimString {
            format: redis::VerbatimFormat::Text,
            text: info.to_owned(),
        };
        assert_eq!(epoch(&bulk(info)), Some(12));
        assert_eq!(epoch(&verbatim), Some(12));
        for nothing in [
            bulk(""),
            bulk("cluster_current_epoch:x"),
            Value::Nil,
            Value::Int(3),
        ] {
            assert_eq!(epoch(&nothing), None);
        }
    }

    #[test]
    fn broken_replies_are_errors() {
        let primary = || vec![node(7000, "master", "online")];
        let broken = [
            shard(&[0, 16_384], primary()),
            shard(&[-1, 5], primary()),
            shard(&[5, 4], primary()),
            shard(&[0, 4, 9], primary()),
            shard(&[0, 4], vec![bulk("node")]),
            shard(&[0, 4], vec![node(70_000, "master", "online")]),
            shard(
                &[0, 4],
                vec![flat(&[("role", bulk("master")), ("port", bulk("1"))])],
            ),
            flat(&[("slots", ints(&[0, 1]))]),
            flat(&[("nodes", Value::Array(primary()))]),
            Value::Int(3),
        ];
        for reply in broken {
            let error = shards(vec![reply.clone()]).unwrap_err();
            assert!(matches!(error, Malformed(_)), "{reply:?}: {error}");
        }
        for nobody in [Value::Nil, Value::Array(vec![])] {
            for error in [
                Topology::from_shards(&nobody, &asked(), false).unwrap_err(),
                Topology::from_slots(&nobody, &asked()).unwrap_err(),
            ] {
                assert_eq!(error, TopologyError::NoPrimary);
            }
        }
    }

    /// Words and numbers that get a reply past the first checks, among ones that don't.
    fn leaf() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(vec![
            "slots", "nodes", "port", "tls-port", "ip", "endpoint", "role", "master", "replica",
            "health", "online", "fail", "?", "", "10.0.0.3",
        ]);
        let number = prop_oneof![
            0..16_500_i64,
            Just(-1),
            Just(0),
            Just(65_535),
            Just(i64::MAX),
            Just(i64::MIN),
        ];
        prop_oneof![
            4 => word.prop_map(bulk),
            4 => number.prop_map(Value::Int),
            1 => prop::collection::vec(any::<u8>(), 0..6).prop_map(Value::BulkString),
            1 => ".{0,6}".prop_map(Value::SimpleString),
            1 => any::<f64>().prop_map(Value::Double),
            1 => any::<bool>().prop_map(Value::Boolean),
            1 => Just(Value::Nil),
            1 => Just(Value::Okay),
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(6, 128, 8, |value| {
            let values = prop::collection::vec(value.clone(), 0..8);
            let pairs = prop::collection::vec((value.clone(), value.clone()), 0..6);
            prop_oneof![
                4 => values.clone().prop_map(Value::Array),
                2 => pairs.prop_map(Value::Map),
                1 => values.prop_map(Value::Set),
                1 => value.prop_map(|data| Value::Attribute { data: data.into(), attributes: vec![] }),
            ]
        })
    }

    /// A reply of the right shape in which any value may have been swapped for any other.
    fn damaged_shards() -> impl Strategy<Value = Value> {
        let or_any = |value: Value| prop_oneof![9 => Just(value), 1 => any_value()];
        let host = prop::sample::select(vec!["", "?", "10.0.0.3", "10.0.0.4"]);
        let role = prop::sample::select(vec!["master", "replica"]);
        let health = prop::sample::select(vec!["online", "fail", "loading"]);
        let node =
            (host, 0..4_i64, role, health).prop_flat_map(move |(host, port, role, health)| {
                let fields = (
                    or_any(bulk(host)),
                    or_any(Value::Int(port)),
                    or_any(bulk(role)),
                    or_any(bulk(health)),
                );
                fields.prop_map(|(host, port, role, health)| {
                    map(&[
                        ("endpoint", host),
                        ("port", port),
                        ("role", role),
                        ("health", health),
                    ])
                })
            });
        let slots = prop::collection::vec((0..16_400_i64, 0..3_i64), 0..4).prop_map(|ranges| {
            ints(
                &ranges
                    .iter()
                    .flat_map(|&(s, n)| [s, s + n])
                    .collect::<Vec<_>>(),
            )
        });
        let shard = (slots, prop::collection::vec(node, 0..4))
            .prop_map(|(slots, nodes)| flat(&[("slots", slots), ("nodes", Value::Array(nodes))]));
        prop::collection::vec(shard, 0..5).prop_map(Value::Array)
    }

    fn holds_together(topology: &Topology) {
        let shards = topology.shards();
        assert!(!shards.is_empty());
        let mut seen = HashSet::new();
        assert!(
            topology.nodes().all(|addr| seen.insert(addr)),
            "an address in two places"
        );
        let owned = (0..Slot::COUNT)
            .filter_map(Slot::new)
            .filter_map(|slot| topology.shard_of(slot));
        let owned: Vec<_> = owned
            .inspect(|&shard| assert!(shard < shards.len()))
            .collect();
        assert_eq!(owned.len(), usize::from(topology.coverage()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_reply_panics(reply in prop_oneof![any_value(), damaged_shards()], tls: bool) {
            for topology in [
                Topology::from_shards(&reply, &asked(), tls),
                Topology::from_slots(&reply, &asked()),
            ]
            .iter()
            .flatten()
            {
                holds_together(topology);
            }
        }
    }
}

//! Slots on the move, masters that change, nodes that come and go.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use redis::{RedisResult, cmd};
use testbed::{Cluster, ClusterOptions, Node};

const SLOT: u16 = 12_182; // of "foo"

fn get(node: &Node, key: &str) -> RedisResult<Option<i32>> {
    cmd("GET").arg(key).query(&mut node.connection().unwrap())
}

fn set(node: &Node, key: &str, value: i32) -> RedisResult<()> {
    let mut connection = node.connection().unwrap();
    cmd("SET").arg(key).arg(value).exec(&mut connection)
}

fn code<T>(result: RedisResult<T>) -> Option<String> {
    let error = result.err()?;
    error.code().map(str::to_owned)
}

#[test]
fn a_slot_moves_step_by_step() {
    let cluster = Cluster::start(3, 0).unwrap();
    let [other, to, from] = cluster.masters() else {
        panic!("three masters")
    };
    for (key, value) in [("foo", 1), ("{foo}2", 2), ("{foo}3", 3)] {
        set(from, key, value).unwrap();
    }
    let migration = cluster.begin_migration(SLOT, to).unwrap();
    assert_eq!(
        (migration.slot(), migration.from().port()),
        (SLOT, from.port())
    );
    migration.migrate_key("foo").unwrap();
    assert_eq!(code(get(from, "foo")).as_deref(), Some("ASK"));
    assert_eq!(code(get(to, "foo")).as_deref(), Some("MOVED"));
    assert_eq!(get(from, "{foo}2"), Ok(Some(2)));
    assert_eq!(
        (from.errors("ASK").unwrap(), to.errors("MOVED").unwrap()),
        (1, 1)
    );
    migration.migrate_all().unwrap();
    migration.finish().unwrap();
    for node in [other, from] {
        assert_eq!(code(get(node, "{foo}3")).as_deref(), Some("MOVED"));
    }
    assert_eq!(get(to, "{foo}3"), Ok(Some(3)));
    assert_eq!(to.calls("get").unwrap(), 1);

    cluster.move_slot(SLOT, other).unwrap();
    assert_eq!(get(other, "{foo}2"), Ok(Some(2)));
    let migration = cluster.begin_migration(SLOT, to).unwrap();
    migration.abort().unwrap();
    assert_eq!(get(other, "nothing{foo}"), Ok(None));
}

#[test]
fn a_replica_takes_over_when_told() {
    let cluster = Cluster::start(3, 1).unwrap();
    let (old, new) = (&cluster.masters()[2], &cluster.replicas()[2]);
    set(old, "foo", 1).unwrap();
    cluster.failover(new).unwrap();
    assert_eq!(cluster.slot_owner(SLOT).unwrap().port(), new.port());
    assert_eq!(get(new, "foo"), Ok(Some(1)));
    new.stop();
    cluster.takeover(old).unwrap();
    assert_eq!(cluster.slot_owner(SLOT).unwrap().port(), old.port());
    new.cont();
    cluster.wait_until_ok().unwrap();
    set(old, "foo", 2).unwrap();
}

#[test]
fn nodes_come_and_go() {
    let mut cluster = Cluster::start_with(ClusterOptions::new(3, 0).proxied()).unwrap();
    let added = cluster.add_node().unwrap();
    assert_eq!(
        (added, cluster.masters().len(), cluster.replicas().len()),
        (3, 3, 0)
    );
    let (from, to) = (&cluster.nodes()[2], &cluster.nodes()[added]);
    set(from, "foo", 1).unwrap();
    cluster.move_slot(SLOT, to).unwrap();
    assert_eq!(get(to, "foo"), Ok(Some(1)));
    assert_eq!(cluster.current_masters().unwrap().len(), 4);

    cluster.move_slot(SLOT, from).unwrap();
    let (gone, proxy) = cluster.forget_node(added).unwrap();
    assert_eq!((cluster.nodes().len(), cluster.urls().len()), (3, 3));
    assert!(gone.is_running());
    assert_eq!(proxy.unwrap().addr().port(), gone.port());
}

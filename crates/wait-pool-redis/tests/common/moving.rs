//! A slot that goes from its owner to another node, with all its keys.

use testbed::Cluster;
use wait_pool_redis::Slot;

use super::run;

/// Moves the slot of `key`; when this returns every primary knows its new owner, whose index among
/// the masters is the answer.
pub fn move_slot(cluster: &Cluster, key: &str) -> usize {
    let slot = Slot::of(key.as_bytes()).number();
    let from = cluster.slot_owner(slot).unwrap();
    let other = |node: &testbed::Node| node.port() != from.port();
    let to = cluster.masters().iter().position(other).unwrap();
    let target = &cluster.masters()[to];
    let (from_id, to_id): (String, String) =
        (run(from, "CLUSTER MYID"), run(target, "CLUSTER MYID"));
    run::<()>(
        target,
        &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"),
    );
    run::<()>(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    let keys: Vec<String> = run(from, &format!("CLUSTER GETKEYSINSLOT {slot} 1000"));
    for key in keys {
        let port = target.port();
        run::<String>(from, &format!("MIGRATE 127.0.0.1 {port} {key} 0 5000"));
    }
    // The new owner first, so that nobody is without one in between.
    for node in std::iter::once(target).chain(cluster.masters()) {
        run::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    }
    to
}

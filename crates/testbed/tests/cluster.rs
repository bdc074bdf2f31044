//! A cluster, from its start through a failover.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use redis::{InfoDict, cmd};
use testbed::{Cluster, ClusterOptions, Node};

fn replication(node: &Node) -> InfoDict {
    let mut connection = node.connection().unwrap();
    cmd("INFO")
        .arg("replication")
        .query(&mut connection)
        .unwrap()
}

#[test]
fn replicas_know_their_masters() {
    let cluster = Cluster::start(3, 1).unwrap();
    assert_eq!(cluster.urls().len(), 6);
    for (master, replica) in cluster.masters().iter().zip(cluster.replicas()) {
        assert_eq!(replication(master).get("connected_slaves"), Some(1));
        let info = replication(replica);
        assert_eq!(info.get("role"), Some("slave".to_owned()));
        assert_eq!(info.get("master_port"), Some(master.port()));
    }
    for (slot, master) in [
        (0, 0),
        (5460, 0),
        (5461, 1),
        (10_921, 1),
        (10_922, 2),
        (16_383, 2),
    ] {
        assert_eq!(
            cluster.slot_owner(slot).unwrap().port(),
            cluster.masters()[master].port()
        );
    }
    assert!(cluster.slot_owner(16_384).is_err());
}

#[test]
fn a_replica_takes_over_and_the_old_master_comes_back_as_one() {
    let options = ClusterOptions::new(3, 1).setting("cluster-replica-validity-factor", "0");
    let cluster = Cluster::start_with(options).unwrap();
    let (old, new) = (&cluster.masters()[1], &cluster.replicas()[1]);
    old.kill().unwrap();
    cluster.wait_until_ok().unwrap();
    assert_eq!(cluster.slot_owner(8000).unwrap().port(), new.port());
    let masters: Vec<u16> = cluster
        .current_masters()
        .unwrap()
        .into_iter()
        .map(Node::port)
        .collect();
    assert_eq!(masters.len(), 3);
    assert!(masters.contains(&new.port()) && !masters.contains(&old.port()));

    old.restart().unwrap();
    cluster.wait_until_ok().unwrap();
    assert_eq!(replication(old).get("master_port"), Some(new.port()));
}

#[test]
fn one_master_alone_is_a_cluster() {
    let options = ClusterOptions::new(1, 0).node_timeout(std::time::Duration::from_millis(500));
    let cluster = Cluster::start_with(options).unwrap();
    let mut connection = cluster.nodes()[0].connection().unwrap();
    let timeout: (String, u32) = cmd("CONFIG")
        .arg("GET")
        .arg("cluster-node-timeout")
        .query(&mut connection)
        .unwrap();
    assert_eq!(timeout.1, 500);
    cmd("SET").arg("key").arg(1).exec(&mut connection).unwrap();
}

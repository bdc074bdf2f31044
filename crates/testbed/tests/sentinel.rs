//! Sentinels that watch a master.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use testbed::Sentinels;

#[test]
fn a_replica_takes_over_and_the_old_master_follows_it() {
    let all = Sentinels::start("features").unwrap();
    let before = all.master().unwrap().port();
    assert_eq!(before, all.servers()[0].port());
    all.servers()[0].kill().unwrap();
    let after = all.wait_for_another(before).unwrap().port();
    assert_ne!(after, before);
    all.servers()[0].restart().unwrap();
    all.wait_until_ok().unwrap();
    assert_eq!(all.master().unwrap().port(), after);
}

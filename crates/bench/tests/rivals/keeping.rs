//! What is done to connections, and what is told of them.

use std::time::Duration;

use crate::pools::{PATIENT, each, settle};

/// One caller after the other takes a connection and gives it back, a thousand times, with the
/// defaults. How often is the server asked whether the connection works?
#[test]
fn checks_for_a_thousand_checkouts() {
    let checks = each(4, PATIENT, async |pool, connector| {
        for _ in 0..1000 {
            drop(pool.get().await.unwrap());
            settle().await;
        }
        assert_eq!(connector.attempts(), 1);
        connector.checks()
    });
    let expected = [
        ("wait-pool", 0),
        ("deadpool", 999),
        ("bb8", 1000),
        ("mobc", 999),
        ("asyncband", 999),
        ("sqlx", 1999),
    ];
    assert_eq!(checks, expected);
}

/// Ten callers at a time, five times in a row. How many connections are opened?
#[test]
fn connections_opened_for_five_rounds_of_ten() {
    let opened = each(10, PATIENT, async |pool, connector| {
        for _ in 0..5 {
            let mut held = Vec::new();
            for _ in 0..10 {
                held.push(pool.get().await.unwrap());
            }
            drop(held);
            settle().await;
        }
        connector.attempts()
    });
    let expected = [
        ("wait-pool", 10),
        ("deadpool", 10),
        ("bb8", 10),
        ("mobc", 10 + 4 * 8),
        ("asyncband", 10),
        ("sqlx", 10),
    ];
    assert_eq!(opened, expected);
}

/// A pool of 10 that has opened nothing is made smaller, to 2. How many connections does it give out
/// at a time? None if it cannot be made smaller.
#[test]
fn an_empty_pool_made_smaller() {
    let admitted = each(10, Duration::from_secs(1), async |pool, connector| {
        if !pool.resize(2).await {
            return None;
        }
        let mut held = Vec::new();
        while let Ok(connection) = pool.get().await {
            held.push(connection);
        }
        assert_eq!(held.len(), connector.connected());
        Some(held.len())
    });
    let expected = [
        ("wait-pool", Some(2)),
        ("deadpool", Some(10)),
        ("bb8", None),
        ("mobc", Some(10)),
        ("asyncband", None),
        ("sqlx", None),
    ];
    assert_eq!(admitted, expected);
}

/// What a caller is told who waits in vain while another holds the only connection.
#[test]
fn what_a_timeout_says() {
    let told = each(1, Duration::from_secs(2), async |pool, _| {
        let _held = pool.get().await.unwrap();
        pool.get().await.err().unwrap().0
    });
    let (name, ours) = &told[0];
    assert_eq!(*name, "wait-pool");
    for part in [
        "pool default: no connection within 2",
        "0 ahead in the queue; of at most 1 connections 1 in use",
        "1 waiting",
        "wait_pool.rs:",
    ] {
        assert!(ours.contains(part), "{ours}");
    }
    let others: Vec<_> = told[1..].iter().map(|(_, text)| text.as_str()).collect();
    let elapsed = "deadline has elapsed";
    let expected = [
        "Timeout occurred while waiting for a slot to become available",
        "Timed out in bb8",
        elapsed,
        elapsed,
        "pool timed out while waiting for an open connection",
    ];
    assert_eq!(others, expected);
    // mobc's own would be of another clock.
    let own = mobc::Error::<String>::Timeout.to_string();
    assert_eq!(own, "Time out in the connection pool");
}

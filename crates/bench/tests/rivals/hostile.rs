//! Panics, and runtimes that end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::pools::{ALL, PATIENT, Setup, each, runtime, settle, within};
use crate::server::{Answer, Connector};

const SETUP: Setup = Setup {
    size: 1,
    patience: PATIENT,
};

/// Connecting panics once. What is the caller told, and is there still a place for the next?
#[test]
fn a_connect_that_panics() {
    let outcomes = each(1, PATIENT, async |pool, connector| {
        connector.answers(Answer::Panic);
        let first = match tokio::spawn(pool.get()).await {
            Err(_) => "panics",
            Ok(Err(told)) if told.0.contains("panicked") => "is told",
            Ok(_) => "times out",
        };
        connector.answers(Answer::AtOnce);
        (first, pool.get().await.is_ok())
    });
    let expected = [
        ("wait-pool", ("is told", true)),
        ("deadpool", ("panics", true)),
        ("bb8", ("times out", false)),
        ("mobc", ("panics", true)),
        ("asyncband", ("panics", true)),
        ("sqlx", ("panics", true)),
    ];
    assert_eq!(outcomes, expected);
}

/// A runtime ends while a connection is opened in it. Is there a place for callers in another?
#[test]
fn a_runtime_that_ends_during_a_connect() {
    let served = ALL.map(|(name, make)| {
        let connector = Connector::default();
        connector.answers(Answer::Never);
        let pool = runtime().block_on(async {
            let pool = make(connector.clone(), SETUP);
            let got = within(Duration::from_millis(10), pool.get()).await;
            assert!(got.is_err());
            pool
        });
        connector.answers(Answer::AtOnce);
        let served = runtime().block_on(async { pool.get().await.is_ok() });
        (name, served)
    });
    let expected = [
        ("wait-pool", true),
        ("deadpool", true),
        ("bb8", false),
        ("mobc", true),
        ("asyncband", true),
        ("sqlx", true),
    ];
    assert_eq!(served, expected);
}

/// A connection is dropped outside of a runtime. Does that panic, and is it there for the next
/// caller without another being opened?
#[test]
fn a_connection_dropped_outside_of_a_runtime() {
    let outcomes = ALL.map(|(name, make)| {
        let connector = Connector::default();
        let runtime = runtime();
        let (pool, held) = runtime.block_on(async {
            let pool = make(connector.clone(), SETUP);
            let held = pool.get().await.unwrap();
            (pool, held)
        });
        let panicked = catch_unwind(AssertUnwindSafe(|| drop(held))).is_err();
        let served = runtime.block_on(async {
            settle().await;
            pool.get().await.is_ok()
        });
        assert!(served, "{name}");
        (name, (panicked, connector.attempts()))
    });
    let expected = [
        ("wait-pool", (false, 1)),
        ("deadpool", (false, 1)),
        ("bb8", (false, 1)),
        ("mobc", (true, 2)),
        ("asyncband", (false, 1)),
        ("sqlx", (true, 2)),
    ];
    assert_eq!(outcomes, expected);
}

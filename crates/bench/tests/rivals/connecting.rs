//! What comes of attempts to connect.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::pools::{PATIENT, each, settle, within};
use crate::server::Answer;

/// Connecting takes 60 ms; callers come one after the other, and each gives up after 50. How many of
/// 20 are served, after how many attempts?
#[test]
fn callers_less_patient_than_a_connect_takes() {
    let outcomes = each(4, PATIENT, async |pool, connector| {
        connector.answers(Answer::After(Duration::from_millis(60)));
        let mut served = 0;
        for _ in 0..20 {
            let got = within(Duration::from_millis(50), pool.get()).await;
            served += usize::from(got.is_ok());
        }
        (served, connector.attempts())
    });
    let expected = [
        ("wait-pool", (19, 1)),
        ("deadpool", (0, 20)),
        ("bb8", (19, 1)),
        ("mobc", (0, 20)),
        ("asyncband", (0, 20)),
        ("sqlx", (0, 20)),
    ];
    assert_eq!(outcomes, expected);
}

/// A caller's attempt to connect hangs, and a connection comes back. Is he served within 10 s?
#[test]
fn a_connect_hangs_while_a_connection_comes_back() {
    let served = each(2, PATIENT, async |pool, connector| {
        let held = pool.get().await.unwrap();
        connector.answers(Answer::Never);
        let caller = tokio::spawn(within(Duration::from_secs(10), pool.get()));
        settle().await;
        drop(held);
        caller.await.unwrap().is_ok()
    });
    let expected = [
        ("wait-pool", true),
        ("deadpool", false),
        ("bb8", true),
        ("mobc", false),
        ("asyncband", false),
        ("sqlx", false),
    ];
    assert_eq!(served, expected);
}

/// Nobody listens at the port. After how many seconds is a caller told, and that it was refused?
#[test]
fn a_wrong_port() {
    let told = each(4, PATIENT, async |pool, connector| {
        connector.answers(Answer::Refused);
        let begun = Instant::now();
        let told = pool.get().await.err().unwrap().0;
        (begun.elapsed().as_secs(), told.contains("refused"))
    });
    let at_once = (0, true);
    let expected = [
        ("wait-pool", at_once),
        ("deadpool", at_once),
        ("bb8", (30, false)),
        ("mobc", at_once),
        ("asyncband", at_once),
        ("sqlx", (30, false)),
    ];
    assert_eq!(told, expected);
}

/// The server is down, and 100 callers ask again whenever they are refused. How many attempts to
/// connect does it see in a second?
#[test]
fn attempts_on_a_dead_server() {
    let attempts = each(10, PATIENT, async |pool, connector| {
        connector.answers(Answer::Refused);
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { while pool.get().await.is_err() {} })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        callers.into_iter().for_each(|caller| caller.abort());
        connector.attempts()
    });
    // How long a pause is, is in some a matter of chance, and how long a millisecond of the timer.
    let thousands = 2_000..=10_000;
    let expected: [(_, RangeInclusive<usize>); 6] = [
        ("wait-pool", 3..=6),
        ("deadpool", thousands.clone()),
        ("bb8", 20..=40),
        ("mobc", thousands.clone()),
        ("asyncband", thousands),
        ("sqlx", 50..=80),
    ];
    for ((name, attempts), (rival, range)) in attempts.into_iter().zip(expected) {
        assert_eq!(name, rival);
        assert!(range.contains(&attempts), "{name}: {attempts}");
    }
}

//! An application on deadpool-redis, written against its documentation, which does what applications do. What
//! happens is written down: the same with deadpool-redis and with whatever stands in its place.

mod clusters;
mod files;
mod limits;
mod sentinels;
mod shop;

use std::fmt::Debug;

/// What happens with deadpool-redis 0.23.
pub(crate) const EXPECTED: &str = include_str!("expected.txt");

/// Runs all of it, and says what happened.
pub(crate) async fn run(url: &str, nodes: Vec<String>, watchers: Vec<String>) -> String {
    let mut journal = Journal(String::new());
    files::run(&mut journal, url).await;
    shop::run(&mut journal, url).await;
    limits::run(&mut journal, url).await;
    clusters::run(&mut journal, nodes).await;
    sentinels::run(&mut journal);
    sentinels::live(&mut journal, watchers).await;
    journal.0
}

/// What happened.
struct Journal(String);

impl Journal {
    fn note(&mut self, what: &str, outcome: impl Debug) {
        self.0 += &format!("{what}: {outcome:?}\n");
    }
}

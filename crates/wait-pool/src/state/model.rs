//! Random scripts against the state machine: a naive [reference] beside it says after every step who
//! is to be served, refused and told what, who waits in which order, and what there is of everything.
//!
//! The [driver] makes the calls that the pool's shell makes. Where the state machine is free to
//! choose, as among idle connections, its choice is followed if it was allowed.

#![cfg(test)]

mod calls;
mod compare;
mod driver;
mod found;
mod reference;
mod script;
mod world;

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use crate::config::Config;
use crate::policy::QueuePolicy;
use driver::Driver;
use script::{Step, config, step};

fn run(config: &Config, punctual: bool, script: Vec<Step>) {
    let mut driver = Driver::new(config, punctual);
    for step in script {
        driver.take_step(step);
    }
    driver.end();
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..150)
}

fn lifo() -> QueuePolicy {
    QueuePolicy::AdaptiveLifo {
        interval: Duration::from_secs(3),
        patience: Duration::from_secs(5),
    }
}

/// A thousand, or as many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES");
    let asked = asked.ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Most of the time would go into better numbers.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn the_reference_is_followed(config in config(QueuePolicy::Fifo), script in script()) {
        run(&config, true, script);
    }

    #[test]
    fn the_reference_is_followed_with_a_late_keeper(
        config in config(QueuePolicy::Fifo),
        script in script(),
    ) {
        run(&config, false, script);
    }

    #[test]
    fn in_an_overload_the_newest_of_the_most_urgent_is_served(
        config in config(lifo()),
        script in script(),
        punctual in any::<bool>(),
    ) {
        run(&config, punctual, script);
    }
}

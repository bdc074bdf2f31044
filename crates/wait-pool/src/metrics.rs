//! What a pool tells the [`metrics`] facade.
//!
//! The handles are made once, with the pool, for the recorder that is installed then; without one
//! they do nothing. Gauges are moved by differences, outside of the lock: differences can be applied
//! in any order, so that a gauge is right as soon as everybody has applied his own. `docs/metrics.md`
//! is the catalogue.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, IntoF64, counter, gauge, histogram};

use crate::config::Config;
use crate::moment::Moment;

pub(crate) struct Metrics {
    /// Whether anybody listens.
    pub(crate) recorded: bool,
    idle: Gauge,
    used: Gauge,
    opening: Gauge,
    pending: Gauge,
    max: Gauge,
    idle_min: Gauge,
    timeouts: Counter,
    sheds: Counter,
    create_time: Histogram,
    wait_time: Histogram,
    use_time: Histogram,
}

/// The figures that gauges show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) idle: usize,
    pub(crate) used: usize,
    pub(crate) opening: usize,
    pub(crate) pending: usize,
    pub(crate) max: usize,
    pub(crate) idle_min: usize,
}

impl Metrics {
    pub(crate) fn new(config: &Config) -> Self {
        let pool = config.name.to_string();
        let count = |state: &'static str| gauge!("db.client.connection.count", "state" => state, POOL => pool.clone());
        let idle = count("idle");
        Self {
            recorded: is_recorded(&idle),
            idle,
            used: count("used"),
            opening: count("opening"),
            pending: gauge!("db.client.connection.pending_requests", POOL => pool.clone()),
            max: gauge!("db.client.connection.max", POOL => pool.clone()),
            idle_min: gauge!("db.client.connection.idle.min", POOL => pool.clone()),
            timeouts: counter!("db.client.connection.timeouts", POOL => pool.clone()),
            sheds: counter!("wait_pool.sheds", POOL => pool.clone()),
            create_time: histogram!("db.client.connection.create_time", POOL => pool.clone()),
            wait_time: histogram!("db.client.connection.wait_time", POOL => pool.clone()),
            use_time: histogram!("db.client.connection.use_time", POOL => pool),
        }
    }

    /// The figures have changed from `before` to `after`.
    pub(crate) fn moved(&self, before: Levels, after: Levels) {
        if before == after {
            return;
        }
        let gauges = [
            (&self.idle, before.idle, after.idle),
            (&self.used, before.used, after.used),
            (&self.opening, before.opening, after.opening),
            (&self.pending, before.pending, after.pending),
            (&self.max, before.max, after.max),
            (&self.idle_min, before.idle_min, after.idle_min),
        ];
        for (gauge, before, after) in gauges {
            if after > before {
                gauge.increment((after - before) as f64);
            } else if after < before {
                gauge.decrement((before - after) as f64);
            }
        }
    }

    pub(crate) fn timed_out(&self) {
        self.timeouts.increment(1);
    }

    pub(crate) fn shed(&self) {
        self.sheds.increment(1);
    }

    pub(crate) fn created(&self, took: Duration) {
        self.create_time.record(took);
    }

    #[inline]
    pub(crate) fn waited(&self, time: Duration) {
        if self.recorded {
            self.wait_time.record(time);
        }
    }

    #[inline]
    pub(crate) fn used(&self, since: Moment, now: Moment) {
        if self.recorded {
            self.use_time.record(now.since(since));
        }
    }
}

/// Whether there is a recorder behind a gauge: only then is the value asked for that it is moved by.
fn is_recorded(gauge: &Gauge) -> bool {
    struct Nothing<'a>(&'a mut bool);

    impl IntoF64 for Nothing<'_> {
        fn into_f64(self) -> f64 {
            *self.0 = true;
            0.0
        }
    }

    let mut recorded = false;
    gauge.increment(Nothing(&mut recorded));
    recorded
}

const POOL: &str = "db.client.connection.pool.name";

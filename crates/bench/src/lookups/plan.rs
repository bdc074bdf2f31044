//! What is measured, in which order, and for how long.

use std::time::Duration;

use anyhow::ensure;

use super::closed::{self, Closed};
use super::contestant::{Entry, Settings, lineup, tuned};
use super::open::{IN_TIME, Open};
use super::report::{Beside, Level, OpenLoop, Outcome, Rate, Report};
use super::site::Site;
use super::turns::take;
use super::{Args, Part, server_limit, sweep, system_calls, table};
use crate::progress::print;

/// Shares of the capacity.
const RATES: [f64; 6] = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5];
/// Whose throughput stands for the capacity, and with how many callers.
const CAPACITY: (&str, &str, usize) = ("wait-pool-redis", "pipe", 256);
/// Who asks for little beside others who ask for much, and how many those are.
const BESIDE: (usize, [usize; 3]) = (16, [0, 1, 4]);
/// Requests in the pipelines of the servers' own benchmark.
const PIPELINES: [u32; 2] = [16, 64];

/// How long it all takes.
#[derive(Debug)]
struct Effort {
    rounds: usize,
    open_rounds: usize,
    warm_up: Duration,
    time: Duration,
    /// Requests of each caller while allocations are counted.
    counted: usize,
}

/// All that was asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    quick: bool,
    parts: Vec<Part>,
    levels: Vec<usize>,
    contestants: Vec<Entry>,
    effort: Effort,
}

impl Plan {
    pub(crate) fn new(args: &Args) -> anyhow::Result<Self> {
        let mut contestants = lineup();
        if !args.only.is_empty() {
            contestants.retain(|entry| {
                let title = entry.title();
                args.only.iter().any(|only| title.contains(only))
            });
        }
        ensure!(!contestants.is_empty(), "nobody is called so");
        let mut effort = if args.quick {
            Effort::QUICK
        } else {
            Effort::FULL
        };
        if let Some(rounds) = args.rounds {
            (effort.rounds, effort.open_rounds) = (rounds, rounds);
        }
        if let Some(seconds) = args.seconds {
            effort.time = Duration::try_from_secs_f64(seconds)?;
        }
        Ok(Self {
            quick: args.quick,
            parts: if args.sweep {
                vec![Part::Sweep]
            } else {
                args.parts.clone()
            },
            levels: args.levels.clone(),
            contestants,
            effort,
        })
    }

    /// Measures, and shows the figures as they come.
    pub(crate) fn measure(&self) -> anyhow::Result<Report> {
        let site = Site::start()?;
        let mut report = Report {
            quick: self.quick,
            server: site.server(),
            processors: std::thread::available_parallelism()?.get(),
            ..Report::default()
        };
        if self.does(Part::Closed) {
            report.levels = self.closed(&site);
            report.servers_alone = self.servers_alone(&site)?;
            print(&table::terminal(table::closed(&report)));
        }
        if self.does(Part::Open) {
            let open = self.open(&site, &report)?;
            print(&table::terminal(table::open(&open)));
            report.open_loop = Some(open);
        }
        if self.does(Part::Large) {
            report.beside_large = self.beside_large(&site);
            print(&table::terminal(table::beside_large(&report)));
        }
        if self.does(Part::Allocations) {
            report.allocations = self.each("allocations", |entry| {
                (entry.allocations)(&site, self.effort.counted)
            });
            print(&table::terminal(table::allocations(&report)));
        }
        if self.does(Part::SystemCalls) {
            ensure!(
                system_calls::can_be_counted(),
                "there is no strace that works"
            );
            report.system_calls =
                self.each("system calls", |entry| system_calls::measure(&site, entry));
            print(&table::terminal(table::system_calls(&report)));
        }
        if self.does(Part::Sweep) {
            report.sweep = self.sweep(&site);
            print(&table::terminal(table::sweep(&report)));
        }
        Ok(report)
    }

    fn does(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn closed(&self, site: &Site) -> Vec<Level> {
        let titles: Vec<_> = self.contestants.iter().map(Entry::title).collect();
        let samples = take(
            "closed loop",
            &titles,
            self.levels.len(),
            self.effort.rounds,
            |_, level, index| (self.contestants[index].closed)(site, self.at(level)),
        );
        let levels = self.levels.iter().zip(samples);
        levels
            .map(|(&concurrency, samples)| Level {
                concurrency,
                results: outcomes(&self.contestants, &samples),
            })
            .collect()
    }

    fn at(&self, level: usize) -> Closed {
        Closed {
            callers: self.levels[level],
            large: 0,
            warm_up: self.effort.warm_up,
            time: self.effort.time,
        }
    }

    fn servers_alone(&self, site: &Site) -> anyhow::Result<Vec<Outcome>> {
        if !server_limit::prepare(site)? {
            print("  the servers come without their benchmark");
            return Ok(Vec::new());
        }
        let titles = PIPELINES.map(|pipeline| format!("{} -P {pipeline}", site.benchmark()));
        let samples = take(
            "servers alone",
            &titles,
            1,
            self.effort.rounds,
            |_, _, index| server_limit::measure(site, PIPELINES[index]),
        );
        let outcomes = titles.iter().zip(&samples[0]);
        Ok(outcomes
            .map(|(title, samples)| Outcome::new(title, "", samples))
            .collect())
    }

    fn open(&self, site: &Site, report: &Report) -> anyhow::Result<OpenLoop> {
        let capacity_per_s = match capacity(report) {
            Some(capacity) => capacity,
            None => self.capacity(site)?,
        };
        let best = self.contestants.iter().filter(|entry| entry.best);
        let best: Vec<Entry> = best.copied().collect();
        let titles: Vec<_> = best.iter().map(Entry::title).collect();
        let samples = take(
            "open loop",
            &titles,
            RATES.len(),
            self.effort.open_rounds,
            |round, column, index| {
                let open = Open {
                    rate: RATES[column] * capacity_per_s,
                    warm_up: self.effort.warm_up,
                    time: self.effort.time,
                    // The same arrivals for all.
                    seed: round as u64,
                };
                (best[index].open)(site, &open)
            },
        );
        let rates = RATES.into_iter().zip(samples);
        let rates = rates.map(|(of_capacity, samples)| Rate {
            of_capacity,
            arrivals_per_s: of_capacity * capacity_per_s,
            results: outcomes(&best, &samples),
        });
        Ok(OpenLoop {
            capacity_per_s,
            in_time_ms: IN_TIME.as_millis(),
            rates: rates.collect(),
        })
    }

    /// Where the closed loop was left out.
    fn capacity(&self, site: &Site) -> anyhow::Result<f64> {
        let (name, variant, callers) = CAPACITY;
        let lineup = lineup();
        let entry = lineup
            .iter()
            .find(|entry| (entry.name, entry.variant) == (name, variant));
        let entry = entry.expect("it is in the lineup");
        let closed = Closed {
            callers,
            large: 0,
            warm_up: self.effort.warm_up,
            time: self.effort.time,
        };
        let samples: Vec<_> = (0..self.effort.rounds)
            .map(|_| (entry.closed)(site, closed))
            .collect::<anyhow::Result<_>>()?;
        let figure = Outcome::of(entry, &samples).figure("requests_per_s");
        Ok(figure.map_or(0.0, |figure| figure.median))
    }

    /// A few callers beside others whose values are large.
    fn beside_large(&self, site: &Site) -> Vec<Beside> {
        let (callers, columns) = BESIDE;
        let best = self.contestants.iter().filter(|entry| entry.best);
        let best: Vec<Entry> = best.copied().collect();
        let titles: Vec<_> = best.iter().map(Entry::title).collect();
        let samples = take(
            "beside large",
            &titles,
            columns.len(),
            self.effort.rounds,
            |_, column, index| {
                let closed = Closed {
                    callers,
                    large: columns[column],
                    warm_up: self.effort.warm_up,
                    time: self.effort.time,
                };
                (best[index].closed)(site, closed)
            },
        );
        let columns = columns.into_iter().zip(samples);
        columns
            .map(|(large, samples)| Beside {
                concurrency: callers,
                large,
                results: outcomes(&best, &samples),
            })
            .collect()
    }

    /// What is counted once and in one way.
    fn each(
        &self,
        what: &str,
        measure: impl Fn(&Entry) -> anyhow::Result<super::sample::Sample>,
    ) -> Vec<Outcome> {
        let titles: Vec<_> = self.contestants.iter().map(Entry::title).collect();
        let samples = take(what, &titles, 1, 1, |_, _, index| {
            measure(&self.contestants[index])
        });
        outcomes(&self.contestants, &samples[0])
    }

    fn sweep(&self, site: &Site) -> Vec<Level> {
        let settings = sweep::settings();
        let titles: Vec<_> = settings.iter().copied().map(Settings::title).collect();
        let samples = take(
            "sweep",
            &titles,
            self.levels.len(),
            self.effort.rounds,
            |_, level, index| {
                let open = tuned(site.urls(), settings[index]);
                closed::measure(site, self.at(level), open)
            },
        );
        let levels = self.levels.iter().zip(samples);
        levels
            .map(|(&concurrency, samples)| {
                let results = titles.iter().zip(&samples);
                Level {
                    concurrency,
                    results: results
                        .map(|(title, samples)| Outcome::new(title, "", samples))
                        .collect(),
                }
            })
            .collect()
    }
}

/// The capacity, if the closed loop has told it.
fn capacity(report: &Report) -> Option<f64> {
    let (name, variant, callers) = CAPACITY;
    let mut results = report.level(callers)?.results.iter();
    let ours = results.find(|result| (&*result.name, &*result.variant) == (name, variant))?;
    Some(ours.figure("requests_per_s")?.median)
}

fn outcomes(entries: &[Entry], samples: &[Vec<super::sample::Sample>]) -> Vec<Outcome> {
    let outcomes = entries.iter().zip(samples);
    outcomes
        .map(|(entry, samples)| Outcome::of(entry, samples))
        .collect()
}

impl Effort {
    const QUICK: Self = Self {
        rounds: 1,
        open_rounds: 1,
        warm_up: Duration::from_millis(200),
        time: Duration::from_millis(400),
        counted: 200,
    };

    const FULL: Self = Self {
        rounds: 5,
        open_rounds: 3,
        warm_up: Duration::from_millis(300),
        time: Duration::from_secs(1),
        counted: 1_000,
    };
}

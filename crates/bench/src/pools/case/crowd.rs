//! `64-over-16` and `10000-over-16`: more tasks than connections. Each takes a connection, lets
//! others run while it has it, gives it back and comes again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::ensure;
use parking_lot::Mutex;

use super::{Case, Runtime, Setting, check_bound, open_all};
use crate::pools::connection::Connector;
use crate::pools::contestant::{Contestant, Setup};
use crate::pools::sample::Sample;

/// A pool that has not served everybody by then, in times of the sample's time, is not waited for.
const PATIENCE: u32 = 4;

#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) setting: Setting,
    pub(crate) name: &'static str,
    pub(crate) tasks: usize,
    pub(crate) time: Duration,
    /// Whether it is counted who was served out of order and who never.
    pub(crate) fairness: bool,
}

/// What the tasks of a crowd share.
#[derive(Debug, Default)]
struct Run {
    stopped: AtomicBool,
    /// Tasks that were served at least once.
    served: AtomicUsize,
    order: Option<Order>,
}

/// Everybody takes a number when he asks.
#[derive(Debug, Default)]
struct Order {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Whether those from `first` on have been served.
    served: VecDeque<bool>,
    first: usize,
    out_of_order: u64,
}

/// What one task saw.
#[derive(Debug, Default)]
struct Tally {
    checkouts: u64,
    gave_up: u64,
}

impl Case for Crowd {
    const UNIT: &'static str = "checkouts/s";
    const LOWER_IS_BETTER: bool = false;

    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self) -> Setting {
        self.setting
    }

    fn measure<C: Contestant>(&self) -> anyhow::Result<Sample> {
        let connector = Connector::default();
        let setup = Setup {
            size: 16,
            limit: self.setting.limit(),
        };
        let runtime = self.setting.runtime.build()?;
        let sample = runtime.block_on(async {
            let pool: C = open_all(&connector, setup).await?;
            self.crowd(pool).await
        })?;
        check_bound(&connector, setup)?;
        Ok(sample)
    }
}

impl Crowd {
    async fn crowd<C: Contestant>(&self, pool: C) -> anyhow::Result<Sample> {
        // Only where one thread does it all is there one order in which callers ask.
        let one_thread = self.setting.runtime == Runtime::CurrentThread;
        let run = Arc::new(Run {
            order: (self.fairness && one_thread).then(Order::default),
            ..Run::default()
        });
        let start = Instant::now();
        let tasks: Vec<_> = (0..self.tasks)
            .map(|_| {
                let (pool, run) = (pool.clone(), Arc::clone(&run));
                tokio::spawn(async move { member(&pool, &run).await })
            })
            .collect();
        tokio::time::sleep(self.time).await;
        while run.served.load(Relaxed) < self.tasks && start.elapsed() < self.time * PATIENCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let never_served = self.tasks - run.served.load(Relaxed);
        let elapsed = start.elapsed();
        run.stopped.store(true, Relaxed);

        let mut all = Tally::default();
        for task in tasks {
            let tally = task.await?;
            all.checkouts += tally.checkouts;
            all.gave_up += tally.gave_up;
        }
        ensure!(all.gave_up == 0, "{} callers gave up", all.gave_up);
        let mut sample = Sample::from(all.checkouts as f64 / elapsed.as_secs_f64());
        if let Some(order) = &run.order {
            sample.extras = vec![
                ("out_of_order", order.out_of_order() as f64),
                ("never_served", never_served as f64),
            ];
        }
        Ok(sample)
    }
}

async fn member<C: Contestant>(pool: &C, run: &Run) -> Tally {
    let mut tally = Tally::default();
    while !run.stopped.load(Relaxed) {
        let number = run.order.as_ref().map(Order::ask);
        let Ok(mut held) = pool.acquire().await else {
            tally.gave_up += 1;
            continue;
        };
        if run.stopped.load(Relaxed) {
            // The clock has stopped; this one is not of the run any more.
            break;
        }
        if let (Some(order), Some(number)) = (&run.order, number) {
            order.served(number);
        }
        if tally.checkouts == 0 {
            run.served.fetch_add(1, Relaxed);
        }
        tally.checkouts += 1;
        held.touch();
        tokio::task::yield_now().await;
    }
    tally
}

impl Order {
    /// Takes a number. On one thread nobody else asks between this and the first poll.
    fn ask(&self) -> usize {
        let mut line = self.line.lock();
        line.served.push_back(false);
        line.first + line.served.len() - 1
    }

    /// Notes who is served, and whether somebody who asked before him still waits.
    fn served(&self, number: usize) {
        let mut line = self.line.lock();
        let ahead = number - line.first;
        line.served[ahead] = true;
        line.out_of_order += u64::from(ahead > 0);
        while line.served.front() == Some(&true) {
            line.served.pop_front();
            line.first += 1;
        }
    }

    fn out_of_order(&self) -> u64 {
        self.line.lock().out_of_order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_served_before_their_turn_are_counted() {
        let order = Order::default();
        let numbers = [order.ask(), order.ask(), order.ask(), order.ask()];
        assert_eq!(numbers, [0, 1, 2, 3]);
        for number in [0, 3, 1, 2] {
            order.served(number);
        }
        assert_eq!(order.out_of_order(), 1);
        let next = order.ask();
        order.served(next);
        assert_eq!(order.out_of_order(), 1);
    }
}

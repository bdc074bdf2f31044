//! So many requests, for what is counted and not timed.

use std::sync::Arc;

use anyhow::ensure;
use fastrand::Rng;

use super::contestant::Contestant;
use super::data::{draw, wrong};

/// How many ask at once, and how often each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    pub(crate) callers: usize,
    pub(crate) each: usize,
}

impl Fixed {
    pub(crate) const fn requests(self) -> usize {
        self.callers * self.each
    }

    /// Has all of them answered, and rightly.
    pub(crate) async fn serve<C: Contestant>(self, contestant: &Arc<C>) -> anyhow::Result<()> {
        let callers = (0..self.callers).map(|number| {
            let contestant = Arc::clone(contestant);
            tokio::spawn(async move {
                let mut random = Rng::with_seed(number as u64);
                for _ in 0..self.each {
                    let keys = draw(&mut random);
                    let values = contestant.request(&keys).await?;
                    ensure!(wrong(&keys, &values) == 0, "wrong values");
                }
                Ok(())
            })
        });
        let callers: Vec<_> = callers.collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    }
}

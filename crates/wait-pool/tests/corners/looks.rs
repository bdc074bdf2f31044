//! A foreign manager whose looks hang.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use deadpool::managed::{Manager, Metrics, RecycleResult};
use tokio::time::Instant;
use wait_pool::compat::deadpool::Pool;

use crate::{in_so_long, is_timeout, ms, secs};

struct Hanging(Arc<AtomicUsize>);

impl Manager for Hanging {
    type Type = ();
    type Error = std::io::Error;

    async fn create(&self) -> std::io::Result<()> {
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<std::io::Error> {
        self.0.fetch_add(1, SeqCst);
        pending().await
    }
}

/// One after the other would be looked at, each for as long as a look may take.
#[tokio::test(start_paused = true)]
async fn a_caller_is_told_when_its_time_is_up_between_two_looks() {
    let looks = Arc::new(AtomicUsize::new(0));
    let pool = Pool::builder(Hanging(Arc::clone(&looks))).max_size(16);
    let pool = pool.wait_timeout(secs(5)).check_timeout(secs(1));
    let pool: Pool<Hanging> = pool.build().unwrap().into();
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(pool.get().await.unwrap());
    }
    drop(held);

    let begun = Instant::now();
    assert!(is_timeout(&pool.get().await));
    assert!(begun.elapsed() <= secs(6), "{:?}", begun.elapsed());
    assert!(looks.load(SeqCst) <= 6);

    let begun = Instant::now();
    assert!(is_timeout(&pool.get_until(in_so_long(ms(100))).await));
    // The look that its time ended in is the last.
    assert!(begun.elapsed() <= ms(1_100), "{:?}", begun.elapsed());
    assert!(pool.status().idle > 0 && pool.status().in_use == 0);
}

//! What a request allocates, on one thread: what other threads allocate is not counted.

use std::sync::Arc;

use tokio::runtime::Builder;

use super::contestant::Contestant;
use super::fixed::Fixed;
use super::sample::Sample;
use super::site::Site;

const CALLERS: usize = 16;

/// The means of many requests.
pub(crate) fn measure<C: Contestant>(site: &Site, each: usize) -> anyhow::Result<Sample> {
    site.wait_until_left()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let contestant = Arc::new(runtime.block_on(C::open(site.urls()))?);
    let fixed = Fixed {
        callers: CALLERS,
        each,
    };
    // Connections are opened and buffers grow before the count begins.
    runtime.block_on(fixed.serve(&contestant))?;
    let mut served = Ok(());
    let info = allocation_counter::measure(|| served = runtime.block_on(fixed.serve(&contestant)));
    served?;
    let each = |total: u64| total as f64 / fixed.requests() as f64;
    Ok(Sample {
        figures: vec![
            ("allocations_per_request", each(info.count_total)),
            ("allocated_bytes_per_request", each(info.bytes_total)),
        ],
        ..Sample::default()
    })
}

//! Clients that are there only where they are asked for, since they take long to build.

#[cfg(feature = "rivals-redis")]
mod fred;
#[cfg(bench_glide)]
mod glide;
#[cfg(feature = "rivals-redis")]
mod rustis;

use super::Entry;

/// Those that are there.
pub(super) fn lineup() -> Vec<Entry> {
    vec![
        #[cfg(feature = "rivals-redis")]
        super::entry::<fred::Fred>().best(),
        #[cfg(feature = "rivals-redis")]
        super::entry::<rustis::Rustis<1>>(),
        #[cfg(feature = "rivals-redis")]
        super::entry::<rustis::Rustis<16>>().best(),
        #[cfg(bench_glide)]
        super::entry::<glide::Glide>().best(),
    ]
}

//! What all contestants pool: a connection that costs nothing, so that what remains is the pool.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Opens connections, and knows how many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connector {
    open: Arc<Open>,
}

/// A connection. Whoever holds it uses it, so that no compiler can do without it.
#[derive(Debug)]
pub(crate) struct Connection {
    uses: u64,
    open: Arc<Open>,
}

/// Connecting never fails.
pub(crate) type Failure = Infallible;

#[derive(Debug, Default)]
struct Open {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Connector {
    pub(crate) fn open(&self) -> Connection {
        let now = self.open.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.peak.fetch_max(now, Ordering::Relaxed);
        Connection {
            uses: 0,
            open: Arc::clone(&self.open),
        }
    }

    /// The most that were open at one time.
    pub(crate) fn peak(&self) -> usize {
        self.open.peak.load(Ordering::Relaxed)
    }
}

impl Connection {
    pub(crate) fn touch(&mut self) {
        self.uses = std::hint::black_box(self.uses + 1);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_of_one_moment() {
        let connector = Connector::default();
        let first = connector.open();
        drop(first);
        let mut second = connector.open();
        let third = connector.open();
        second.touch();
        assert_eq!(second.uses, 1);
        drop((second, third));
        assert_eq!(connector.peak(), 2);
    }
}

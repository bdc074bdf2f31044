//! What each counter may be at the end.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Of each counter: how much was added for certain, and how much perhaps.
#[derive(Debug, Default)]
pub struct Ledger {
    counters: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Answered.
    acknowledged: i64,
    /// Sent, or perhaps sent, and not answered.
    unknown: i64,
    /// A server that had it was killed, and may have forgotten what it had answered.
    forgetful: bool,
}

impl Ledger {
    /// So much was added, as an answer says.
    pub fn acknowledge(&self, key: &str, count: i64) {
        self.with(key, |entry| entry.acknowledged += count);
    }

    /// So much may have been added.
    pub fn doubt(&self, key: &str, count: i64) {
        self.with(key, |entry| entry.unknown += count);
    }

    /// Whoever served these keys was killed.
    pub fn forget(&self, is_one: impl Fn(&str) -> bool) {
        for (key, entry) in &mut *self.counters.lock() {
            entry.forgetful |= is_one(key);
        }
    }

    /// The names of all counters.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.counters.lock().keys().cloned().collect()
    }

    /// Whether a counter may be what it is. Nobody adds to it any more.
    ///
    /// ```
    /// let ledger = chaos::Ledger::default();
    /// ledger.acknowledge("a", 2);
    /// ledger.doubt("a", 1);
    /// assert!(!ledger.allows("a", 1), "one that was answered is missing");
    /// assert!(ledger.allows("a", 2) && ledger.allows("a", 3));
    /// assert!(!ledger.allows("a", 4), "one has run twice");
    /// ```
    #[must_use]
    pub fn allows(&self, key: &str, value: i64) -> bool {
        let counters = self.counters.lock();
        let entry = counters.get(key).copied().unwrap_or_default();
        let most = entry.acknowledged + entry.unknown;
        value <= most && (entry.forgetful || value >= entry.acknowledged)
    }

    /// What is known of a counter.
    pub(crate) fn show(&self, key: &str) -> String {
        format!("{:?}", self.counters.lock().get(key))
    }

    fn with(&self, key: &str, change: impl FnOnce(&mut Entry)) {
        let mut counters = self.counters.lock();
        match counters.get_mut(key) {
            Some(entry) => change(entry),
            None => change(counters.entry(key.to_owned()).or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_server_forgot_is_no_fault_but_what_ran_twice_is() {
        let ledger = Ledger::default();
        ledger.acknowledge("a", 5);
        ledger.acknowledge("b", 5);
        ledger.forget(|key| key == "a");
        assert!(ledger.allows("a", 3) && !ledger.allows("a", 6));
        assert!(!ledger.allows("b", 3));
        ledger.acknowledge("a", 1);
        assert!(ledger.allows("a", 4));
    }
}

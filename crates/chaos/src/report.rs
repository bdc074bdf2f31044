//! What came of it, for people and machines.

use std::fmt;

use serde::Serialize;

/// What a client did while its cluster was being broken.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Which client.
    pub client: String,
    /// Which script.
    pub seed: u64,
    /// For how long faults came.
    pub seconds: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that were dropped before they were done.
    pub dropped: u64,
    /// Requests that ended with a documented error.
    pub errors: u64,
    /// The longest time without any answer, in seconds.
    pub longest_darkness_s: f64,
    /// What was broken, and how often.
    pub faults: Vec<Count>,
    /// Replies that belonged to somebody else.
    pub foreign_replies: u64,
    /// Counters that are not what they may be.
    pub ledger_violations: u64,
    /// Requests without an answer or an error for 20 s.
    pub hangs: u64,
    /// Errors that users are told nothing of.
    pub undocumented_errors: u64,
    /// Panics anywhere in the process.
    pub panics: u64,
    /// The most connections to all nodes that were seen at once.
    pub peak_connections: usize,
    /// The most there may be; 0 if the client does not say.
    pub connection_cap: usize,
    /// Nodes that had more connections than one may have.
    pub nodes_above_cap: usize,
    /// From the end of the last fault until as much was answered as before the first, in seconds; nothing if
    /// that did not come about.
    pub recovered_within_s: Option<f64>,
    /// What was left when all was done.
    pub leaked: Leaked,
    /// Some of what went wrong, in words.
    pub remarks: Vec<String>,
}

/// How often a fault came.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Count {
    /// Which one.
    pub kind: &'static str,
    /// How often.
    pub count: u64,
}

/// What was left when all was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Leaked {
    /// Connections that the servers still had when the client was gone.
    pub connections: usize,
    /// Tasks of the runtime.
    pub tasks: usize,
    /// Places in line, and connections in use, while nobody asked for anything.
    pub waiters: usize,
    /// File descriptors of the process.
    pub file_descriptors: usize,
}

impl Report {
    /// Whether zeros are where they belong, no cap was exceeded and the rate came back within 5 s.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Leaked {
            connections,
            tasks,
            waiters,
            file_descriptors,
        } = self.leaked;
        let zeros = [
            self.foreign_replies,
            self.ledger_violations,
            self.hangs,
            self.undocumented_errors,
            self.panics,
        ];
        zeros == [0; 5]
            && self.nodes_above_cap == 0
            && [connections, tasks, waiters, file_descriptors] == [0; 4]
            && self.recovered_within_s.is_some_and(|time| time <= 5.0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.faults.iter();
        let faults: Vec<_> = faults
            .map(|Count { kind, count }| format!("{kind} {count}"))
            .collect();
        writeln!(f, "{}, seed {}, {} s", self.client, self.seed, self.seconds)?;
        writeln!(f, "  faults               {}", faults.join(", "))?;
        writeln!(f, "  answered             {}", self.requests)?;
        writeln!(f, "  dropped on purpose   {}", self.dropped)?;
        writeln!(f, "  documented errors    {}", self.errors)?;
        writeln!(f, "  foreign replies      {}", self.foreign_replies)?;
        writeln!(f, "  ledger violations    {}", self.ledger_violations)?;
        writeln!(f, "  hangs                {}", self.hangs)?;
        writeln!(f, "  undocumented errors  {}", self.undocumented_errors)?;
        writeln!(f, "  panics               {}", self.panics)?;
        writeln!(
            f,
            "  connections          {} at most, {} allowed, nodes above the cap: {}",
            self.peak_connections, self.connection_cap, self.nodes_above_cap
        )?;
        writeln!(f, "  longest darkness     {:.1} s", self.longest_darkness_s)?;
        match self.recovered_within_s {
            Some(time) => writeln!(f, "  full rate again      after {time:.1} s")?,
            None => writeln!(f, "  full rate again      never")?,
        }
        let left = self.leaked;
        writeln!(
            f,
            "  left behind          {} connections, {} tasks, {} waiters, {} file descriptors",
            left.connections, left.tasks, left.waiters, left.file_descriptors
        )?;
        for remark in &self.remarks {
            writeln!(f, "  ! {remark}")?;
        }
        Ok(())
    }
}

//! What is broken, and when. The same seed always gives the same script.

use std::time::Duration;

use fastrand::Rng;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A node is killed (`SIGKILL`), and started again a second or two later.
    Kill,
    /// A node is frozen (`SIGSTOP`) for three seconds.
    Freeze,
    /// A replica takes over from its master (`CLUSTER FAILOVER`).
    Failover,
    /// A hundred slots go to another master.
    Reshard,
    /// A node joins, takes some slots, gives them back and leaves.
    Visitor,
    /// All connections of clients are closed by the servers (`CLIENT KILL`).
    ClientKill,
    /// Answers of a node take 100 ms longer, for two seconds.
    Delay,
    /// A connection to a node is closed in the middle of an answer.
    CutInAnswer,
    /// All connections to a node are reset.
    Reset,
    /// Nothing passes to or from a node for three seconds.
    Silence,
    /// A node takes hardly more connections than it has (`CONFIG SET maxclients`), for two seconds.
    MaxClients,
    /// A node does nothing for a second (`DEBUG SLEEP`).
    Sleep,
    /// The pool gets smaller, and larger again.
    Resize,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Freeze,
        Self::Failover,
        Self::Reshard,
        Self::Visitor,
        Self::ClientKill,
        Self::Delay,
        Self::CutInAnswer,
        Self::Reset,
        Self::Silence,
        Self::MaxClients,
        Self::Sleep,
        Self::Resize,
    ];

    /// How it is called in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Failover => "failover",
            Self::Reshard => "reshard",
            Self::Visitor => "node-added-and-removed",
            Self::ClientKill => "client-kill",
            Self::Delay => "delay",
            Self::CutInAnswer => "cut-in-answer",
            Self::Reset => "reset",
            Self::Silence => "silence",
            Self::MaxClients => "maxclients",
            Self::Sleep => "debug-sleep",
            Self::Resize => "resize",
        }
    }
}

/// A fault, how long after the end of the last one it comes, and a number that decides to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long everything is left alone before.
    pub pause: Duration,
    /// What happens.
    pub fault: Fault,
    /// Whom it happens to, modulo those there are.
    pub whom: u32,
}

/// Steps without end. Every kind comes once before any comes again.
#[derive(Clone, Debug)]
pub struct Script {
    random: Rng,
    left: Vec<Fault>,
}

impl Script {
    /// The script that belongs to a seed.
    ///
    /// ```
    /// let steps = |seed| chaos::Script::new(seed).take(50).collect::<Vec<_>>();
    /// assert_eq!(steps(1), steps(1));
    /// assert_ne!(steps(1), steps(2));
    /// ```
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            left: Vec::new(),
        }
    }
}

impl Iterator for Script {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.left.is_empty() {
            self.left = Fault::ALL.to_vec();
            self.random.shuffle(&mut self.left);
        }
        Some(Step {
            pause: Duration::from_millis(self.random.u64(500..2_000)),
            fault: self.left.pop()?,
            whom: self.random.u32(..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        let mut steps = Script::new(7);
        for _ in 0..3 {
            let mut round: Vec<_> = steps.by_ref().take(13).map(|step| step.fault).collect();
            round.sort_unstable();
            assert_eq!(round, Fault::ALL);
        }
    }
}

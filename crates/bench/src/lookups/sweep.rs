//! The pool at other settings than its own: are the defaults well chosen?

use super::contestant::Settings;

/// Everything from one connection a node to many, with room on each for few requests or for many.
pub(crate) fn settings() -> Vec<Settings> {
    let mut all = Vec::new();
    for connections_per_node in [1, 2, 4, 8] {
        for leases_per_connection in [16, 64, 256, 1_024] {
            for max_connecting in [1, 2, 4] {
                // With one connection there are never several to be opened.
                if max_connecting <= connections_per_node {
                    all.push(Settings {
                        connections_per_node,
                        leases_per_connection,
                        max_connecting,
                    });
                }
            }
        }
    }
    all
}

impl Settings {
    /// `4 × 64, 2 at once`.
    pub(crate) fn title(self) -> String {
        format!(
            "{} × {}, {} at once",
            self.connections_per_node, self.leases_per_connection, self.max_connecting
        )
    }
}

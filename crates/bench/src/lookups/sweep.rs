//! The pool at other settings than its own: are the defaults well chosen?

use super::contestant::Settings;

/// How many are opened at once unless that is what is looked at.
const AT_ONCE: usize = 2;

/// Everything from one connection a node to many, with room on each for few requests or for many; then how many
/// are opened at once, where many have to be opened.
pub(crate) fn settings() -> Vec<Settings> {
    let mut all = Vec::new();
    for connections_per_node in [1, 2, 4, 16] {
        for leases_per_connection in [16, 64, 256, 512, 2_048] {
            all.push(Settings {
                connections_per_node,
                leases_per_connection,
                max_connecting: AT_ONCE,
            });
        }
    }
    for max_connecting in [1, 4, 8] {
        all.push(Settings {
            connections_per_node: 16,
            leases_per_connection: 64,
            max_connecting,
        });
    }
    all
}

impl Settings {
    /// `4 × 64`, or `4 × 64, 8 at once`.
    pub(crate) fn title(self) -> String {
        let Self {
            connections_per_node,
            leases_per_connection,
            max_connecting,
        } = self;
        match max_connecting {
            AT_ONCE => format!("{connections_per_node} × {leases_per_connection}"),
            _ => format!(
                "{connections_per_node} × {leases_per_connection}, {max_connecting} at once"
            ),
        }
    }
}

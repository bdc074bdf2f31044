//! Free ports on loopback.
//!
//! Not from the range the system hands to outgoing connections: there, a client that keeps dialling a
//! node that is down can end up connected to itself, and the port is taken when the node
//! comes back. So a port is drawn at random from below that range and tried. A cluster node's bus
//! port is by rule its port plus 10,000 (servers before 7 know nothing else), so both are tried.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// From a node's port to the port of its cluster bus.
const BUS_OFFSET: u16 = 10_000;
/// Ports are drawn from here on; with the bus ports this ends below 32,768, where Linux begins.
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;

/// A port that was free a moment ago, and whose bus port was too.
///
/// Another process may still be quicker; whoever starts a server on it must be ready to draw again.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    for _ in 0..1000 {
        // Each `RandomState` has its own keys: the standard library's one source of randomness.
        let random = RandomState::new().build_hasher().finish();
        let offset = u16::try_from(random % u64::from(COUNT)).expect("below COUNT");
        let port = FIRST + offset;
        if is_free(port) && is_free(port + BUS_OFFSET) {
            return Ok(port);
        }
    }
    bail!("no free port from {FIRST} to {}", FIRST + COUNT - 1)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_in_range_and_differ() {
        let ports: std::collections::HashSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert!(ports.iter().all(|port| (12_000..22_000).contains(port)));
        assert!(ports.len() > 30);
    }

    #[test]
    fn a_taken_port_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}

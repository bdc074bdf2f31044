//! A node's address, as clusters write it and as pools are keyed by it.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Host and port of one server. Cheap to clone, since every pool, route and topology holds some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddr {
    host: Arc<str>,
    port: u16,
}

impl NodeAddr {
    /// The address of `host` (a name or an IP address, IPv6 without brackets) and `port`.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The name or IP address; IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Reads `host:port`, `[ipv6]:port` and the bare `ipv6:port` that servers write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text)?;
        (!host.is_empty()).then(|| Self::new(host, port))
    }

    /// Like [`parse`](Self::parse), for an address that the node `asked` gave: a server that does not know
    /// its own name leaves the host empty or writes `?`, which means the host that was asked.
    #[must_use]
    pub fn parse_relative(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = split(text)?;
        Some(asked.sibling(host, port))
    }

    /// `host` and `port`, where an unknown host (empty or `?`) is this node's own.
    #[must_use]
    pub(crate) fn sibling(&self, host: &str, port: u16) -> Self {
        match host {
            "" | "?" => Self {
                host: Arc::clone(&self.host),
                port,
            },
            known => Self::new(known, port),
        }
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Host (maybe empty) and port. The last colon splits, since servers write IPv6 without brackets; a host with
/// colons in it must then be an IPv6 address, so that a lone `::1` is not read as host `:` and port 1.
fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let plausible = match bracketed {
        Some(inside) => is_ipv6(inside),
        None => !host.contains(':') || is_ipv6(host),
    };
    plausible.then_some((bracketed.unwrap_or(host), port))
}

fn is_ipv6(host: &str) -> bool {
    // A zone (`fe80::1%eth0`) is for the resolver; the address is what stands before it.
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parses(text: &str, host: &str, port: u16) {
        assert_eq!(NodeAddr::parse(text), Some(NodeAddr::new(host, port)));
    }

    #[test]
    fn reads_what_servers_write() {
        parses("127.0.0.1:6379", "127.0.0.1", 6379);
        parses("redis-0.example:7000", "redis-0.example", 7000);
        parses("[::1]:7000", "::1", 7000);
        parses("::1:7000", "::1", 7000);
        parses("fe80::1%eth0:7000", "fe80::1%eth0", 7000);
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "host",
            "host:",
            ":7000",
            "host:port",
            "host:70000",
            "host:-1",
            "::1",
            "[::1]",
            "[]:1",
            "a:b:1",
            "[a]:1",
        ] {
            assert_eq!(NodeAddr::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_unknown_host_is_the_one_asked() {
        let asked = NodeAddr::new("10.0.0.1", 7000);
        let relative = |text| NodeAddr::parse_relative(text, &asked);
        assert_eq!(relative(":7001"), Some(NodeAddr::new("10.0.0.1", 7001)));
        assert_eq!(relative("?:7001"), Some(NodeAddr::new("10.0.0.1", 7001)));
        assert_eq!(relative("b:7001"), Some(NodeAddr::new("b", 7001)));
        assert_eq!(relative("b"), None);
    }

    #[test]
    fn displays_what_parses_again() {
        for text in ["localhost:1", "[::1]:7000", "127.0.0.1:65535"] {
            let addr = NodeAddr::parse(text).unwrap();
            assert_eq!(addr.to_string(), text);
        }
    }
}

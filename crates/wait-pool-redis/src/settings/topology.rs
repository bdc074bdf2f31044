//! Settings of how nodes are found.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisFuture;
use redis::io::AsyncDNSResolver;

use crate::event::Audience;
use crate::node::NodeAddr;

#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// How often the topology is looked up while nothing asks for it but there are requests.
    pub(crate) check_interval: Option<Duration>,
    pub(crate) audience: Audience,
    pub(crate) address_map: AddressMap,
    /// redis-rs's own unless set.
    pub(crate) resolver: Option<Resolver>,
}

impl Default for Finding {
    fn default() -> Self {
        Self {
            check_interval: Some(Duration::from_secs(60)),
            audience: Audience::default(),
            address_map: AddressMap::default(),
            resolver: None,
        }
    }
}

/// Where nodes are reached that servers call by addresses of their own.
#[derive(Clone, Default)]
pub(crate) struct AddressMap(Option<Arc<Map>>);

type Map = dyn Fn(&NodeAddr) -> NodeAddr + Send + Sync;

impl AddressMap {
    pub(crate) fn new(map: impl Fn(&NodeAddr) -> NodeAddr + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(map)))
    }

    pub(crate) fn reached_at(&self, addr: &NodeAddr) -> NodeAddr {
        self.0
            .as_ref()
            .map_or_else(|| addr.clone(), |map| map(addr))
    }
}

impl fmt::Debug for AddressMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "set" } else { "unset" })
    }
}

/// Finds the addresses of host names.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<dyn AsyncDNSResolver>);

impl Resolver {
    pub(crate) fn new(resolver: impl AsyncDNSResolver) -> Self {
        Self(Arc::new(resolver))
    }
}

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        self.0.resolve(host, port)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_map_is_itself() {
        let addr = NodeAddr::new("10.0.0.1", 6379);
        assert_eq!(AddressMap::default().reached_at(&addr), addr);
        let map = AddressMap::new(|addr| NodeAddr::new("gate.example", addr.port() + 1));
        assert_eq!(map.reached_at(&addr).to_string(), "gate.example:6380");
        assert_eq!(format!("{map:?}"), "set");
    }
}

//! The builder's settings of how nodes are found.

use std::time::Duration;

use redis::io::AsyncDNSResolver;

use super::Builder;
use crate::cluster;
use crate::event::{Audience, TopologyListener};
use crate::node::NodeAddr;
use crate::settings::topology::{AddressMap, Resolver};

impl<T> Builder<T> {
    /// Finds the addresses of host names instead of the operating system. For every connection; of
    /// several addresses all are tried at once, and the first that answers is used.
    pub fn dns_resolver(mut self, resolver: impl AsyncDNSResolver) -> Self {
        self.settings.finding.resolver = Some(Resolver::new(resolver));
        self
    }
}

impl Builder<cluster::Pool> {
    /// How often the topology is looked up although nothing hints at a change. Default 60 s; up to a
    /// quarter more is added by chance, so that many clients do not ask at once. `None` leaves it to
    /// redirects and errors.
    ///
    /// Only while there are requests: a pool without traffic asks nobody.
    pub fn topology_check_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.finding.check_interval = interval.into();
        self
    }

    /// Where nodes are reached whose own addresses lead nowhere from here: behind NAT, port forwarding or a
    /// tunnel, or where certificates have other names than servers tell.
    ///
    /// It is asked with every address that a server names, in its topology and in redirects, and
    /// answers with the one to connect to; with TLS that host is also the name in the certificate. The URLs that
    /// the pool was made with are taken as they are. Everywhere else ([`status`](cluster::Pool::status),
    /// [`topology`](cluster::Pool::topology), errors) nodes are called what servers call them.
    ///
    /// It had better be quick and always answer the same.
    ///
    /// # Example
    ///
    /// ```
    /// use wait_pool_redis::NodeAddr;
    ///
    /// let pool = wait_pool_redis::cluster::Pool::builder(["redis://gate.example:17000"])
    ///     .address_map(|node| match node.host().starts_with("10.") {
    ///         true => NodeAddr::new("gate.example", node.port() + 10_000),
    ///         false => node.clone(),
    ///     })
    ///     .build()?;
    /// # Ok::<(), wait_pool_redis::BuildError>(())
    /// ```
    pub fn address_map(
        mut self,
        map: impl Fn(&NodeAddr) -> NodeAddr + Send + Sync + 'static,
    ) -> Self {
        self.settings.finding.address_map = AddressMap::new(map);
        self
    }

    /// Hears of everything that the pool learns of its cluster; of two, the last one set.
    pub fn topology_listener(mut self, listener: impl TopologyListener) -> Self {
        self.settings.finding.audience = Audience::of(listener);
        self
    }
}

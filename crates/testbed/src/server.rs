//! A standalone server.

use std::ops::Deref;

use crate::fleet::Fleet;
use crate::node::Node;
use crate::tls::Tls;

/// A standalone server that ends when it is dropped, or when this process ends in whatever way.
///
/// It is its one [`Node`]: addresses, signals and connections are found there.
#[derive(Debug)]
pub struct Server {
    fleet: Fleet,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If there is no server program, or it does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Like [`start`](Self::start), with more lines of configuration, such as
    /// `("maxmemory", "1mb")`. They win over the testbed's own.
    ///
    /// # Errors
    /// If there is no server program, or it does not come up with these settings.
    pub fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::launch(settings, None)
    }

    /// Like [`start_with`](Self::start_with), for one that speaks TLS on a port of its own as well:
    /// [`Node::tls_url`].
    ///
    /// # Errors
    /// If there is no server program that speaks TLS, or it does not come up with these settings.
    pub fn start_tls(tls: &Tls, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::launch(settings, Some(tls))
    }

    fn launch(settings: &[(&str, &str)], tls: Option<&Tls>) -> anyhow::Result<Self> {
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self {
            fleet: Fleet::start(1, &settings, tls)?,
        })
    }
}

impl Deref for Server {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.fleet.nodes()[0]
    }
}

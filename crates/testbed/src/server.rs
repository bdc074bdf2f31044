//! A standalone server.

use std::ops::Deref;

use crate::fleet::Fleet;
use crate::node::Node;

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
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self {
            fleet: Fleet::start(1, &settings)?,
        })
    }
}

impl Deref for Server {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.fleet.nodes()[0]
    }
}

//! Server processes that start together and end together.

use std::sync::Arc;

use anyhow::bail;

use crate::binary::{Binary, server_binary};
use crate::node::{Node, StartError};
use crate::ports::free_port;
use crate::reaper::Reaper;
use crate::tls::Tls;

/// How often another process may be quicker to take a port before it looks like something else.
const TRIES: u32 = 10;

/// Some nodes and the reaper that ends them.
#[derive(Debug)]
pub(crate) struct Fleet {
    reaper: Arc<Reaper>,
    binary: Binary,
    /// Lines of configuration that all have in common.
    settings: Vec<(String, String)>,
    tls: Option<Tls>,
    nodes: Vec<Node>,
}

impl Fleet {
    /// Starts `count` servers at once and waits until all of them answer. With `tls` they speak that, too.
    pub(crate) fn start(
        count: usize,
        settings: &[(String, String)],
        tls: Option<&Tls>,
    ) -> anyhow::Result<Self> {
        let binary = server_binary()?;
        let mut all = common_settings(&binary);
        all.extend_from_slice(settings);

        let mut fleet = Self {
            reaper: Reaper::start()?,
            binary,
            settings: all,
            tls: tls.cloned(),
            nodes: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let node = fleet.spawn()?;
            fleet.nodes.push(node);
        }
        for index in 0..count {
            fleet.await_ready(index)?;
        }
        Ok(fleet)
    }

    /// Starts one more server, which becomes the last one.
    pub(crate) fn add(&mut self) -> anyhow::Result<()> {
        let node = self.spawn()?;
        self.nodes.push(node);
        self.await_ready(self.nodes.len() - 1)
    }

    /// Takes a server out. It goes on until the fleet ends.
    pub(crate) fn remove(&mut self, index: usize) -> Node {
        self.nodes.remove(index)
    }

    fn spawn(&self) -> anyhow::Result<Node> {
        // Two nodes of ours must not draw the same port; the directory named after it says so.
        let port = loop {
            let port = free_port()?;
            if !self.dir().join(port.to_string()).exists() {
                break port;
            }
        };
        let reaper = Arc::clone(&self.reaper);
        Node::spawn(
            self.binary.clone(),
            reaper,
            port,
            &self.settings,
            self.tls.as_ref(),
        )
    }

    /// Waits until a server answers; one whose port was taken is replaced.
    fn await_ready(&mut self, index: usize) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            match self.nodes[index].ready() {
                Ok(()) => return Ok(()),
                Err(StartError::Other(error)) => return Err(error),
                Err(StartError::PortTaken) => {}
            }
            self.nodes[index].kill()?;
            self.nodes[index] = self.spawn()?;
        }
        bail!("every port that is free is taken by the time a server binds it");
    }

    /// The servers, in the order they were started.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The directory that holds all of theirs.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.reaper.dir()
    }

    /// Lets the servers go on after this process.
    pub(crate) fn detach(self) -> anyhow::Result<()> {
        self.reaper.leave()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.reaper.finish();
    }
}

/// What suits servers that hold nothing of value and should be quick.
fn common_settings(binary: &Binary) -> Vec<(String, String)> {
    let mut settings = vec![
        ("bind", "127.0.0.1"),
        ("protected-mode", "no"),
        ("daemonize", "no"),
        ("loglevel", "warning"),
        ("save", ""),
        ("appendonly", "no"),
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", "0"),
    ];
    if binary.major() >= 7 {
        settings.push(("enable-debug-command", "yes"));
    }
    settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

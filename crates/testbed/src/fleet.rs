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
            nodes: Vec::with_capacity(count),
        };
        let spawn = |reaper: &Arc<Reaper>| {
            // Two nodes of ours must not draw the same port; the directory named after it says so.
            let port = loop {
                let port = free_port()?;
                if !reaper.dir().join(port.to_string()).exists() {
                    break port;
                }
            };
            Node::spawn(binary.clone(), Arc::clone(reaper), port, &all, tls)
        };
        for _ in 0..count {
            let node = spawn(&fleet.reaper)?;
            fleet.nodes.push(node);
        }
        let mut taken = 0;
        for index in 0..count {
            loop {
                match fleet.nodes[index].ready() {
                    Ok(()) => break,
                    Err(StartError::Other(error)) => return Err(error),
                    Err(StartError::PortTaken) => taken += 1,
                }
                if taken > TRIES {
                    bail!("every port that is free is taken by the time a server binds it");
                }
                fleet.nodes[index].kill()?;
                fleet.nodes[index] = spawn(&fleet.reaper)?;
            }
        }
        Ok(fleet)
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

//! How many connections there are, as the servers see it.
//!
//! A thread per node asks on a connection of its own, every 50 ms or so, for
//! `connected_clients` and `total_connections_received`. `INFO` costs a server the same with three
//! connections and with three thousand; `CLIENT LIST` would slow down the phase that has most.
//! `connected_clients` leaves out what replicas hold at their master and the cluster bus. What else
//! is connected before a phase begins, such as these threads and a replica's own link, is taken as
//! the zero. A connection too short-lived to be seen still shows in the number of those opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use redis::{Connection, InfoDict};

use super::site::Site;

const PERIOD: Duration = Duration::from_millis(50);
/// Enough for servers to see some thousand connections go.
const PAUSE: Duration = Duration::from_millis(500);
/// Longer than a node is stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// The threads that ask.
#[derive(Debug)]
pub(super) struct Census {
    board: Arc<Board>,
    /// Nobody else uses the cluster.
    alone: bool,
}

/// The connections of one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Most of them at the same time, over all nodes.
    pub(super) peak: u64,
    /// How many were opened in all.
    pub(super) opened: u64,
}

#[derive(Debug)]
struct Board {
    seats: Vec<Seat>,
    /// What was open, and had been opened, before the phase.
    zero: AtomicI64,
    opened_before: AtomicI64,
    peak: AtomicI64,
    over: AtomicBool,
    failure: Mutex<Option<String>>,
}

/// What one node said last.
#[derive(Debug, Default)]
struct Seat {
    open: AtomicI64,
    opened: AtomicI64,
    looks: AtomicU64,
}

impl Census {
    /// Connects to every node and begins to look.
    pub(super) fn start(site: &Site) -> anyhow::Result<Self> {
        let connections = site
            .slots
            .nodes()
            .map(|node| Ok((node.to_string(), site.connection(node)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let board = Arc::new(Board {
            seats: connections.iter().map(|_| Seat::default()).collect(),
            zero: AtomicI64::new(0),
            opened_before: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            over: AtomicBool::new(false),
            failure: Mutex::new(None),
        });
        for (index, (name, connection)) in connections.into_iter().enumerate() {
            let board = Arc::clone(&board);
            thread::Builder::new()
                .name("census".to_owned())
                .spawn(move || board.watch(index, &name, connection))?;
        }
        let alone = !site.is_visited();
        let census = Self { board, alone };
        census.begin()?;
        Ok(census)
    }

    /// Takes what is open now as the zero.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        self.fresh()?;
        let board = &self.board;
        board.zero.store(board.open(), Ordering::SeqCst);
        board.opened_before.store(board.opened(), Ordering::SeqCst);
        board.peak.store(0, Ordering::SeqCst);
        Ok(())
    }

    /// What was seen since the beginning.
    pub(super) fn end(&self) -> anyhow::Result<Counted> {
        self.fresh()?;
        let board = &self.board;
        let opened = board.opened() - board.opened_before.load(Ordering::SeqCst);
        Ok(Counted {
            peak: unsigned(board.peak.load(Ordering::SeqCst)),
            opened: unsigned(opened),
        })
    }

    /// Waits until the servers have seen every connection go that came since the beginning, so that
    /// one phase does not weigh on the next.
    pub(super) fn settle(&self) -> anyhow::Result<()> {
        let board = &self.board;
        if !self.alone {
            // Strangers may come and stay.
            thread::sleep(PAUSE);
            return self.fresh();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.fresh()?;
            let left = board.open() - board.zero.load(Ordering::SeqCst);
            if left <= 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{left} connections are still open {PATIENCE:?} after their client has gone");
            }
        }
    }

    /// Waits until every node has answered a question that was asked after this call.
    fn fresh(&self) -> anyhow::Result<()> {
        let board = &self.board;
        let looks = |seat: &Seat| seat.looks.load(Ordering::SeqCst);
        // The next answer may be to a question asked before.
        let wanted: Vec<u64> = board.seats.iter().map(|seat| looks(seat) + 2).collect();
        let deadline = Instant::now() + PATIENCE;
        while board
            .seats
            .iter()
            .zip(&wanted)
            .any(|(seat, &wanted)| looks(seat) < wanted)
        {
            if let Some(failure) = &*board.failure.lock() {
                bail!("cannot count the connections: {failure}");
            }
            if Instant::now() >= deadline {
                bail!("cannot count the connections: a node does not answer");
            }
            thread::sleep(PERIOD / 10);
        }
        Ok(())
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.board.over.store(true, Ordering::SeqCst);
    }
}

impl Board {
    fn watch(&self, index: usize, name: &str, mut connection: Connection) {
        let seat = &self.seats[index];
        while !self.over.load(Ordering::SeqCst) {
            match look(&mut connection) {
                Ok((open, opened)) => {
                    seat.open.store(open, Ordering::SeqCst);
                    seat.opened.store(opened, Ordering::SeqCst);
                    let sum = self.open() - self.zero.load(Ordering::SeqCst);
                    self.peak.fetch_max(sum, Ordering::SeqCst);
                    seat.looks.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => {
                    self.failure
                        .lock()
                        .get_or_insert(format!("{name}: {error:#}"));
                    return;
                }
            }
            thread::sleep(PERIOD);
        }
    }

    fn open(&self) -> i64 {
        let open = |seat: &Seat| seat.open.load(Ordering::SeqCst);
        self.seats.iter().map(open).sum()
    }

    fn opened(&self) -> i64 {
        let opened = |seat: &Seat| seat.opened.load(Ordering::SeqCst);
        self.seats.iter().map(opened).sum()
    }
}

/// How many connections a node has, and how many it has ever had.
fn look(connection: &mut Connection) -> anyhow::Result<(i64, i64)> {
    let (clients, stats): (InfoDict, InfoDict) = redis::pipe()
        .cmd("INFO")
        .arg("clients")
        .cmd("INFO")
        .arg("stats")
        .query(connection)?;
    let open = clients.get("connected_clients");
    let opened = stats.get("total_connections_received");
    open.zip(opened)
        .context("INFO does not say how many connections there are")
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

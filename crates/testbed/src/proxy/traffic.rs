//! The proxy's own side: accepts connections and carries their bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Control, Direction, End, Ends, Rules};

/// How many reads may be under way or held back in one direction of a connection. Beyond, nothing
/// more is read, and whoever sends feels it.
const WINDOW: usize = 1024;

/// Accepts connections as long as there is a listener; `doors` brings the next one, or none.
pub(super) async fn serve(
    target: SocketAddr,
    control: Arc<Control>,
    mut doors: mpsc::UnboundedReceiver<Option<std::net::TcpListener>>,
) {
    let mut listener: Option<TcpListener> = None;
    loop {
        tokio::select! {
            biased;
            door = doors.recv() => match door {
                Some(door) => {
                    listener = door.and_then(|door| TcpListener::from_std(door).ok());
                    control.state().listening = listener.is_some();
                    control.changed.notify_all();
                }
                None => return,
            },
            Some(Ok((client, _))) = next(listener.as_ref()) => {
                let connection = Connection::register(&control);
                tokio::spawn(connection.run(client, target));
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    match listener {
        Some(listener) => Some(listener.accept().await),
        None => std::future::pending().await,
    }
}

/// One connection in the books; struck out when it is dropped.
struct Connection {
    control: Arc<Control>,
    ends: watch::Receiver<Ends>,
    number: u64,
}

impl Connection {
    fn register(control: &Arc<Control>) -> Self {
        // Before it is in the books: whoever ends what is there means this one, too.
        let ends = control.ends.subscribe();
        let mut state = control.state();
        let number = state.accepted;
        state.accepted += 1;
        state.open.insert(number);
        state.alive.insert(number);
        state.most_open = state.most_open.max(state.open.len());
        drop(state);
        Self {
            control: Arc::clone(control),
            ends,
            number,
        }
    }

    async fn run(self, client: TcpStream, target: SocketAddr) {
        let mut ends = self.ends.clone();
        let Ok(server) = TcpStream::connect(target).await else {
            // Whoever talks to a server that is down gets no orderly end either.
            let _ = client.set_zero_linger();
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (mut client, mut server) = (client, server);
        let end = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let requests = self.carry(Direction::ToServer, from_client, to_server);
            let answers = self.carry(Direction::ToClient, from_server, to_client);
            tokio::select! {
                () = requests => End::Close,
                () = answers => End::Close,
                Ok(()) = ends.changed() => ends.borrow().how,
            }
        };
        if matches!(end, End::Reset) {
            let _ = client.set_zero_linger();
        }
        // The sockets are closed before the books say so.
        drop((client, server));
        drop(self);
    }

    /// Carries one direction until its end has been passed on.
    async fn carry(
        &self,
        direction: Direction,
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
    ) {
        let (queue, next) = mpsc::channel(WINDOW);
        let take_in = async {
            self.take_in(direction, from, queue).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = take_in => {}
            () = self.give_out(direction, to, next) => {}
        }
    }

    async fn take_in(
        &self,
        direction: Direction,
        mut from: impl AsyncRead + Unpin,
        queue: mpsc::Sender<(Instant, Vec<u8>)>,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            self.control.state().bytes[direction as usize] += count as u64;
            let delay = self.control.rules.borrow().delay[direction as usize];
            let chunk = (Instant::now() + delay, buffer[..count].to_vec());
            if queue.send(chunk).await.is_err() {
                break;
            }
        }
        if direction == Direction::ToServer {
            self.control.state().open.remove(&self.number);
        }
    }

    async fn give_out(
        &self,
        direction: Direction,
        mut to: impl AsyncWrite + Unpin,
        mut queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    ) {
        let mut rules = self.control.rules.subscribe();
        while let Some((due, chunk)) = queue.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            passes(&mut rules, direction).await;
            let allowed = match direction {
                Direction::ToServer => chunk.len(),
                Direction::ToClient => self.allowance(chunk.len()),
            };
            let written = to.write_all(&chunk[..allowed]).await;
            if written.is_err() || allowed < chunk.len() {
                return;
            }
        }
        // The end is held back as bytes are.
        passes(&mut rules, direction).await;
    }

    /// How many of so many bytes pass before the cut.
    fn allowance(&self, count: usize) -> usize {
        let mut state = self.control.state();
        match state.budget {
            Some(left) if left < count => {
                state.budget = None;
                left
            }
            Some(left) => {
                state.budget = Some(left - count);
                count
            }
            None => count,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.control.state();
        state.open.remove(&self.number);
        state.alive.remove(&self.number);
        drop(state);
        self.control.changed.notify_all();
    }
}

/// Waits until the direction is not held.
async fn passes(rules: &mut watch::Receiver<Rules>, direction: Direction) {
    let _ = rules
        .wait_for(|rules| !rules.held[direction as usize])
        .await;
}

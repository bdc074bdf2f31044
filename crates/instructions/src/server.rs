//! Servers that know their answers beforehand, and answer when the client has nothing else to do.
//!
//! When an answer comes decides how often a client looks for it in vain, or is woken for one of three. Therefore time
//! does not decide it: before the client's runtime goes to sleep it lets the servers answer all they have been asked,
//! and waits for them. They have a thread of their own, so that what they do is not counted; two bytes to and fro on a
//! pair of sockets are.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// What every key holds.
pub(crate) const VALUE: u64 = 12_345_678;

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// The nodes of a cluster; each of them passes for a server that stands alone as well.
struct Servers {
    listeners: Vec<TcpListener>,
    /// In the order in which they came.
    clients: Vec<BufReader<TcpStream>>,
    /// The answers to `GET`, to `MGET` of one key, and to `CLUSTER SLOTS`.
    value: String,
    values: String,
    slots: String,
}

/// Starts so many nodes, and a runtime for their client.
pub(crate) fn start(nodes: usize) -> io::Result<(Vec<SocketAddr>, Runtime)> {
    let listeners = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    let addresses = addresses.collect::<io::Result<Vec<_>>>()?;
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    let value = format!("${}\r\n{VALUE}\r\n", VALUE.to_string().len());
    let mut servers = Servers {
        listeners,
        clients: Vec::new(),
        values: format!("*1\r\n{value}"),
        value,
        slots: slots(&addresses),
    };
    let (asks, mut asked) = UnixStream::pair()?;
    thread::spawn(move || -> io::Result<()> {
        loop {
            asked.read_exact(&mut [0])?;
            servers.turn()?;
            asked.write_all(&[0])?;
        }
    });
    let let_them_answer = move || {
        let turn = (&asks).write_all(&[0]);
        let turn = turn.and_then(|()| (&asks).read_exact(&mut [0]));
        turn.expect("servers understand what they are asked");
    };
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().on_thread_park(let_them_answer);
    Ok((addresses, runtime.build()?))
}

impl Servers {
    /// Answers all that has been asked.
    fn turn(&mut self) -> io::Result<()> {
        for listener in &self.listeners {
            while let Some((stream, _)) = if_any(listener.accept())? {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                self.clients.push(BufReader::new(stream));
            }
        }
        for client in &mut self.clients {
            let mut answers = String::new();
            // What is not whole is an error: loopback does not cut so little.
            while if_any(client.fill_buf())?.is_some_and(|bytes| !bytes.is_empty()) {
                let words = command(client)?;
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                answers += match words[..] {
                    ["GET", _] => &self.value,
                    ["MGET", _] => &self.values,
                    ["CLUSTER", "SLOTS"] => &self.slots,
                    ["CLUSTER", ..] => "-ERR unknown subcommand\r\n",
                    _ => "+OK\r\n",
                };
            }
            client.get_mut().write_all(answers.as_bytes())?;
        }
        Ok(())
    }
}

/// None if there is nothing yet.
fn if_any<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// The answer to `CLUSTER SLOTS`: an equal share for each node.
fn slots(nodes: &[SocketAddr]) -> String {
    let count = nodes.len();
    let mut answer = format!("*{count}\r\n");
    for (number, node) in nodes.iter().enumerate() {
        let [first, next] = [number, number + 1].map(|it| SLOTS * it / count);
        let (ip, port, last) = (node.ip().to_string(), node.port(), next - 1);
        let length = ip.len();
        let own = format!("*3\r\n${length}\r\n{ip}\r\n:{port}\r\n$1\r\n{number}\r\n");
        write!(answer, "*3\r\n:{first}\r\n:{last}\r\n{own}").expect("a string takes it");
    }
    answer
}

/// The words of the next command.
fn command(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let words = number(reader, '*')?;
    let mut word = || {
        let mut bytes = vec![0; number(reader, '$')? + 2];
        reader.read_exact(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end().to_owned())
    };
    (0..words).map(|_| word()).collect()
}

/// A line with a number behind the sign that says what it counts.
fn number(reader: &mut BufReader<TcpStream>, sign: char) -> io::Result<usize> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let number = line.trim_end().strip_prefix(sign);
    let number = number.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| ErrorKind::InvalidData.into())
}

//! Servers that know their answers beforehand.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// What every key holds.
pub(crate) const VALUE: u64 = 12_345_678;

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// Starts the nodes of a cluster; each of them passes for a server that stands alone as well. They end with the
/// process.
pub(crate) fn start(nodes: usize) -> io::Result<Vec<SocketAddr>> {
    let listeners = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    let addresses = addresses.collect::<io::Result<Vec<_>>>()?;
    let slots: Arc<str> = slots(&addresses).into();
    for listener in listeners {
        let slots = Arc::clone(&slots);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let slots = Arc::clone(&slots);
                // A connection ends when its client does.
                thread::spawn(move || serve(stream, &slots));
            }
        });
    }
    Ok(addresses)
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

/// Answers what has come together in one write.
fn serve(mut stream: TcpStream, slots: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let value = format!("${}\r\n{VALUE}\r\n", VALUE.to_string().len());
    let mut answers = String::new();
    loop {
        let words = command(&mut reader)?;
        answers += match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["GET", _] => &value,
            ["CLUSTER", "SLOTS"] => slots,
            ["CLUSTER", ..] => "-ERR unknown subcommand\r\n",
            _ => "+OK\r\n",
        };
        if reader.buffer().is_empty() {
            stream.write_all(answers.as_bytes())?;
            answers.clear();
        }
    }
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
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

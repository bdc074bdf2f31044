//! wait-pool without Redis: a pool of TCP connections to an echo server, and a manager for it.
//!
//! ```text
//! cargo run -p examples --bin own_manager
//! ```

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wait_pool::{Manager, Pool};

/// Connects to one address.
struct Echo(SocketAddr);

impl Manager for Echo {
    type Connection = TcpStream;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }

    async fn check(&self, connection: &mut TcpStream) -> io::Result<()> {
        echo(connection, b"?").await.map(drop)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let pool = Pool::builder(Echo(server.local_addr()?))
        .name("echo")
        .max_size(4)
        .build()?;
    tokio::spawn(serve(server));

    let callers: Vec<_> = (0..100_u8)
        .map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move {
                // Waits in line while all four connections are out.
                let mut connection = pool.get().await?;
                anyhow::Ok(echo(&mut connection, &[n]).await? == [n])
            })
        })
        .collect();
    for caller in callers {
        anyhow::ensure!(caller.await??, "another caller's echo");
    }
    println!("100 callers served: {:?}", pool.status());
    Ok(())
}

async fn echo(connection: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    connection.write_all(bytes).await?;
    let mut answer = vec![0; bytes.len()];
    connection.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn serve(server: TcpListener) -> io::Result<()> {
    loop {
        let (mut client, _) = server.accept().await?;
        tokio::spawn(async move {
            let (mut from, mut to) = client.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}

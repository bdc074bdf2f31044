//! A PostgreSQL server.

use std::net::TcpStream;

use testbed::Postgres;

#[test]
fn it_answers_until_it_is_dropped() {
    let server = Postgres::start().unwrap();
    let port = server.port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn two_of_them_do_not_meet() {
    let (first, second) = (Postgres::start().unwrap(), Postgres::start().unwrap());
    assert_ne!(first.port(), second.port());
    drop(first);
    assert!(TcpStream::connect(("127.0.0.1", second.port())).is_ok());
}

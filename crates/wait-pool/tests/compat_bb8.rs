//! What a manager for bb8 sees.

#![cfg(feature = "bb8")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bb8::ManageConnection;
use wait_pool::compat::bb8::{Object, Pool, PooledConnection};

/// `Send`, but not `Sync`.
struct Wire {
    number: usize,
    state: Cell<State>,
    /// How often the manager has asked whether it is broken.
    asked: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Good,
    Broken,
    Invalid,
    Trap,
}

#[derive(Default)]
struct Wires {
    opened: AtomicUsize,
    validated: AtomicUsize,
}

impl ManageConnection for Wires {
    type Connection = Wire;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<Wire> {
        Ok(Wire {
            number: self.opened.fetch_add(1, SeqCst),
            state: Cell::new(State::Good),
            asked: 0,
        })
    }

    async fn is_valid(&self, wire: &mut Wire) -> io::Result<()> {
        self.validated.fetch_add(1, SeqCst);
        match wire.state.get() {
            State::Invalid => Err(io::Error::other("invalid")),
            _ => Ok(()),
        }
    }

    fn has_broken(&self, wire: &mut Wire) -> bool {
        wire.asked += 1;
        assert!(wire.state.get() != State::Trap, "has_broken, as asked to");
        wire.state.get() == State::Broken
    }
}

fn pool() -> Pool<Wires> {
    let builder = Pool::builder(Wires::default()).max_size(1);
    builder.build().unwrap().into()
}

#[tokio::test]
async fn a_connection_is_judged_when_it_comes_back_and_validated_before_it_goes_out_again() {
    let pool = pool();
    for uses in 0..4 {
        let wire = pool.get().await.unwrap();
        assert_eq!((wire.number, wire.asked), (0, uses));
        assert_eq!(pool.manager().validated.load(SeqCst), uses);
    }
}

#[tokio::test]
async fn a_broken_one_is_closed_when_it_comes_back() {
    let pool = pool();
    let wire = pool.get().await.unwrap();
    wire.state.set(State::Broken);
    drop(wire);
    assert_eq!(pool.status().size, 0);
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!(pool.manager().validated.load(SeqCst), 0);
}

#[tokio::test]
async fn one_that_is_not_valid_is_replaced() {
    let pool = pool();
    let wire = pool.get().await.unwrap();
    wire.state.set(State::Invalid);
    drop(wire);
    assert_eq!(pool.status().idle, 1);
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!(pool.status().size, 1);
}

#[tokio::test]
async fn a_manager_that_panics_when_asked_loses_nothing() {
    let pool = pool();
    let wire = pool.get().await.unwrap();
    wire.state.set(State::Trap);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(wire))).is_err());
    assert_eq!((pool.status().size, pool.status().in_use), (0, 0));

    // Not asked in a panic, where another one would end the process.
    let wire = pool.get().await.unwrap();
    wire.state.set(State::Trap);
    let panics = catch_unwind(AssertUnwindSafe(move || {
        let _wire = wire;
        panic!("in the middle of a request");
    }));
    assert!(panics.is_err());
    assert_eq!((pool.status().size, pool.status().in_use), (0, 0));

    let wire = Object::take(pool.get().await.unwrap());
    assert_eq!((wire.number, pool.status().size), (2, 0));
}

/// Written for bb8.
async fn number(wire: PooledConnection<'_, Wires>) -> usize {
    wire.number
}

#[tokio::test]
async fn what_else_a_pool_of_bb8s_has() {
    let pool = pool();
    let counts = || {
        let state = pool.state();
        (state.connections, state.idle_connections)
    };
    assert_eq!(counts(), (0, 0));
    let owned = pool.get_owned().await.unwrap();
    assert_eq!(counts(), (1, 0));
    let elsewhere = tokio::spawn(number(owned)).await.unwrap();
    assert_eq!((elsewhere, counts()), (0, (1, 1)));

    // It is none of the pool's, also at the bound.
    let held = pool.get().await.unwrap();
    let wire = pool.dedicated_connection().await.unwrap();
    assert_eq!((wire.number, counts()), (1, (1, 0)));
    assert_eq!(pool.manager().validated.load(SeqCst), 1);
    drop(held);
    assert_eq!(counts(), (1, 1));
}

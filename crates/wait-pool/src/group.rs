//! Pools that share a bound on their connections.
//!
//! A connection to be opened needs a [`Place`]: a value that stays with the connection and is free with
//! its drop, after the connection's own. The task that opens it asks for the place and stands in line for
//! it; meanwhile it has nothing of anybody's. Who gets a place, and where it comes from, and why nobody starves, is
//! told in [`ledger`](crate::ledger).
//!
//! # Locks
//!
//! The books have a lock of their own. Nothing is called while it is held: a pool is asked for
//! something, and a waker woken, after it has been released. And a pool tells the group only after it has
//! released its own. So no lock of one pool, or of the group, is ever taken while another is held.
//!
//! # Who looks for a place
//!
//! When somebody has to wait, each pool that has connections is looked at, and asked to tell when one becomes
//! idle (it is told so once, by a flag in its state that sends returns the long way). One thread at a
//! time looks; what happens meanwhile has it look again. Nobody looks while nobody waits.

mod place;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use crate::error::BuildError;
use crate::ledger::{Ledger, Look, MemberId, Move};
use crate::sync::Mutex;

pub(crate) use place::{Asking, Membership, Place, Placed};

/// A bound on the connections of several pools together, beside the bound of each.
///
/// Pools join it by [`Builder::group`](crate::Builder::group). At the bound a pool that has none open gets
/// room before one that has some, otherwise first come, first served. Room is made by the
/// connection of another pool that is idle (the one idle for longest, and for 100 ms at least unless a
/// pool has none at all), [`min_idle`](crate::Builder::min_idle) or not. If none is, a pool that has none
/// gets that of the pool with the most as soon as one comes free there. With fewer places than pools whose callers
/// wait, the pools take turns of 20 ms at least: that works, and costs a connection for each turn.
///
/// Who waits at one pool while he keeps a connection of another may wait for himself: where
/// that cannot be helped, have a place for each.
///
/// Cloning gives another handle to the same group. A pool that is dropped leaves it.
///
/// # Example
///
/// ```
/// # struct Echo;
/// # impl wait_pool::Manager for Echo {
/// #     type Connection = ();
/// #     type Error = std::io::Error;
/// #     async fn connect(&self) -> std::io::Result<()> { Ok(()) }
/// #     async fn check(&self, _: &mut ()) -> std::io::Result<()> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use wait_pool::{Group, Pool};
///
/// let group = Group::new(1)?;
/// let [one, other] = [(); 2].map(|()| Pool::builder(Echo).group(&group).build());
/// let (one, other) = (one?, other?);
///
/// drop(one.get().await?);
/// assert_eq!(one.status().idle, 1);
/// // It makes room for this one.
/// let connection = other.get().await?;
/// assert_eq!(one.status().idle, 0);
/// assert_eq!(group.status().connections, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Group {
    shared: Arc<Shared>,
}

/// The figures of a [`Group`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStatus {
    /// The bound on `connections`.
    pub max_connections: usize,
    /// Connections of all pools, those being opened or dropped included. Never above the bound.
    pub connections: usize,
    /// Connections to be opened for which there is no room.
    pub held_up: usize,
    /// Pools that are in the group.
    pub pools: usize,
}

struct Shared {
    books: Mutex<Books>,
}

struct Books {
    ledger: Ledger,
    members: HashMap<MemberId, Weak<dyn Member>>,
    /// Somebody looks for places; he is to look again.
    looking: bool,
    again: bool,
}

/// A pool, as its group sees it. Called without any lock.
pub(crate) trait Member: Send + Sync {
    /// For how long the connection has been idle that has been so for longest. Unless that is as long
    /// as `rest`, the group is told when one has been.
    fn look(self: Arc<Self>, rest: Duration) -> Option<Duration>;

    /// Closes what has been idle for longest, if that is at least so long; if not, as [`look`](Self::look).
    fn close_idle(self: Arc<Self>, rest: Duration) -> bool;

    /// Gives up the next connection that comes free. Says no if it has none.
    fn owe(self: Arc<Self>, patient: bool) -> bool;

    /// Keeps one that it was to give up. Says no if that is too late.
    fn forgive(self: Arc<Self>) -> bool;
}

impl Group {
    /// A group whose pools have at most so many connections together, those being opened included.
    ///
    /// # Errors
    ///
    /// Refuses 0.
    pub fn new(max_connections: usize) -> Result<Self, BuildError> {
        if max_connections == 0 {
            return Err(BuildError {
                setting: "max_connections",
                reason: "pools of no connections serve nobody; at least 1",
            });
        }
        Ok(Self {
            shared: Arc::new(Shared {
                books: Mutex::new(Books {
                    ledger: Ledger::new(max_connections),
                    members: HashMap::new(),
                    looking: false,
                    again: false,
                }),
            }),
        })
    }

    /// The group's figures at this moment, all from the same moment. Costs one lock, and a look at
    /// every pool's account.
    pub fn status(&self) -> GroupStatus {
        let books = self.shared.books.lock();
        GroupStatus {
            max_connections: books.ledger.total(),
            connections: books.ledger.taken(),
            held_up: books.ledger.waiting(),
            pools: books.ledger.pools(),
        }
    }

    pub(crate) fn join(&self, pool: Weak<dyn Member>) -> Membership {
        let mut books = self.shared.books.lock();
        let id = books.ledger.join();
        books.members.insert(id, pool);
        drop(books);
        Membership::new(Arc::clone(&self.shared), id)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        f.debug_struct("Group")
            .field("max_connections", &status.max_connections)
            .field("connections", &status.connections)
            .field("held_up", &status.held_up)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A change to the books, and what is free to those in line.
    fn change<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let mut books = self.books.lock();
        let result = change(&mut books.ledger);
        let woken = books.ledger.settle();
        drop(books);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Has pools asked for what others want, unless somebody does so already: first of all the one that has
    /// told of something idle. It tells so once, and is asked to tell again if that is wanted.
    fn look_for_places(&self, first: Option<MemberId>) {
        let mut books = self.books.lock();
        if books.looking {
            books.again = true;
            return;
        }
        if !books.ledger.has_moves() {
            return;
        }
        books.looking = true;
        let idle = first.zip(books.ledger.wanted_rest());
        drop(books);
        let mut next = idle.map(|(member, rest)| Move::CloseIdle(member, rest));
        let mut in_vain = Vec::new();
        // A panic of a waker, or of a connection's drop, keeps nobody else from his place.
        let mut panicked = None;
        while let Some(step) = next.or_else(|| self.next_move(&mut in_vain)) {
            match catch_unwind(AssertUnwindSafe(|| self.carry_out(step))) {
                Ok(true) => {}
                Ok(false) => {
                    in_vain.push(step.member());
                    self.books.lock().ledger.declined(step);
                }
                Err(panic) => {
                    in_vain.push(step.member());
                    panicked = Some(panic);
                }
            }
            next = None;
        }
        if let Some(panic) = panicked
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }

    /// What to ask which pool for, after a look at all. If nothing, somebody else may look next.
    fn next_move(&self, in_vain: &mut Vec<MemberId>) -> Option<Move> {
        loop {
            let mut books = self.books.lock();
            if std::mem::take(&mut books.again) {
                in_vain.clear();
            }
            let (rest, holders) = (books.ledger.wanted_rest(), books.holders());
            drop(books);
            let looks = rest.map_or_else(Vec::new, |rest| look_at(&holders, rest));
            drop(holders);
            let mut books = self.books.lock();
            let next = books.ledger.next_move(&looks, in_vain);
            books.looking = next.is_some() || books.again;
            if next.is_some() || !books.looking {
                return next;
            }
        }
    }

    fn carry_out(&self, step: Move) -> bool {
        let pool = self.books.lock().members.get(&step.member()).cloned();
        let Some(pool) = pool.and_then(|pool| pool.upgrade()) else {
            return false;
        };
        match step {
            Move::CloseIdle(_, rest) => pool.close_idle(rest),
            Move::Owe { patient, .. } => pool.owe(patient),
            Move::Forgive(_) => pool.forgive(),
        }
    }
}

/// Looks at each of the pools. One that panics has nothing to give.
fn look_at(pools: &[(MemberId, Weak<dyn Member>)], rest: Duration) -> Vec<Look> {
    let pools = pools.iter();
    let pools = pools.filter_map(|(id, pool)| Some((*id, pool.upgrade()?)));
    let looks = pools.map(|(id, pool)| {
        let look = catch_unwind(AssertUnwindSafe(|| pool.look(rest)));
        (id, look.unwrap_or_default())
    });
    looks.collect()
}

impl Books {
    fn holders(&self) -> Vec<(MemberId, Weak<dyn Member>)> {
        let holders = self.ledger.holders();
        let known = holders.filter_map(|id| Some((id, Weak::clone(self.members.get(&id)?))));
        known.collect()
    }
}

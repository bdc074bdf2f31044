//! A manager for deadpool whose recycles the test decides, and which writes down what it is told.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wait_pool::Builder;
use wait_pool::compat::Adapter;
use wait_pool::compat::deadpool::{Managed, Pool};

/// What the next recycle does.
#[derive(Clone, Copy)]
pub enum Gate {
    Ok,
    Fail,
    Message,
    Panic,
    Never,
    /// Succeeds once a permit is there.
    Held,
}

pub struct Log {
    pub gate: Mutex<Gate>,
    pub held: Semaphore,
    pub refuses: AtomicBool,
    pub detach_panics: AtomicBool,
    pub created: Mutex<usize>,
    pub recycled: Mutex<Vec<(usize, Metrics)>>,
    pub detached: Mutex<Vec<usize>>,
    pub dropped: Mutex<Vec<usize>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the backend says no")]
pub struct Refused(#[source] pub std::io::Error);

fn refused() -> Refused {
    Refused(std::io::Error::other("the cause"))
}

/// `Send`, but not `Sync`.
pub struct Thing {
    pub id: usize,
    pub uses: Cell<usize>,
    log: Arc<Log>,
}

impl Drop for Thing {
    fn drop(&mut self) {
        self.log.dropped.lock().push(self.id);
    }
}

pub struct Things(pub Arc<Log>);

impl Manager for Things {
    type Type = Thing;
    type Error = Refused;

    async fn create(&self) -> Result<Thing, Refused> {
        if self.0.refuses.load(SeqCst) {
            return Err(refused());
        }
        let mut created = self.0.created.lock();
        *created += 1;
        Ok(Thing {
            id: *created,
            uses: Cell::new(0),
            log: Arc::clone(&self.0),
        })
    }

    async fn recycle(&self, thing: &mut Thing, metrics: &Metrics) -> RecycleResult<Refused> {
        self.0.recycled.lock().push((thing.id, *metrics));
        let gate = *self.0.gate.lock();
        match gate {
            Gate::Ok => Ok(()),
            Gate::Fail => Err(refused().into()),
            Gate::Message => Err(RecycleError::message("worn out")),
            Gate::Panic => panic!("recycle, as the test asks it to"),
            Gate::Never => pending().await,
            Gate::Held => {
                self.0.held.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }

    fn detach(&self, thing: &mut Thing) {
        assert!(!self.0.dropped.lock().contains(&thing.id));
        self.0.detached.lock().push(thing.id);
        assert!(!self.0.detach_panics.load(SeqCst), "detach, as asked to");
    }
}

impl Log {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Mutex::new(Gate::Ok),
            held: Semaphore::new(0),
            refuses: AtomicBool::new(false),
            detach_panics: AtomicBool::new(false),
            created: Mutex::new(0),
            recycled: Mutex::default(),
            detached: Mutex::default(),
            dropped: Mutex::default(),
        })
    }

    pub fn pool(self: &Arc<Self>) -> Pool<Things> {
        self.pool_with(|builder| builder)
    }

    pub fn pool_with(self: &Arc<Self>, set: impl FnOnce(Settings) -> Settings) -> Pool<Things> {
        let settings = Pool::builder(Things(Arc::clone(self))).max_size(1);
        set(settings).build().unwrap().into()
    }

    /// How often `recycle` has been called.
    pub fn recycles(&self) -> usize {
        self.recycled.lock().len()
    }
}

pub type Settings = Builder<Adapter<Managed<Things>>>;

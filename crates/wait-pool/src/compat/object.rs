//! The value that has an object for one user and gives it back when dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Foreign;
use super::parked::{Adapter, Kept, tell_leave};
use crate::guard::Pooled;

/// An object of one's own, given back when dropped.
///
/// Made by [`Pool::get`](super::Pool::get). Use it as if it were the object. What concerns the pool are
/// associated functions, so that they hide none of the object's methods. One that is held in a panic
/// is closed.
#[must_use = "an object that is not used goes straight back"]
pub struct Object<F: Foreign> {
    /// Taken only by what ends this.
    kept: Option<Kept<F>>,
    /// The manager has not finished its look, or the user does not want it back.
    unfit: bool,
    place: Pooled<Adapter<F>>,
}

impl<F: Foreign> Object<F> {
    pub(super) fn new(mut place: Pooled<Adapter<F>>) -> Self {
        Self {
            kept: place.take(),
            unfit: false,
            place,
        }
    }

    /// Takes the object out of the pool for good, and tells the manager that it leaves. Its place
    /// is free at once; the pool no longer counts it.
    #[must_use = "the object is closed if it is dropped"]
    pub fn take(mut this: Self) -> F::Object {
        let mut object = this.kept.take().expect(HELD).object;
        tell_leave(&*this.place.foreign, &mut object);
        object
    }

    /// Closes the object instead of giving it back. Its place in the pool is free at once.
    pub fn discard(mut this: Self) {
        this.unfit = true;
    }

    /// Has the manager look at the object if somebody has used it since the last time. An object that
    /// is not found good in time is closed.
    pub(super) async fn look(mut self, timeout: Duration) -> Option<Self> {
        let foreign = Arc::clone(&self.place.foreign);
        self.unfit = true;
        let look = self.kept_mut().look(&*foreign);
        let looked = tokio::time::timeout(timeout, look).await;
        self.unfit = !matches!(looked, Ok(Ok(())));
        (!self.unfit).then_some(self)
    }

    pub(super) fn is_used(&self) -> bool {
        self.kept().used
    }

    /// From now on it is in a user's hands.
    pub(super) fn hand_out(mut self) -> Self {
        self.kept_mut().used = true;
        self
    }

    pub(super) fn kept(&self) -> &Kept<F> {
        self.kept.as_ref().expect(HELD)
    }

    fn kept_mut(&mut self) -> &mut Kept<F> {
        self.kept.as_mut().expect(HELD)
    }
}

impl<F: Foreign> Drop for Object<F> {
    fn drop(&mut self) {
        // First into its place, which is closed with it if the manager panics.
        self.place.put_back(self.kept.take());
        if !self.unfit && !thread::panicking() {
            self.place.judge();
        }
    }
}

impl<F: Foreign> Deref for Object<F> {
    type Target = F::Object;

    fn deref(&self) -> &F::Object {
        &self.kept().object
    }
}

impl<F: Foreign> DerefMut for Object<F> {
    fn deref_mut(&mut self) -> &mut F::Object {
        &mut self.kept_mut().object
    }
}

impl<F: Foreign> fmt::Debug for Object<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

const HELD: &str = "an object is there until its holder ends";

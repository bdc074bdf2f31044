//! Objects while nobody uses them, and the manager that the pool itself deals with.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sync_wrapper::SyncWrapper;

use super::Foreign;
use crate::manager::Manager;

/// A [`Foreign`] manager as the [`Manager`] of a pool.
///
/// Made by the `builder` of a [`compat::Pool`](super::Pool).
pub struct Adapter<F> {
    pub(super) foreign: Arc<F>,
}

/// The place of an object, and the object while nobody uses it. Nothing can be done with it:
/// [`compat::Pool`](super::Pool) makes [`Object`](super::Object)s of it.
pub struct Parked<F: Foreign> {
    pub(super) foreign: Arc<F>,
    /// Empty while it is in use. Only reached by `&mut`, which is what makes it `Sync`.
    kept: SyncWrapper<Option<Kept<F>>>,
    /// To be closed: it is not fit for another user, or has been taken out for good.
    broken: bool,
}

/// An object and what is known of it.
pub(super) struct Kept<F: Foreign> {
    pub(super) object: F::Object,
    pub(super) note: F::Note,
    /// Somebody has used it since the manager has last looked at it.
    pub(super) used: bool,
}

impl<F: Foreign> Adapter<F> {
    pub(super) fn new(foreign: F) -> Self {
        Self {
            foreign: Arc::new(foreign),
        }
    }
}

impl<F: Foreign> Manager for Adapter<F> {
    type Connection = Parked<F>;
    type Error = F::Error;

    async fn connect(&self) -> Result<Parked<F>, F::Error> {
        let (object, note) = self.foreign.open().await?;
        let kept = Kept {
            object,
            note,
            used: false,
        };
        Ok(Parked {
            foreign: Arc::clone(&self.foreign),
            kept: SyncWrapper::new(Some(kept)),
            broken: false,
        })
    }

    async fn check(&self, parked: &mut Parked<F>) -> Result<(), F::Error> {
        match parked.kept.get_mut() {
            Some(kept) => kept.look(&*self.foreign).await,
            None => Ok(()),
        }
    }

    fn is_broken(&self, parked: &Parked<F>) -> bool {
        parked.broken
    }
}

impl<F: Foreign> Kept<F> {
    pub(super) async fn look(&mut self, foreign: &F) -> Result<(), F::Error> {
        foreign.look(&mut self.object, &mut self.note).await?;
        self.used = false;
        Ok(())
    }
}

impl<F: Foreign> Parked<F> {
    pub(super) fn take(&mut self) -> Option<Kept<F>> {
        self.kept.get_mut().take()
    }

    /// Nothing but [`judge`](Self::judge) makes it fit for use again.
    pub(super) fn put_back(&mut self, kept: Option<Kept<F>>) {
        *self.kept.get_mut() = kept;
        self.broken = true;
    }

    /// Asks the manager whether the object that has been put back is still good.
    pub(super) fn judge(&mut self) {
        if let Some(kept) = self.kept.get_mut() {
            self.broken = self.foreign.is_broken(&mut kept.object);
        }
    }
}

impl<F: Foreign> Drop for Parked<F> {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.get_mut() {
            tell_leave(&*self.foreign, &mut kept.object);
        }
    }
}

/// Tells the manager that an object leaves. That may happen anywhere, in a panic too, where another
/// one would end the process: so the manager's own panics end here.
pub(super) fn tell_leave<F: Foreign>(foreign: &F, object: &mut F::Object) {
    let _ = catch_unwind(AssertUnwindSafe(|| foreign.leave(object)));
}

impl<F> fmt::Debug for Adapter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").finish_non_exhaustive()
    }
}

impl<F: Foreign> fmt::Debug for Parked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked")
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

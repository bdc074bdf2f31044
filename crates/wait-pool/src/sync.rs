//! What threads meet in: the lock and the hint beside it. In the `models` they are those of a
//! model checker.

#[cfg(not(all(test, wait_pool_loom)))]
pub(crate) use {parking_lot::Mutex, std::sync::atomic::AtomicBool};

#[cfg(all(test, wait_pool_loom))]
pub(crate) use {loom::sync::atomic::AtomicBool, modelled::Mutex};

#[cfg(all(test, wait_pool_loom))]
mod modelled {
    use std::fmt;

    use loom::sync::MutexGuard;

    /// loom's lock with the signatures of the one it stands for.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("nothing panics under the lock")
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().expect("nothing panics under the lock")
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Mutex").finish_non_exhaustive()
        }
    }
}

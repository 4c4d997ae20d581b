//! A pointer to a shared value that is set at most once: one word, empty at first, free to read.
//!
//! The standard `OnceLock<Arc<T>>` needs two words, and a task has no word to spare. Setting
//! never blocks: of two setters at the same moment, one wins and the other gets its value back.
#![allow(
    unsafe_code,
    reason = "an Arc is kept as a raw pointer in one atomic word"
)]

use crate::sync::{Arc, AtomicPtr, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

/// An `Arc<T>` that is set at most once and then stays until its owner is dropped.
///
/// Invariant 1: `slot` is null, or came from `Arc::into_raw` and owns one count of that `Arc`.
/// Invariant 2: `slot` changes once, from null, and is given up only in `drop`.
pub(crate) struct OnceArc<T> {
    slot: AtomicPtr<T>,
    owns: PhantomData<Arc<T>>,
}

// SAFETY: a `OnceArc<T>` is an `Option<Arc<T>>` by invariant 1, and hands out nothing but `&T` and
// `Arc<T>`; `Arc<T>` is `Send` and `Sync` under this bound.
unsafe impl<T: Send + Sync> Send for OnceArc<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for OnceArc<T> {}

impl<T> OnceArc<T> {
    pub(crate) fn new() -> Self {
        OnceArc {
            slot: AtomicPtr::new(ptr::null_mut()),
            owns: PhantomData,
        }
    }

    /// The value, if it has been set.
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: partner is the Release of the exchange in `set`, so that the value is whole.
        let raw = self.slot.load(Ordering::Acquire);
        // SAFETY: by invariant 1 `raw` is null or points to a live `T`; by invariant 2 it stays so
        // for as long as `self` is borrowed.
        unsafe { raw.as_ref() }
    }

    /// Sets the value, or gives it back if there is one already.
    pub(crate) fn set(&self, value: Arc<T>) -> Result<(), Arc<T>> {
        let raw = Arc::into_raw(value).cast_mut();
        // Release: partner is the Acquire in `get`. Relaxed on failure: a loser reads the winner's value by `get`.
        let exchanged =
            self.slot
                .compare_exchange(ptr::null_mut(), raw, Ordering::Release, Ordering::Relaxed);
        match exchanged {
            Ok(_) => Ok(()),
            // SAFETY: `raw` came from `Arc::into_raw` above and was not stored, so its count is
            // still ours to take back.
            Err(_) => Err(unsafe { Arc::from_raw(raw) }),
        }
    }

    /// The value, which `init` makes if there is none yet. Two threads may both run `init`; one of
    /// the values is kept.
    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> Arc<T>) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        // A value that came second is dropped here, and the first one is used.
        drop(self.set(init()));
        self.get()
            .expect("it was set one line above, by us or by another")
    }
}

impl<T> Drop for OnceArc<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that whoever set it happened before.
        let raw = self.slot.load(Ordering::Relaxed);
        if !raw.is_null() {
            // SAFETY: by invariant 1 the slot owns one count, which is given up here and, by
            // invariant 2, nowhere else.
            drop(unsafe { Arc::from_raw(raw) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceArc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

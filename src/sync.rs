//! The only door to atomics, locks and threads' local state, so that loom can stand in for all of
//! them under `--cfg loom`.
//!
//! Nothing else in the crate names `std::sync::atomic`, `parking_lot`, `crossbeam_deque` or
//! `loom`. What loom does not model is named here too: `std::sync::Arc` is used as it is, since
//! loom's cannot hold a trait object, and the injector is replaced by a short queue of atomics.

pub(crate) use crossbeam_utils::CachePadded;
pub(crate) use std::sync::Arc;

#[cfg(not(loom))]
pub(crate) use self::real::*;
#[cfg(not(loom))]
mod real;

#[cfg(loom)]
pub(crate) use self::model::*;
#[cfg(loom)]
mod model;

/// Waits for a few instructions of another thread's, which may have been preempted in the middle.
#[derive(Debug, Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// To be called between one look and the next.
    pub(crate) fn again(&mut self) {
        self.0 += 1;
        if self.0 % 64 == 0 || cfg!(loom) {
            yield_now();
        } else {
            spin_loop();
        }
    }
}

/// Stores `value` and orders the store before every later load of this thread: one half of the
/// store-then-look handshake (Dekker's) that this crate uses in three places. The other half does
/// the same with the two locations exchanged; at least one of the two sees the other's store.
pub(crate) fn store_then_look<A: Store>(atomic: &A, value: A::Value) {
    atomic.store_relaxed(value);
    // The partner is the fence in the other party's `store_then_look` (or beside its push).
    fence(Ordering::SeqCst);
}

/// What `store_then_look` needs to know of an atomic.
pub(crate) trait Store {
    type Value;
    fn store_relaxed(&self, value: Self::Value);
}

impl Store for AtomicU64 {
    type Value = u64;
    fn store_relaxed(&self, value: u64) {
        // Ordered by the caller's fence.
        self.store(value, Ordering::Relaxed);
    }
}

impl Store for AtomicBool {
    type Value = bool;
    fn store_relaxed(&self, value: bool) {
        // Ordered by the caller's fence.
        self.store(value, Ordering::Relaxed);
    }
}

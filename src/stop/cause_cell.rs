//! Room for one cause, written once: four words beside a node, so that to stop something that stands
//! alone allocates nothing.
//!
//! Who may write is decided elsewhere, by the bit `CAUSED` of the node's word: the thread that sets it
//! writes the cause, in the few instructions that follow. Who finds the bit set and no cause yet waits
//! for these few instructions, in which the writer takes no lock: so one may wait under any.
#![allow(
    unsafe_code,
    reason = "two plain fields are published by the atomic one beside them"
)]

use super::cause::{StopCause, StopReason};
use crate::sync::{Arc, AtomicPtr, Ordering, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;
use std::time::Instant;

/// Invariant 1: `reason` is null, a pointer into `PLAIN`, or came from `Arc::into_raw` and owns one
/// count.
///
/// Invariant 2: `at` and `location` are written by the one caller of `write`, before it stores the
/// reason, and by nobody else.
pub(crate) struct CauseCell {
    reason: AtomicPtr<StopReason>,
    at: UnsafeCell<Option<Instant>>,
    location: UnsafeCell<Option<&'static Location<'static>>>,
    owns: PhantomData<Arc<StopReason>>,
}

// SAFETY: by the invariants the plain fields are written by one thread, before the Release store of
// the reason, and read by others after an Acquire load of it. What is handed out is `Send + Sync`.
unsafe impl Send for CauseCell {}
// SAFETY: as above.
unsafe impl Sync for CauseCell {}

/// The reasons without words of their own, which need no allocation.
static PLAIN: [StopReason; 5] = [
    StopReason::Requested,
    StopReason::Deadline,
    StopReason::Shutdown,
    StopReason::SiblingFailed,
    StopReason::Dropped,
];

fn is_plain(reason: *const StopReason) -> bool {
    PLAIN.as_ptr_range().contains(&reason)
}

impl CauseCell {
    pub(crate) fn new() -> Self {
        CauseCell {
            reason: AtomicPtr::new(ptr::null_mut()),
            at: UnsafeCell::new(None),
            location: UnsafeCell::new(None),
            owns: PhantomData,
        }
    }

    /// Fills the cell.
    ///
    /// # Safety
    ///
    /// This is called once in the life of the cell.
    pub(super) unsafe fn write(&self, cause: &StopCause) {
        // SAFETY: by invariant 2 only we write, and nobody reads before the store below.
        self.at.with_mut(|it| unsafe { *it = Some(cause.at) });
        // SAFETY: as above.
        self.location
            .with_mut(|it| unsafe { *it = Some(cause.location) });
        let reason = match PLAIN.iter().find(|plain| **plain == cause.reason) {
            Some(plain) => ptr::from_ref(plain).cast_mut(),
            None => Arc::into_raw(Arc::new(cause.reason.clone())).cast_mut(),
        };
        // Release: partner is the Acquire in `get`; the cause is whole.
        self.reason.store(reason, Ordering::Release);
    }

    /// The cause, if it has been written.
    pub(super) fn get(&self) -> Option<StopCause> {
        // Acquire: partner is the Release store in `write`.
        let reason = self.reason.load(Ordering::Acquire);
        if reason.is_null() {
            return None;
        }
        // SAFETY: by invariant 1 it points into `PLAIN` or to an `Arc`'s value of which the cell owns
        // a count; it stays so for as long as `self` is borrowed.
        let reason = unsafe { &*reason };
        // SAFETY: by invariant 2 nobody writes once the reason is there, which we have seen.
        let at = self.at.with(|it| unsafe { *it });
        // SAFETY: as above.
        let location = self.location.with(|it| unsafe { *it });
        Some(StopCause {
            reason: reason.clone(),
            at: at?,
            location: location?,
        })
    }
}

impl Drop for CauseCell {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that whoever wrote it happened before.
        let reason = self.reason.load(Ordering::Relaxed);
        if !reason.is_null() && !is_plain(reason) {
            // SAFETY: by invariant 1 it came from `Arc::into_raw`, and its count is given up here and
            // nowhere else.
            drop(unsafe { Arc::from_raw(reason) });
        }
    }
}

impl fmt::Debug for CauseCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

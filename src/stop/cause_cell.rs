//! Room for one cause, set once: three words inside a node, so that to stop something allocates
//! nothing.
//!
//! | `reason` | meaning | next, by whom |
//! |---|---|---|
//! | null | no cause | `WRITING`, by the one who wins the exchange |
//! | `WRITING` | the winner writes the other two fields, a few instructions | the reason, by the winner |
//! | a reason | the cause is whole, and stays | |
//!
//! Who comes second waits for those few instructions, so that whoever has given a cause, or tried to,
//! finds one.
#![allow(
    unsafe_code,
    reason = "two plain fields are published by the atomic one beside them"
)]

use super::cause::{StopCause, StopReason};
use crate::sync::{Arc, AtomicPtr, Ordering, UnsafeCell, spin_loop, yield_now};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Invariant 1: `reason` is null, `WRITING`, a pointer into `PLAIN`, or came from `Arc::into_raw`
/// and owns one count.
///
/// Invariant 2: `at` and `location` are written by the one who changed `reason` from null to
/// `WRITING`, before it stores the reason, and by nobody else.
pub(crate) struct CauseCell {
    reason: AtomicPtr<StopReason>,
    /// Nanoseconds since `epoch`.
    at: UnsafeCell<u64>,
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

/// An address that no reason has.
fn writing() -> *mut StopReason {
    ptr::without_provenance_mut(1)
}

fn is_plain(reason: *const StopReason) -> bool {
    PLAIN.as_ptr_range().contains(&reason)
}

/// The moment from which causes count. It is fetched before a cause is stamped, so that none is
/// earlier.
pub(super) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn nanoseconds(at: Instant) -> u64 {
    // Five hundred years fit.
    u64::try_from(at.saturating_duration_since(epoch()).as_nanos()).unwrap_or(u64::MAX)
}

impl CauseCell {
    pub(crate) fn new() -> Self {
        CauseCell {
            reason: AtomicPtr::new(ptr::null_mut()),
            at: UnsafeCell::new(0),
            location: UnsafeCell::new(None),
            owns: PhantomData,
        }
    }

    /// Fills the cell. False: there was a cause already. Either way there is one when this returns.
    pub(crate) fn give(&self, cause: &StopCause) -> bool {
        // Acquire on failure: partner is the Release store below, by the winner. Relaxed on success:
        // nothing was published before.
        let won = self.reason.compare_exchange(
            ptr::null_mut(),
            writing(),
            Ordering::Relaxed,
            Ordering::Acquire,
        );
        if won.is_err() {
            self.wait();
            return false;
        }
        let at = nanoseconds(cause.at);
        // SAFETY: by invariant 2 only we write, and nobody reads before the store below.
        self.at.with_mut(|it| unsafe { *it = at });
        // SAFETY: as above.
        self.location
            .with_mut(|it| unsafe { *it = Some(cause.location) });
        let reason = match PLAIN.iter().find(|plain| **plain == cause.reason) {
            Some(plain) => ptr::from_ref(plain).cast_mut(),
            None => Arc::into_raw(Arc::new(cause.reason.clone())).cast_mut(),
        };
        // Release: partner is the Acquire in `get`; the cause is whole.
        self.reason.store(reason, Ordering::Release);
        true
    }

    /// The cause, which is about to be given: by a thread that is a few instructions away from it.
    #[cold]
    pub(crate) fn wait(&self) -> StopCause {
        let mut tries = 0_u32;
        loop {
            if let Some(cause) = self.get() {
                return cause;
            }
            tries += 1;
            if tries % 64 == 0 || cfg!(loom) {
                yield_now();
            } else {
                spin_loop();
            }
        }
    }

    /// The cause, if it has been given.
    pub(crate) fn get(&self) -> Option<StopCause> {
        // Acquire: partner is the Release store in `give`.
        let reason = self.reason.load(Ordering::Acquire);
        if reason.is_null() || reason == writing() {
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
            at: epoch() + Duration::from_nanos(at),
            location: location?,
        })
    }
}

impl Drop for CauseCell {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that whoever gave it happened before.
        let reason = self.reason.load(Ordering::Relaxed);
        if !reason.is_null() && !is_plain(reason) {
            // SAFETY: by invariant 1 it came from `Arc::into_raw` (nobody is writing, since we have
            // the cell to ourselves), and its count is given up here and nowhere else.
            drop(unsafe { Arc::from_raw(reason) });
        }
    }
}

impl fmt::Debug for CauseCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

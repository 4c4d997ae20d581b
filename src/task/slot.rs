//! Where a worker shows which task it runs, so that others can take a reference to it.
//!
//! The slot borrows the worker's own reference: showing a task costs a store and hiding it one
//! exchange, and no count is touched unless somebody looks. A looker locks the slot for the few
//! instructions in which it makes its own reference; the worker cannot hide the task meanwhile.
//!
//! So a task may get another reference from a pointer that owns none, as long as it is shown. That is
//! why a worker hides a task before it asks whether its own reference is the only one.
#![allow(
    unsafe_code,
    reason = "a reference is lent to another thread for a moment"
)]

use super::cell::TaskRef;
use super::slab::SlabRef;
use crate::report::tick::Tick;
use crate::stop::node::Node;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, Tries};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// | value | meaning | next, by whom |
/// |---|---|---|
/// | null | no task | a task or a slab, by the worker |
/// | a task | the worker runs it and keeps it alive | what was before or another task, by the worker; `LOCKED`, by a looker |
/// | a slab | the worker runs its tasks and keeps them alive | as above |
/// | `LOCKED` | a looker clones the reference | the same as before, by that looker |
///
/// A slab is shown for the time of many tasks, and which of them runs is a plain store beside.
#[derive(Debug)]
pub(crate) struct Slot {
    shown: AtomicPtr<Node>,
    /// Which task of the slab, if a slab is shown.
    index: AtomicU32,
    /// Whether it shows since when the task runs, too.
    is_timed: bool,
    /// A stamp, or zero.
    since: AtomicU64,
}

/// An address that no node has.
fn locked() -> *mut Node {
    ptr::without_provenance_mut(1)
}

/// Added to the address of a slab's first node: nodes lie at multiples of more than this.
const SLAB: usize = 2;
const _: () = assert!(align_of::<Node>() > SLAB);

impl Slot {
    pub(crate) fn new(is_timed: bool) -> Self {
        Slot {
            shown: AtomicPtr::new(ptr::null_mut()),
            index: AtomicU32::new(0),
            is_timed,
            since: AtomicU64::new(0),
        }
    }

    /// A task starts now. When that is, if anybody wants to know.
    #[inline]
    pub(crate) fn start(&self) -> Option<Tick> {
        self.is_timed.then(|| {
            let now = Tick::now();
            self.set_since(Some(now));
            now
        })
    }

    /// Since when the task runs that is shown, if that is known.
    pub(crate) fn since(&self) -> Option<Tick> {
        // Relaxed: a hint, that may be of the task before or behind.
        Tick::from_bits(self.since.load(Ordering::Relaxed))
    }

    /// The task that is shown runs since then.
    pub(crate) fn set_since(&self, since: Option<Tick>) {
        // Relaxed: as above.
        self.since
            .store(since.map_or(0, Tick::bits), Ordering::Relaxed);
    }

    /// Shows `task` while `f` runs, in place of what is shown. Called by the slot's own worker.
    pub(crate) fn showing<R>(&self, task: &TaskRef, f: impl FnOnce() -> R) -> R {
        self.show(task.node().as_ptr().as_ptr(), f)
    }

    /// Shows the task of the slab that [`turn_to`](Self::turn_to) names, while `f` runs. It names a
    /// first one before, and tasks that have not ended only.
    pub(crate) fn showing_slab<R>(&self, slab: &SlabRef, f: impl FnOnce() -> R) -> R {
        let first = slab.lend(0).node().as_ptr().as_ptr();
        self.show(first.map_addr(|address| address | SLAB), f)
    }

    /// Another task of the slab runs from now on.
    #[inline]
    pub(crate) fn turn_to(&self, index: u32) {
        // Relaxed: all tasks of the slab were whole before it was shown.
        self.index.store(index, Ordering::Relaxed);
    }

    #[inline]
    fn show<R>(&self, shown: *mut Node, f: impl FnOnce() -> R) -> R {
        // Relaxed: a task that is shown was put there by this worker. A looker's lock is not
        // what was shown: wait until it is gone.
        let mut before = self.shown.load(Ordering::Relaxed);
        let mut tries = Tries::default();
        while before == locked() {
            tries.again();
            before = self.shown.load(Ordering::Relaxed);
        }
        if before.is_null() {
            // Release: partner is the Acquire in `look`; the task is whole.
            self.shown.store(shown, Ordering::Release);
        } else {
            self.exchange(before, shown);
        }
        // The task is hidden before the borrow of it ends, however `f` ends.
        let _hide = Hide {
            slot: self,
            shown,
            before,
        };
        f()
    }

    /// Replaces what the worker has shown, once nobody looks at it.
    fn exchange(&self, shown: *mut Node, next: *mut Node) {
        let mut tries = Tries::default();
        // Acquire: partner is the Release with which a looker unlocks; its clone has been made.
        // Release: partner is the Acquire in `look`. Relaxed on failure: somebody is looking.
        while self
            .shown
            .compare_exchange(shown, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            tries.again();
        }
    }

    /// A reference of one's own to the task that is shown.
    pub(crate) fn look(&self) -> Option<TaskRef> {
        let mut tries = Tries::default();
        loop {
            // Relaxed: the exchange settles it.
            let shown = self.shown.load(Ordering::Relaxed);
            if shown.is_null() {
                return None;
            }
            if shown == locked() {
                tries.again();
                continue;
            }
            // Acquire: partner is the Release in `showing`, or in the store below.
            let locking =
                self.shown
                    .compare_exchange(shown, locked(), Ordering::Acquire, Ordering::Relaxed);
            // What was exchanged, and not what was loaded, is used: another task may have been shown
            // at the same address meanwhile.
            let Some(node) = locking.ok().and_then(NonNull::new) else {
                tries.again();
                continue;
            };
            let is_slab = node.addr().get() & SLAB != 0;
            let first = node.as_ptr().map_addr(|address| address & !SLAB);
            // SAFETY: it is not null with that bit, and so not without: nodes lie at other addresses
            // than that bit alone.
            let first = unsafe { NonNull::new_unchecked(first) };
            // SAFETY: the worker borrows this task, or slab, until it has taken the pointer out of the
            // slot, which it cannot while the slot is locked, so it is alive. The reference is not
            // dropped, so the worker's count stays the worker's.
            let lent = ManuallyDrop::new(unsafe { TaskRef::lent(first) });
            let task = if is_slab {
                // SAFETY: with the bit it is the first task of a slab. As above, not dropped.
                let slab = unsafe { SlabRef::from_first(ManuallyDrop::into_inner(lent)) };
                let slab = ManuallyDrop::new(slab);
                // Relaxed: as in `turn_to`.
                slab.lend(self.index.load(Ordering::Relaxed)).clone()
            } else {
                TaskRef::clone(&lent)
            };
            // Release: the clone happens before the worker goes on to give up its own reference.
            self.shown.store(node.as_ptr(), Ordering::Release);
            return Some(task);
        }
    }
}

/// Puts back what was shown before, when it is dropped.
struct Hide<'a> {
    slot: &'a Slot,
    shown: *mut Node,
    before: *mut Node,
}

impl Drop for Hide<'_> {
    fn drop(&mut self) {
        self.slot.exchange(self.shown, self.before);
    }
}

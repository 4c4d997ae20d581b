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
use crate::stop::node::Node;
use crate::sync::{AtomicPtr, Ordering, Tries};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// | value | meaning | next, by whom |
/// |---|---|---|
/// | null | no task | a task, by the worker |
/// | a task | the worker runs it and keeps it alive | null or another task, by the worker; `LOCKED`, by a looker |
/// | `LOCKED` | a looker clones the reference | the same task, by that looker |
#[derive(Debug)]
pub(crate) struct Slot(AtomicPtr<Node>);

/// An address that no node has.
fn locked() -> *mut Node {
    ptr::without_provenance_mut(1)
}

impl Slot {
    pub(crate) fn new() -> Self {
        Slot(AtomicPtr::new(ptr::null_mut()))
    }

    /// Shows `task` while `f` runs, in place of the one around it. Called by the slot's own worker.
    pub(crate) fn showing<R>(&self, task: &TaskRef, f: impl FnOnce() -> R) -> R {
        let shown = task.node().as_ptr().as_ptr();
        // Relaxed: a task that is shown was put there by this worker. A looker's lock is not
        // what was shown: wait until it is gone.
        let mut before = self.0.load(Ordering::Relaxed);
        let mut tries = Tries::default();
        while before == locked() {
            tries.again();
            before = self.0.load(Ordering::Relaxed);
        }
        if before.is_null() {
            // Release: partner is the Acquire in `look`; the task is whole.
            self.0.store(shown, Ordering::Release);
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
            .0
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
            let shown = self.0.load(Ordering::Relaxed);
            if shown.is_null() {
                return None;
            }
            if shown == locked() {
                tries.again();
                continue;
            }
            // Acquire: partner is the Release in `showing`, or in the store below.
            let locking =
                self.0
                    .compare_exchange(shown, locked(), Ordering::Acquire, Ordering::Relaxed);
            // What was exchanged, and not what was loaded, is used: another task may have been shown
            // at the same address meanwhile.
            let Some(node) = locking.ok().and_then(NonNull::new) else {
                tries.again();
                continue;
            };
            // SAFETY: the worker borrows this task until it has taken the pointer out of the slot,
            // which it cannot while the slot is locked, so the task is alive. The reference is not
            // dropped, so the worker's count stays the worker's.
            let lent = ManuallyDrop::new(unsafe { TaskRef::lent(node) });
            let task = TaskRef::clone(&lent);
            // Release: the clone happens before the worker goes on to give up its own reference.
            self.0.store(node.as_ptr(), Ordering::Release);
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

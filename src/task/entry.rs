//! What lies in a pool's queue: a task, or a slab of them, in one word.
//!
//! The pointer's low bits say which it is, whether a task was made with a handle, and whether it is a member of a
//! scope. So the first
//! that a worker does with a cell that another thread has written is to claim it, which fetches its
//! cache line once, to be written to; a look beforehand would fetch it twice.
#![allow(unsafe_code, reason = "two bits of a counted pointer say what it is")]

use super::cell::TaskRef;
use super::group::{Sort, group_of};
use super::slab::SlabRef;
use crate::stop::node::{Node, NodeRef};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;

/// A task without a handle.
const DETACHED: usize = 1;
/// A slab.
const SLAB: usize = 2;
/// A member of a scope.
const SCOPED: usize = 4;
const BITS: usize = DETACHED | SLAB | SCOPED;
const _: () = assert!(align_of::<Node>() > BITS);

/// A counted reference to a task or a slab.
///
/// Invariant: it is the pointer of a `TaskRef`, whose count it owns, with at most one of the bits; with
/// `SLAB` it is that of a `SlabRef`, with `SCOPED` that of a member of a group.
pub(crate) struct Entry(NonNull<Node>);

// SAFETY: it is a `TaskRef` or a `SlabRef`, which are `Send` and `Sync`.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

/// What an entry is.
pub(crate) enum Opened {
    /// A task, and whether it was made with a handle.
    Task(TaskRef, bool),
    Slab(SlabRef),
}

impl Entry {
    pub(crate) fn of_task(task: TaskRef, has_handle: bool) -> Entry {
        Entry::of(task, if has_handle { 0 } else { DETACHED })
    }

    /// A member of a scope, with a handle.
    pub(crate) fn of_member(task: TaskRef) -> Entry {
        Entry::of(task, SCOPED)
    }

    pub(crate) fn of_slab(slab: SlabRef) -> Entry {
        Entry::of(slab.into_first(), SLAB)
    }

    fn of(task: TaskRef, bits: usize) -> Entry {
        let node = task.into_node().into_raw();
        Entry(node.map_addr(|address| address | bits))
    }

    fn bits(&self) -> usize {
        self.0.addr().get() & BITS
    }

    /// The reference, without a count of its own.
    fn lent(&self) -> ManuallyDrop<TaskRef> {
        let bits = self.bits();
        // SAFETY: what was there before the bits were added is not null.
        let plain = |address: std::num::NonZeroUsize| unsafe {
            std::num::NonZeroUsize::new_unchecked(address.get() & !bits)
        };
        // SAFETY: by the invariant it is a task's node, whose count stays this entry's.
        let node = unsafe { NodeRef::from_raw(self.0.map_addr(plain)) };
        // SAFETY: as above.
        ManuallyDrop::new(unsafe { TaskRef::from_node(node) })
    }

    pub(crate) fn open(self) -> Opened {
        let bits = self.bits();
        let task = ManuallyDrop::into_inner(self.lent());
        // Its count is that of `task` now.
        mem::forget(self);
        if bits & SLAB != 0 {
            // SAFETY: by the invariant.
            Opened::Slab(unsafe { SlabRef::from_first(task) })
        } else {
            Opened::Task(task, bits & DETACHED == 0)
        }
    }

    /// The sort of scope of which it is a member, if it is one.
    pub(crate) fn scope(&self) -> Option<Sort> {
        if self.bits() & SCOPED == 0 {
            return None;
        }
        group_of(self.lent().node()).map(|group| group.sort())
    }

    /// Whether a task in it is pending.
    pub(crate) fn has_pending(&self) -> bool {
        let mut any = false;
        self.look(|_| any = true);
        any
    }

    /// Adds those tasks in it that are pending.
    pub(crate) fn pending(&self, tasks: &mut Vec<TaskRef>) {
        self.look(|task| tasks.push(task.clone()));
    }

    /// Calls `see` with each task in it that is pending.
    fn look(&self, mut see: impl FnMut(&TaskRef)) {
        let first = self.lent();
        if self.bits() & SLAB == 0 {
            if !first.state().load().has_begun() {
                see(&first);
            }
            return;
        }
        // SAFETY: by the invariant; the count stays this entry's.
        let slab =
            ManuallyDrop::new(unsafe { SlabRef::from_first(ManuallyDrop::into_inner(first)) });
        for index in 0..slab.len() {
            let task = slab.lend(index);
            if !task.state().load().has_begun() {
                see(&task);
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: the count is given up here, and the entry is not used again.
        unsafe { ManuallyDrop::drop(&mut self.lent()) };
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("first", &*self.lent())
            .field("is_slab", &(self.bits() & SLAB != 0))
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::life::first_word;
    use super::super::samples::{self, begin, group, home, slab, task, task_of};
    use super::*;

    #[test]
    fn what_is_opened_is_what_was_put_in() {
        let home = home();
        for has_handle in [false, true] {
            let task = task(&home);
            let opened = Entry::of_task(task.clone(), has_handle).open();
            let Opened::Task(same, had_handle) = opened else {
                panic!("it is a task");
            };
            assert!(same.same(&task));
            assert_eq!(had_handle, has_handle);
        }
        let member = task(&home);
        let opened = Entry::of_member(member.clone()).open();
        assert!(matches!(opened, Opened::Task(same, true) if same.same(&member)));
        let opened = Entry::of_slab(slab(&home, 3)).open();
        assert!(matches!(opened, Opened::Slab(slab) if slab.len() == 3));
    }

    /// The tasks of an owned group lie in the queue as any other.
    #[test]
    fn members_of_scopes_alone_say_so() {
        let home = home();
        for sort in [Sort::Inside, Sort::Outside] {
            let group = group(sort, home.node(), Vec::new());
            let member = task_of(&home, group.node(), first_word(true, true), (), |_| {});
            assert_eq!(Entry::of_member(member.clone()).scope(), Some(sort));
            assert_eq!(Entry::of_task(member, true).scope(), None);
        }
        assert_eq!(Entry::of_slab(slab(&home, 1)).scope(), None);
    }

    #[test]
    fn it_has_what_is_pending_of_it() {
        let home = home();
        let task = task(&home);
        let entry = Entry::of_task(task.clone(), false);
        assert!(entry.has_pending());
        begin(&task);
        assert!(!entry.has_pending());
        samples::end(&task);
        assert!(!entry.has_pending());

        let slab = slab(&home, 3);
        let entry = Entry::of_slab(slab.clone());
        for index in 0..3 {
            let mut pending = Vec::new();
            entry.pending(&mut pending);
            assert_eq!((pending.len(), entry.has_pending()), (3 - index, true));
            begin(&slab.lend(u32::try_from(index).unwrap()));
        }
        assert!(!entry.has_pending());
    }
}

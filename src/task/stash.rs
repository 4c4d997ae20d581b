//! What each thread keeps in store for the tasks of one home at a time: references to the home, and
//! memory of cells.
//!
//! Every task has a reference to its home. Submitters would take one and workers give one back for
//! each task, all on one cache line, which would then wander between them all the time. So each
//! thread takes and gives them by the dozen, and keeps some in store. What it keeps of memory, and
//! why, is in `task/depot.rs`.
//!
//! What it costs: a thread that has submitted to a pool, or run or joined its tasks, may keep the
//! pool's home (its counts, some kilobytes, and the event that the pool was built under; no thread, no hook, no
//! task), and the memory of some dozens of cells, until it does the same with another pool, or ends.
#![allow(unsafe_code, reason = "memory is passed on from one cell to the next")]

use super::depot::{Class, Shelf};
use super::home::HomeRef;
use crate::stop::node::{Hoard, NodeRef};
use crate::stop::timer::on_timer_thread;
use crate::sync::thread_locals;
use std::alloc::{self, Layout};
use std::cell::RefCell;
use std::ptr::NonNull;

thread_locals! {
    static STASH: RefCell<Option<Box<Store>>> = const { RefCell::new(None) };
}

struct Store {
    home: HomeRef,
    /// More references to it.
    hoard: Hoard,
    shelf: Shelf,
}

impl Store {
    fn new(home: HomeRef) -> Box<Store> {
        Box::new(Store {
            hoard: Hoard::new(home.node().clone()),
            home,
            shelf: Shelf::new(),
        })
    }
}

/// Calls `f` with the thread's store. `None` too if the thread's local state is gone.
#[inline]
fn with_store<R>(f: impl FnOnce(&mut Option<Box<Store>>) -> Option<R>) -> Option<R> {
    let found = STASH.try_with(|stash| f(&mut *stash.try_borrow_mut().ok()?));
    found.ok().flatten()
}

/// A reference to the home, for a new task.
#[inline]
pub(crate) fn take(home: &HomeRef) -> NodeRef {
    let taken = with_store(|stash| {
        let store = stash.as_mut()?;
        let is_of = store.hoard.is_of(home.node());
        is_of.then(|| store.hoard.take())
    });
    // A thread whose local state is gone, or one that submits to another pool than before.
    taken.unwrap_or_else(|| change(home))
}

/// Gives up what the calling thread has in store, and with it the home.
#[cfg(feature = "testing")]
pub(crate) fn clear() {
    // The home may end with it, when the stash is no longer borrowed.
    drop(with_store(Option::take));
}

/// Lays up a store for this home in place of the one before.
#[cold]
fn change(home: &HomeRef) -> NodeRef {
    let mut store = Store::new(home.clone());
    let node = store.hoard.take();
    if on_timer_thread() {
        return node;
    }
    // Another home may end with it, when the stash is no longer borrowed.
    drop(with_store(|stash| stash.replace(store)));
    node
}

/// Memory for a value of this layout.
#[inline]
pub(super) fn allocate(layout: Layout) -> NonNull<u8> {
    let kept = Class::of(layout).and_then(|class| {
        with_store(|stash| {
            let store = stash.as_mut()?;
            store.shelf.take(class, &store.home.depot)
        })
    });
    kept.unwrap_or_else(|| allocate_anew(layout))
}

fn allocate_anew(layout: Layout) -> NonNull<u8> {
    assert!(layout.size() > 0, "a cell has a size");
    // SAFETY: the size is not zero.
    let place = NonNull::new(unsafe { alloc::alloc(layout) });
    place.unwrap_or_else(|| alloc::handle_alloc_error(layout))
}

/// Takes back what a task held as its parent, and its memory. A parent that is not the home in store
/// is for the caller to drop.
///
/// # Safety
///
/// The place came from [`allocate`] with this layout, and is the caller's alone, who gives it up.
#[inline]
pub(super) unsafe fn give_back(
    mut parent: Option<NodeRef>,
    place: NonNull<u8>,
    layout: Layout,
) -> Option<NodeRef> {
    let kept = with_store(|stash| {
        // The timer thread never ends, and so would keep it for ever.
        if stash.is_none() && !on_timer_thread() {
            match HomeRef::behind(parent.take()?) {
                Ok(home) => *stash = Some(Store::new(home)),
                Err(other) => parent = Some(other),
            }
        }
        let store = &mut **stash.as_mut()?;
        if let Some(node) = parent.take_if(|node| store.hoard.is_of(node)) {
            store.hoard.give(node);
        }
        let class = Class::of(layout)?;
        // SAFETY: memory for a layout of this class, as the caller vouches.
        unsafe { store.shelf.give(class, place, &store.home.depot) };
        Some(())
    });
    if kept.is_none() {
        // SAFETY: it came from the allocator with this layout, be it by way of a shelf, and is not
        // used again.
        unsafe { alloc::dealloc(place.as_ptr(), layout) };
    }
    parent
}

/// Takes back what a slab held as its parent, as [`give_back`].
pub(super) fn give_back_reference(parent: NodeRef) -> Option<NodeRef> {
    let mut parent = Some(parent);
    with_store(|stash| {
        let hoard = &mut stash.as_mut()?.hoard;
        let node = parent.take_if(|node| hoard.is_of(node))?;
        hoard.give(node);
        Some(())
    });
    parent
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn references_to_the_home_in_store_are_kept_and_others_are_the_callers() {
        let (home, other) = (samples::home(), samples::home());
        let (node, theirs) = (take(&home), other.node().clone());
        assert!(give_back_reference(node).is_none());
        let back = give_back_reference(theirs);
        assert!(back.is_some_and(|node| node.same(other.node())));
    }

    #[test]
    fn a_freed_cell_is_used_again_by_the_next_task_of_its_size() {
        let home = samples::home();
        let task = samples::task(&home);
        let place = task.node().as_ptr();
        drop(task);
        let task = samples::task(&home);
        assert_eq!(task.node().as_ptr(), place);
    }
}

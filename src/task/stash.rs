//! References to a home, kept by each thread in store.
//!
//! Every task has a reference to its home. Submitters would take one and workers give one back for
//! each task, all on one cache line, which would then wander between them all the time. So each
//! thread takes and gives them by the dozen, and keeps some in store, for one home at a time.
//!
//! What it costs: a thread that has submitted to a pool, or run or joined its tasks, may keep the
//! pool's home (its counts, some kilobytes; no thread, no hook, no task) until it does the same with
//! another pool, or ends.

use super::home::{HomeRef, is_home};
use crate::stop::node::{Hoard, NodeRef};
use crate::sync::thread_locals;
use std::cell::RefCell;

thread_locals! {
    static STASH: RefCell<Option<Hoard>> = const { RefCell::new(None) };
}

/// A reference to the home, for a new task.
#[inline]
pub(crate) fn take(home: &HomeRef) -> NodeRef {
    let taken = STASH.try_with(|stash| {
        let mut stash = stash.try_borrow_mut().ok()?;
        let hoard = stash.as_mut().filter(|hoard| hoard.is_of(home.node()))?;
        Some(hoard.take())
    });
    // A thread whose local state is gone, or one that submits to another pool than before.
    taken.ok().flatten().unwrap_or_else(|| change(home))
}

/// Lays up a hoard of this home in place of the one before.
#[cold]
fn change(home: &HomeRef) -> NodeRef {
    let mut hoard = Hoard::new(home.node().clone());
    let node = hoard.take();
    let before = STASH.try_with(|stash| {
        let mut stash = stash.try_borrow_mut().ok()?;
        stash.replace(hoard)
    });
    // Another home may end with it, when the stash is no longer borrowed.
    drop(before);
    node
}

/// Takes back what a task held as its parent. What is not a home's, or not that of the home in store,
/// is for the caller to drop.
#[inline]
pub(crate) fn give_back(parent: NodeRef) -> Option<NodeRef> {
    if !is_home(&parent) {
        return Some(parent);
    }
    let mut parent = Some(parent);
    // A thread whose local state is gone keeps nothing.
    let _ = STASH.try_with(|stash| {
        let Ok(mut stash) = stash.try_borrow_mut() else {
            return;
        };
        match (&mut *stash, parent.take()) {
            (Some(hoard), Some(node)) if hoard.is_of(&node) => hoard.give(node),
            (stash @ None, Some(node)) => *stash = Some(Hoard::new(node)),
            (_, other) => parent = other,
        }
    });
    parent
}

//! A group: the node that tasks are under which belong together, and those who wait for all of them.
//!
//! A scope is a group whose tasks borrow from whoever opened it, and so must have ended, with all that they
//! left dropped, before it is closed. Its node is under the task that opened it, if one did, and else
//! under the pool's home.
//!
//! # What a group knows
//!
//! | what | written by |
//! |---|---|
//! | `left`: tasks that were submitted and have not been given up | who submits, and who drops the last that a task left |
//! | `tasks`: those that may be pending, to be run by who waits, and to be doomed by who stops | under the lock |
//! | `nested`: scopes that were opened by tasks of this one | under the lock |
//! | `graves`: closures that who stopped the group may not drop | under the lock |
//!
//! # Stopping
//!
//! Whoever sets the group's node, or a node between it and the next group or the home further up, dooms what is
//! pending, and then what is pending in nested groups. The home needs no listener: a pool that stops takes
//! everything out of its queue. A task that is added when the group has been stopped is doomed by who adds it;
//! both look under the lock.
//!
//! # Giving up
//!
//! A task is given up when nothing that it borrows can be touched any more: after its end, when its value
//! has been dropped or is its handle's; or after the drop of its closure, if it never started. The subtraction that
//! says so is the last thing that is done for it; who waits for `left` to be zero sees all that came before.
#![allow(unsafe_code, reason = "a group is a node with more behind it")]

mod members;
mod stop;
mod wait;

use super::cell::TaskRef;
use super::home::is_home;
use super::life::{self, Doomed};
use crate::stop::any;
use crate::stop::node::{Kind, Node, NodeRef, Side, Solo};
use crate::stop::{StopCause, StopReason};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, Ordering};
use std::collections::BTreeMap;
use std::fmt;
use std::mem::{self, offset_of};
use std::ops::Deref;
use std::panic::Location;
use std::ptr::{self, NonNull};

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A scope that a task of the same pool has opened: its tasks are a part of that one.
    Inside,
    /// A scope that was opened from elsewhere.
    Outside,
    /// Owned by a handle: its tasks borrow nothing.
    Owned,
}

#[repr(C)]
pub(crate) struct Group {
    node: Solo,
    /// Parents besides the first.
    others: Box<[NodeRef]>,
    side: Side,
    sort: Sort,
    /// The task that opened the group, whose seeing is noted.
    observer: Option<NodeRef>,
    location: &'static Location<'static>,
    left: AtomicUsize,
    /// Whoever opened the group has seen its event set.
    seen: AtomicBool,
    /// A task has failed, and the others are to be stopped when it has ended.
    failed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Why no member starts any more.
    stopped: Option<StopCause>,
    tasks: Vec<TaskRef>,
    /// At how many tasks the list is rid of those that have begun.
    sweep_at: usize,
    nested: BTreeMap<u64, GroupRef>,
    next_nested: u64,
    graves: Vec<Doomed>,
    /// Closures of members are in the pool's graveyard, and may wait for a worker that waits for them.
    has_pool_graves: bool,
    /// Why the first task that did not complete was stopped.
    incomplete: Option<StopCause>,
    /// How many wait and would run a task.
    helpers: usize,
}

/// Fewer tasks than this are not worth a sweep.
const FEW: usize = 64;

pub(super) use members::give_up;
pub(crate) use stop::Open;
use stop::raise_group;

static GROUP: Kind = Kind {
    free: free_group,
    raise: raise_group,
    saw: saw_group,
    reason: StopReason::Requested,
    others: others_of,
    polled: Kind::NOT_COUNTED,
    expire: Kind::NEVER_EXPIRES,
    side: offset_of!(Group, side),
    embedder: Kind::NO_EMBEDDER,
};

fn saw_group(node: &NodeRef) {
    let Some(group) = group_behind(node) else {
        return;
    };
    // Relaxed: read by who opened the group, and by threads that it has waited for.
    group.seen.store(true, Ordering::Relaxed);
    if let Some(observer) = group.observer.as_ref().filter(|task| task.reads_set()) {
        observer.note_seen();
    }
}

fn others_of(node: &NodeRef) -> &[NodeRef] {
    group_behind(node).map_or(&[], |group| &group.others)
}

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`GroupRef::new`].
unsafe fn free_group(node: NonNull<Node>, others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    // SAFETY: a node of this kind is the first field of a `Group` that came from a `Box` in
    // `GroupRef::new`, and the caller vouches that nobody else points to it any more.
    let mut group = unsafe { Box::from_raw(node.cast::<Group>().as_ptr()) };
    others.extend(mem::take(&mut group.others));
    others.extend(group.observer.take());
    group.node.take_parent()
}

/// The group behind a node of kind `GROUP`.
fn group_behind(node: &NodeRef) -> Option<&Group> {
    // The address of a static is its own, so this tells groups from all other nodes.
    if !ptr::eq(node.kind(), &GROUP) {
        return None;
    }
    // SAFETY: nodes of this kind are made by `GroupRef::new` alone, with a pointer to the whole
    // `Group`; it lives as long as `node` is borrowed, and is only ever shared.
    Some(unsafe { node.as_ptr().cast::<Group>().as_ref() })
}

/// The group of which the task with this node is a member.
pub(crate) fn group_of(task: &NodeRef) -> Option<&GroupRef> {
    let mut place = task.parent();
    while let Some(node) = place {
        let group = GroupRef::behind(node);
        if group.is_some() {
            return group;
        }
        if is_home(node) {
            return None;
        }
        place = node.parent();
    }
    None
}

/// One counted pointer to a group.
///
/// Invariant: its node is of kind `GROUP`.
#[derive(Clone)]
#[repr(transparent)]
pub(crate) struct GroupRef(NodeRef);

impl GroupRef {
    /// A group under `first`, which is a pool's home or a task of that pool, and under these others.
    pub(crate) fn new(
        sort: Sort,
        first: NodeRef,
        others: Vec<NodeRef>,
        observer: Option<NodeRef>,
        location: &'static Location<'static>,
    ) -> GroupRef {
        let word = any::word_of(&first, &others);
        let group = Box::new(Group {
            node: Solo::new(word, 1, &GROUP, Some(first)),
            others: others.into(),
            side: Side::new(),
            sort,
            observer,
            location,
            left: AtomicUsize::new(0),
            seen: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            state: Mutex::new(State {
                sweep_at: FEW,
                ..State::default()
            }),
            changed: Condvar::new(),
        });
        let node = NonNull::from(Box::leak(group)).cast::<Node>();
        // SAFETY: `Group` is `repr(C)` with the node first, so this is a pointer to the node that is
        // valid for the whole group, which has its `Side` where the kind says; the one count that it was
        // born with becomes this reference's; a `Group` is `Send` and `Sync`.
        GroupRef(unsafe { NodeRef::from_raw(node) })
    }

    /// The group whose node that is.
    fn behind(node: &NodeRef) -> Option<&GroupRef> {
        group_behind(node)?;
        // SAFETY: a `GroupRef` is a `NodeRef` (`repr(transparent)`) to a node of this kind, which it is;
        // it is borrowed for as long as that one.
        Some(unsafe { &*ptr::from_ref(node).cast::<GroupRef>() })
    }

    /// The task that opened the scope, if it is one inside the same pool.
    pub(crate) fn opener(&self) -> Option<&NodeRef> {
        self.0.parent().filter(|_| self.sort == Sort::Inside)
    }

    pub(crate) fn node(&self) -> &NodeRef {
        &self.0
    }

    /// Whether it is under more than the pool's home: under what may be set at any time, and tells others of it before it
    /// tells the group.
    pub(crate) fn is_under_others(&self) -> bool {
        let first = self.0.parent();
        !self.others.is_empty() || first.is_some_and(|first| !is_home(first))
    }

    /// Keeps a member that is about to be put into the queue. False: the group has been stopped, and it is doomed.
    pub(crate) fn add(&self, task: &TaskRef) -> bool {
        match self.keep(task.clone()) {
            Ok(()) => true,
            Err((task, cause)) => {
                life::doom_unqueued(&task, &cause);
                false
            }
        }
    }

    pub(crate) fn same(&self, other: &GroupRef) -> bool {
        self.0.same(&other.0)
    }
}

impl Deref for GroupRef {
    type Target = Group;

    fn deref(&self) -> &Group {
        // SAFETY: by the invariant the node is the first field of a `Group`, and the pointer one to the
        // whole of it; it lives as long as this reference, and is only ever shared.
        unsafe { self.0.as_ptr().cast::<Group>().as_ref() }
    }
}

impl fmt::Debug for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("node", &self.0)
            .field("sort", &self.sort)
            .finish_non_exhaustive()
    }
}

/// The task, if it is one of the same pool, that has opened the scope of which this one is a member: it cannot end before
/// this one has.
pub(crate) fn opener_of(member: &TaskRef) -> Option<&NodeRef> {
    group_of(member.node()).and_then(GroupRef::opener)
}

/// `Group` is shared and freed across threads.
const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Group>();
};

#[cfg(all(test, not(loom)))]
mod tests;

//! The cell of a task: one allocation for its stop node, its lifecycle, its closure and, after it,
//! its value.
//!
//! A [`TaskRef`] is one counted pointer to a cell whose types have been forgotten. What needs the
//! types (running the closure, moving the value out) goes through the cell's table of functions, in
//! `task/contents.rs`: see `cell/calls.rs`. A cell lies alone, as those of this file do, or in a slab, as those of
//! `task/slab.rs`.
#![allow(
    unsafe_code,
    reason = "a closure and then its value live in one place behind a thin pointer"
)]

mod calls;
mod room;

use super::contents::{Contents, Table};
use super::home::{Home, home_of};
use super::slab;
use super::stash;
use super::state::{State, WAITED};
use crate::report::TaskId;
use crate::stop::StopEvent;
use crate::stop::node::{Kind, Node, NodeRef, Side, Solo};
use crate::sync::UnsafeCell;
use std::alloc::Layout;
use std::fmt;
use std::mem::offset_of;
use std::ptr::{self, NonNull};

pub(crate) use super::contents::{Left, Payload};
pub(super) use room::Found;
pub(crate) use room::{Extra, Noted, Room};

/// What all cells that lie alone begin with.
#[repr(C)]
struct Header {
    node: Solo,
    id: TaskId,
}

#[repr(C)]
struct Cell<F, T, X> {
    header: Header,
    contents: UnsafeCell<Contents<F, T>>,
    /// Behind what every worker and joiner touches, so that these touch few cache lines.
    side: Side,
    extra: X,
}

/// Ties a table and a kind to their types, so that they can be borrowed for ever.
struct Of<F, T, X>(F, T, X);

impl<F, T, X> Of<F, T, X>
where
    F: FnOnce(&StopEvent) -> T,
    X: Room,
{
    const TABLE: &'static Table = &Table::of::<F, T>(
        offset_of!(Cell<F, T, X>, contents),
        if X::ANY { Some(find::<F, T, X>) } else { None },
    );
    const KIND: &'static Kind = &super::life::kind(
        free_cell::<F, T, X>,
        offset_of!(Cell<F, T, X>, side),
        Self::TABLE,
    );
}

/// # Safety
///
/// As [`Kind::free`] says; and the cell is a `Cell<F, T, X>`.
unsafe fn free_cell<F, T, X>(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    let mut place = node.cast::<Cell<F, T, X>>();
    // SAFETY: the cell was written by `TaskRef::new` with these types, and nobody else points to it any
    // more.
    let cell = unsafe { place.as_mut() };
    let parent = cell.header.node.take_parent();
    // What is not dropped: the contents, a union, since whoever ended the task or held its handle has
    // moved them out or dropped them; and a side that nobody has touched, and that is not touched here.
    if cell.header.node.has_side(WAITED) {
        // SAFETY: it is not used again.
        unsafe { ptr::drop_in_place(&raw mut cell.side) };
    }
    // SAFETY: as above.
    unsafe { ptr::drop_in_place(&raw mut cell.extra) };
    // SAFETY: `TaskRef::new` got the place for this layout from `allocate`, and it is not used again.
    unsafe { stash::give_back(parent, place.cast(), Layout::new::<Cell<F, T, X>>()) }
}

fn find<F, T, X: Room>(task: &TaskRef) -> Found<'_> {
    let cell = task.0.as_ptr().cast::<Cell<F, T, X>>().as_ptr();
    // SAFETY: this function is called through the task's own table alone, so the types are right; the
    // cell lives as long as `task` is borrowed, and its extra is only ever shared. (A borrow of the
    // whole cell would borrow what a closure or value of a scope borrows; this does not.)
    let room: &X = unsafe { &(*cell).extra };
    Found {
        extra: room.extra(),
        submitted: room.submitted(),
    }
}

/// What a new task is made of, besides its closure.
pub(crate) struct Birth<X> {
    /// The home, or a node under it.
    pub(crate) parent: NodeRef,
    pub(crate) id: TaskId,
    /// The first word of its lifecycle.
    pub(crate) word: u32,
    /// How many references it is born with.
    pub(crate) count: u32,
    pub(crate) extra: X,
}

/// One counted pointer to a task.
///
/// Invariant: its node is the first field of a cell that [`TaskRef::new`] made, or lies in a slab
/// that `task/slab.rs` made, and the pointer may be used for all of that.
#[repr(transparent)]
pub(crate) struct TaskRef(NodeRef);

impl TaskRef {
    /// A new task, and one of the references that it is born with; [`twin`](Self::twin) gives the
    /// others.
    ///
    /// # Safety
    ///
    /// The closure and the value are gone before anything that they borrow ends. (Trivially so when
    /// both are `'static`.)
    pub(crate) unsafe fn new<F, T, X>(birth: Birth<X>, closure: F) -> TaskRef
    where
        F: FnOnce(&StopEvent) -> T + Send,
        T: Send,
        X: Room,
    {
        let Birth {
            parent,
            id,
            word,
            count,
            extra,
        } = birth;
        let cell = Cell::<F, T, X> {
            header: Header {
                node: Solo::new(word, count, Of::<F, T, X>::KIND, Some(parent)),
                id,
            },
            contents: Contents::closure(closure),
            side: Side::new(),
            extra,
        };
        let place = stash::allocate(Layout::new::<Cell<F, T, X>>()).cast();
        // SAFETY: the place is for a value of this layout, and nobody else's.
        unsafe { place.write(cell) };
        let node = place.cast::<Node>();
        // SAFETY: the node is at the start of the header, which is at the start of the cell (both
        // are `repr(C)`), so the pointer is one to the node and valid for the whole cell. The cell
        // may be used and freed on any thread: closure, value and payload are `Send` and touched by
        // one thread at a time; the header is atomics and shared data; `X` is `Send` and `Sync`.
        // This reference takes one of the counts.
        TaskRef(unsafe { NodeRef::from_raw(node) })
    }

    /// One more of the references that the task was born with.
    ///
    /// # Safety
    ///
    /// The task was born with a count for each reference that is made by this, and one more.
    pub(crate) unsafe fn twin(&self) -> TaskRef {
        // SAFETY: the caller vouches for the count; the pointer is this reference's.
        TaskRef(unsafe { NodeRef::from_raw(self.0.as_ptr()) })
    }

    /// The task behind a node of a task's kind, which are the only kinds that call this.
    pub(super) fn behind(node: &NodeRef) -> TaskRef {
        TaskRef(node.clone())
    }

    /// The task at `node`, without a count of its own.
    ///
    /// # Safety
    ///
    /// The pointer is that of a living task's [`TaskRef`], and what this returns is not dropped.
    pub(super) unsafe fn lent(node: NonNull<Node>) -> TaskRef {
        // SAFETY: the pointer is a `NodeRef`'s, so it is valid for the whole cell; the count that it
        // would give up is not given up, as the caller vouches.
        TaskRef(unsafe { NodeRef::from_raw(node) })
    }

    /// The task whose node that is.
    ///
    /// # Safety
    ///
    /// The node is that of a task.
    pub(super) unsafe fn from_node(node: NodeRef) -> TaskRef {
        TaskRef(node)
    }

    pub(super) fn into_node(self) -> NodeRef {
        self.0
    }

    #[inline]
    pub(crate) fn node(&self) -> &NodeRef {
        &self.0
    }

    #[inline]
    pub(crate) fn state(&self) -> State<'_> {
        State::new(self.0.word())
    }

    #[inline]
    pub(crate) fn home(&self) -> &Home {
        home_of(&self.0)
    }

    /// What a cell that lies alone begins with.
    fn header(&self) -> &Header {
        // SAFETY: by the invariant of `TaskRef` a node that is in no slab is the first field of a
        // header, which lives as long as this reference and is only ever shared.
        unsafe { self.0.as_ptr().cast().as_ref() }
    }

    #[inline]
    fn table(&self) -> &'static Table {
        match slab::around(self) {
            Some(slab) => slab.table(),
            None => {
                let embedder = self.node().kind().embedder;
                debug_assert!(embedder.is::<Table>());
                let table = ptr::from_ref(embedder).cast::<Table>();
                // SAFETY: a task that lies alone was made by `TaskRef::new` with a kind that `life::kind` has
                // made, whose embedder is a `Table`.
                unsafe { &*table }
            }
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        match slab::around(self) {
            Some(slab) => slab.id_of(self),
            None => self.header().id,
        }
    }

    pub(crate) fn same(&self, other: &TaskRef) -> bool {
        self.0.same(&other.0)
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        TaskRef(self.0.clone())
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("status", &self.state().load().status())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

//! Cells of a batch: many tasks of the same types in one allocation, which share what they can.
//!
//! ```text
//! │ head: count, kind │ table │ first id │ len │ stride │ parent │ cell │ cell │ cell …
//!                                                       cell:  │ node │ side │ closure, then value │
//! ```
//!
//! A slab is small: a couple of kilobytes, or one cell if that is more. All references to its
//! cells are counted in its head, and it is freed as a whole when the last one goes, so a handle or an
//! event of one task keeps the (empty) cells of its neighbours. The queue has one reference to the slab,
//! to its first cell, and goes through the others with [`SlabRef`].
//!
//! The right to a cell's contents is had from the task's own transitions, as everywhere: nothing about
//! a slab decides who runs what.
#![allow(
    unsafe_code,
    reason = "many cells of one type lie behind one head in one allocation"
)]

mod draft;

use super::cell::TaskRef;
use super::contents::{Contents, Table};
use super::stash;
use crate::report::tick::Tick;
use crate::report::{TaskId, TaskStatus};
use crate::stop::StopEvent;
use crate::stop::node::{Head, Kind, Member, Node, NodeRef};
use crate::sync::UnsafeCell;
use std::alloc::{self, Layout};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};

pub(crate) use draft::Draft;

/// About how many bytes a slab may have, and how many cells.
const MOST_BYTES: usize = 2048;
const MOST_CELLS: usize = 64;

/// What a slab begins with.
#[repr(C)]
pub(crate) struct Slab {
    /// Written by everyone who takes or gives up a reference: each joiner, for each task.
    head: Head,
    /// So that what follows, which every worker reads for every task, lies in another cache line.
    apart: [u64; 5],
    /// When it was submitted: a stamp, or zero.
    submitted: u64,
    table: &'static Table,
    /// The id of the first task; those of the others follow.
    first: TaskId,
    /// The first id of the batch that the slab is a part of.
    batch: TaskId,
    len: u32,
    /// From one cell to the next, in bytes.
    stride: u32,
    /// How many cells there was room for.
    room: u32,
    /// The cells point to it too, but own no count.
    parent: NodeRef,
}

#[repr(C)]
struct Cell<F, T> {
    node: Member,
    contents: UnsafeCell<Contents<F, T>>,
}

/// Ties what a slab needs to know of its types to them.
struct Of<F, T>(F, T);

impl<F, T> Of<F, T>
where
    F: FnOnce(&StopEvent) -> T,
{
    const TABLE: &'static Table = &Table::of::<F, T>(offset_of!(Cell<F, T>, contents), None);
    const KIND: &'static Kind = &super::life::kind(free_slab::<F, T>, 0, Self::TABLE);
    /// How far one cell lies behind the other.
    const STRIDE: u32 = {
        let stride = size_of::<Cell<F, T>>();
        assert!(
            stride <= u32::MAX as usize,
            "a closure, or its value, of over four gigabytes"
        );
        stride as u32
    };
    /// Where the first cell lies.
    const BEGIN: usize = size_of::<Slab>().next_multiple_of(align_of::<Cell<F, T>>());

    /// How many cells a slab has at most.
    #[inline]
    fn room() -> usize {
        let room = MOST_BYTES.saturating_sub(Self::BEGIN) / size_of::<Cell<F, T>>();
        room.clamp(1, MOST_CELLS)
    }

    fn layout(room: usize) -> Layout {
        let size = Self::BEGIN + room * size_of::<Cell<F, T>>();
        let align = align_of::<Slab>().max(align_of::<Cell<F, T>>());
        Layout::from_size_align(size, align).expect("a slab is small, or one cell large")
    }

    /// Where the cell lies, behind the slab's start.
    fn distance(index: usize) -> usize {
        Self::BEGIN + index * size_of::<Cell<F, T>>()
    }
}

/// # Safety
///
/// As [`Kind::free`] says; and the node is that of a cell in a slab of these types.
unsafe fn free_slab<F, T>(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef>
where
    F: FnOnce(&StopEvent) -> T,
{
    // SAFETY: no count is left, and none is given up: what is made here is not dropped.
    let last = ManuallyDrop::new(unsafe { NodeRef::from_raw(node) });
    let place = last.head()?.cast::<Slab>();
    // SAFETY: the slab was written by `Draft::finish`, and nobody else points to it any more.
    let slab = unsafe { place.read() };
    for index in 0..slab.len as usize {
        // SAFETY: inside of the allocation.
        let cell = unsafe { place.byte_add(Of::<F, T>::distance(index)) }.cast::<Member>();
        // SAFETY: it is a node of the slab; the reference is not dropped.
        let last = ManuallyDrop::new(unsafe { NodeRef::from_raw(cell.cast()) });
        last.forget_timers();
        last.is_freed();
        // SAFETY: it was written by `Draft::finish`, and is not used again. The contents beside it are
        // not dropped: whoever ended the task or held its handle has moved them out or dropped them.
        let mut member = unsafe { cell.read() };
        // The count is the slab's.
        let _lent = member.take_parent().map(NodeRef::into_raw);
    }
    let layout = Of::<F, T>::layout(slab.room as usize);
    // SAFETY: it was allocated with this layout in `Draft::new`, and is not used again.
    unsafe { alloc::dealloc(place.as_ptr().cast(), layout) };
    stash::give_back_reference(slab.parent)
}

/// The slab that the task is in, if it is in one.
#[inline]
pub(super) fn around(task: &TaskRef) -> Option<&Slab> {
    let head = task.node().head()?;
    // SAFETY: the head of a slab in which a task lies is the first field of a `Slab`, which lives as
    // long as the reference and is only ever shared.
    Some(unsafe { head.cast().as_ref() })
}

impl Slab {
    pub(super) fn submitted(&self) -> Option<Tick> {
        Tick::from_bits(self.submitted)
    }

    pub(super) fn table(&self) -> &'static Table {
        self.table
    }

    pub(super) fn id_of(&self, task: &TaskRef) -> TaskId {
        let begin = ptr::from_ref(self).addr();
        let distance = task.node().as_ptr().addr().get() - begin;
        let behind = distance - size_of::<Slab>();
        // What lies between the slab and its first cell is less than a cell.
        self.first.plus((behind / self.stride as usize) as u64)
    }
}

/// One counted reference to a slab.
///
/// Invariant: the task is the first of a slab.
pub(crate) struct SlabRef(TaskRef);

impl SlabRef {
    /// The slab of which that is the first task.
    ///
    /// # Safety
    ///
    /// It is the first task of a slab.
    pub(super) unsafe fn from_first(first: TaskRef) -> SlabRef {
        SlabRef(first)
    }

    pub(super) fn into_first(self) -> TaskRef {
        self.0
    }

    fn slab(&self) -> &Slab {
        around(&self.0).expect("a task in a slab")
    }

    pub(crate) fn len(&self) -> u32 {
        self.slab().len
    }

    /// The first id of the batch that the slab is a part of.
    pub(crate) fn batch(&self) -> TaskId {
        self.slab().batch
    }

    /// The id of the first task.
    pub(crate) fn first(&self) -> TaskId {
        self.slab().first
    }

    /// A task of the slab, without a count of its own.
    pub(crate) fn lend(&self, index: u32) -> Lent<'_> {
        self.cells().lend(index)
    }

    /// All tasks of the slab. Going through many of them, one looks at what they share only once.
    pub(crate) fn cells(&self) -> Cells<'_> {
        let slab = self.slab();
        Cells {
            first: self.0.node().as_ptr(),
            stride: slab.stride as usize,
            len: slab.len,
            lives: PhantomData,
        }
    }

    /// Whether a task among those of these indices is pending.
    pub(crate) fn has_pending(&self, range: Range<u32>) -> bool {
        self.cells().pending(range).next().is_some()
    }

    /// Those tasks among these that are pending.
    pub(crate) fn pending(&self, range: Range<u32>) -> impl Iterator<Item = TaskRef> {
        self.cells().pending(range).map(|task| task.clone())
    }
}

/// The tasks of a slab that is borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    first: NonNull<Node>,
    stride: usize,
    len: u32,
    lives: PhantomData<&'a SlabRef>,
}

impl<'a> Cells<'a> {
    /// A task of the slab, without a count of its own.
    #[inline]
    pub(crate) fn lend(self, index: u32) -> Lent<'a> {
        assert!(index < self.len, "a task of the slab");
        // SAFETY: the cells lie one after the other, and there is one of that index.
        let node = unsafe { self.first.byte_add(index as usize * self.stride) };
        // SAFETY: it is a task's node; the reference is not dropped, and the slab lives as long as
        // it is borrowed.
        Lent(
            ManuallyDrop::new(unsafe { TaskRef::lent(node) }),
            PhantomData,
        )
    }

    /// One of the references that the slab was made with, to the task of that index.
    ///
    /// # Safety
    ///
    /// This is called once for each task.
    #[inline]
    pub(crate) unsafe fn handle(self, index: u32) -> TaskRef {
        let lent = self.lend(index);
        // SAFETY: the slab was made with a count for each task, and this is the one that takes it.
        unsafe { lent.twin() }
    }

    fn pending(self, range: Range<u32>) -> impl Iterator<Item = Lent<'a>> {
        let tasks = range.map(move |index| self.lend(index));
        tasks.filter(|task| {
            let word = task.state().load();
            !word.has_begun() && !word.is_taken()
        })
    }
}

impl Clone for SlabRef {
    fn clone(&self) -> Self {
        SlabRef(self.0.clone())
    }
}

impl fmt::Debug for SlabRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab")
            .field("first", &self.first())
            .field("len", &self.len())
            .finish()
    }
}

/// A task that lives because its slab is borrowed.
pub(crate) struct Lent<'a>(ManuallyDrop<TaskRef>, PhantomData<&'a SlabRef>);

impl Lent<'_> {
    /// Whether it will never start.
    pub(crate) fn is_husk(&self) -> bool {
        self.state().load().status() == TaskStatus::NeverStarted
    }
}

impl Deref for Lent<'_> {
    type Target = TaskRef;

    fn deref(&self) -> &TaskRef {
        &self.0
    }
}

impl Borrow<TaskRef> for Lent<'_> {
    fn borrow(&self) -> &TaskRef {
        &self.0
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

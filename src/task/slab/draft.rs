//! How slabs are made: closures are put into a draft, one after the other, by whoever submits them, and nobody else knows of it until
//! it is finished.
#![allow(
    unsafe_code,
    reason = "cells are written into memory that has not been used"
)]

use super::{Cell, Of, Slab, SlabRef};
use crate::report::TaskId;
use crate::report::tick::Tick;
use crate::stop::StopEvent;
use crate::stop::node::{Head, Member, Node, NodeRef};
use crate::task::cell::TaskRef;
use crate::task::contents::Contents;
use crate::task::context;
use crate::task::state::State;
use std::alloc::{self, Layout};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// A slab to which closures are still added. Dropping it drops them.
pub(crate) struct Draft<F, T>
where
    F: FnOnce(&StopEvent) -> T,
{
    /// Room for a [`Slab`], which has not been written, and for cells, of which `len` have.
    place: NonNull<Slab>,
    len: usize,
    room: usize,
    /// What the tasks will be under.
    parent: NodeRef,
    owns: PhantomData<(F, fn() -> T)>,
}

impl<F, T> Draft<F, T>
where
    F: FnOnce(&StopEvent) -> T + Send,
    T: Send,
{
    /// With room for so many closures, and at least one.
    pub(crate) fn new(parent: NodeRef, room: usize) -> Self {
        let room = room.clamp(1, Of::<F, T>::room());
        let layout = Of::<F, T>::layout(room);
        // SAFETY: the layout has a size: that of a `Slab` at least.
        let place = NonNull::new(unsafe { alloc::alloc(layout) });
        Draft {
            place: place
                .unwrap_or_else(|| alloc::handle_alloc_error(layout))
                .cast(),
            len: 0,
            room,
            parent,
            owns: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == self.room
    }

    /// Adds a closure.
    ///
    /// # Panics
    ///
    /// If there is no room.
    pub(crate) fn push(&mut self, closure: F) {
        assert!(!self.is_full(), "there is room");
        let steps = Member::steps(Of::<F, T>::distance(self.len));
        let contents = Contents::closure(closure);
        // SAFETY: the parent's count is the slab's, which outlives its cells; what is lent here is taken
        // out before the cell is given up; nothing unwinds from here on.
        let lent = unsafe { NodeRef::from_raw(self.parent.as_ptr()) };
        let node = Member::new(State::pending(true), steps, Some(lent));
        let cell = Cell::<F, T> { node, contents };
        let place = self.cell(self.len);
        // SAFETY: the place is one for a cell, ours alone, and not in use.
        unsafe { place.write(cell) };
        self.len += 1;
    }

    /// Makes tasks of the closures, with ids that begin with `first`, or tasks that were refused. The slab has one reference for
    /// its maker, who gets it, and one for each handle, which [`Cells::handle`](super::Cells::handle) gives.
    ///
    /// # Safety
    ///
    /// The closures and the values are gone before anything that they borrow ends. (Trivially so when
    /// both are `'static`.) There is at least one closure.
    pub(crate) unsafe fn finish(
        self,
        first: TaskId,
        batch: TaskId,
        accepted: bool,
        submitted: Option<Tick>,
    ) -> SlabRef {
        let draft = ManuallyDrop::new(self);
        let (place, len) = (draft.place, draft.len);
        let small = |number: usize| u32::try_from(number).expect("a slab is small");
        // SAFETY: the draft is neither dropped nor used for its parent again.
        let parent = unsafe { ptr::read(&raw const draft.parent) };
        let slab = Slab {
            head: Head::new(small(len + 1), Of::<F, T>::KIND),
            apart: [0; 5],
            submitted: submitted.map_or(0, Tick::bits),
            table: Of::<F, T>::TABLE,
            first,
            batch,
            len: small(len),
            stride: Of::<F, T>::STRIDE,
            room: small(draft.room),
            parent,
        };
        // SAFETY: the place is for a slab, ours alone, and has not been written.
        unsafe { place.write(slab) };
        // SAFETY: the first cell is inside of the allocation.
        let node = unsafe { place.byte_add(Of::<F, T>::distance(0)) }.cast::<Node>();
        // SAFETY: the node is that of a `Member` which lies as far behind its head as it says, with a
        // pointer to the whole slab. The slab may be used and freed on any thread: closures, values
        // and payloads are `Send` and touched by one thread at a time; the rest is atomics and shared
        // data. This reference takes one of the counts.
        let node = unsafe { NodeRef::from_raw(node) };
        // SAFETY: it is that of a task in a slab.
        let slab = SlabRef(unsafe { TaskRef::from_node(node) });
        if !accepted {
            for index in 0..slab.len() {
                slab.lend(index).state().refuse();
            }
        }
        slab
    }
}

impl<F, T> Draft<F, T>
where
    F: FnOnce(&StopEvent) -> T,
{
    fn cell(&self, index: usize) -> NonNull<Cell<F, T>> {
        assert!(index < self.room, "there is room for it");
        // SAFETY: the index is below `room`, so that is inside of the allocation.
        unsafe { self.place.byte_add(Of::<F, T>::distance(index)) }.cast()
    }
}

impl<F, T> Drop for Draft<F, T>
where
    F: FnOnce(&StopEvent) -> T,
{
    fn drop(&mut self) {
        /// Frees the memory, even if a closure's drop panics.
        struct Free(NonNull<Slab>, Layout);
        impl Drop for Free {
            fn drop(&mut self) {
                // SAFETY: it was allocated with this layout in `Draft::new`, and is not used again.
                unsafe { alloc::dealloc(self.0.as_ptr().cast(), self.1) };
            }
        }
        let _free = Free(self.place, Of::<F, T>::layout(self.room));
        for index in 0..self.len {
            // SAFETY: the first `len` cells have been written, and are ours alone; each is moved out once.
            let Cell { mut node, contents } = unsafe { self.cell(index).read() };
            // The count is the slab's.
            let _lent = node.take_parent().map(NodeRef::into_raw);
            // SAFETY: the contents are a closure, which is moved out once.
            let closure = contents.with_mut(|it| unsafe { it.cast::<F>().read() });
            context::contained(|| drop(closure));
        }
    }
}

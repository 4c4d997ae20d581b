//! What lies in a task's cell: the closure, and after it the value; and the functions that know their
//! types.
//!
//! # Who may touch the contents
//!
//! The contents are the closure while the task is Pending, and from its end on the value or the
//! panic's payload. The table of `task/state.rs` says who may touch them when: every such right is
//! gained by exactly one thread with an atomic transition. The unsafe functions here name the right
//! that they use up; the callers in `task/life/` and `task/handle/` have it from the transition.
#![allow(
    unsafe_code,
    reason = "a closure and then its value live in one place behind a thin pointer"
)]

use super::cell::{Found, TaskRef};
use super::context;
use super::unwind::StopUnwind;
use crate::stop::StopEvent;
use crate::stop::node::NodeRef;
use crate::sync::{Arc, UnsafeCell};
use std::any::Any;
use std::mem::{ManuallyDrop, needs_drop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// Room for one of the three, at its start (`repr(C)`), so that a pointer to it is one to each.
#[repr(C)]
pub(super) union Contents<F, T> {
    closure: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
    /// In a box of its own: one word, so that it makes no small cell larger.
    payload: ManuallyDrop<Box<Payload>>,
}

impl<F, T> Contents<F, T> {
    pub(super) fn closure(closure: F) -> UnsafeCell<Self> {
        UnsafeCell::new(Contents {
            closure: ManuallyDrop::new(closure),
        })
    }
}

/// How a closure ended, with its value or payload left in the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Value,
    /// It was unwound by `unwind_if_stopped`; nothing is left.
    Nothing,
    /// With the panic's message, if it has one.
    Payload(Option<Arc<str>>),
}

/// Finds what lies in the room of a cell.
pub(super) type Find = fn(&TaskRef) -> Found<'_>;

/// What needs a cell's types. Each function asks for a cell of these types, with its contents that far
/// behind its node.
pub(super) struct Table {
    /// How far the contents lie behind the node, in bytes.
    offset: usize,
    pub(super) call: unsafe fn(&TaskRef, usize) -> Left,
    /// `None`: it owns nothing whose drop does something.
    pub(super) drop_closure: Option<unsafe fn(&TaskRef, usize)>,
    /// `None`: as above.
    pub(super) drop_value: Option<unsafe fn(&TaskRef, usize)>,
    pub(super) move_value: unsafe fn(&TaskRef, usize, NonNull<()>),
    pub(super) take_payload: unsafe fn(&TaskRef, usize) -> Payload,
    /// `None`: it has no room for one.
    pub(super) find: Option<Find>,
}

impl Table {
    /// For cells that have their contents `offset` bytes behind their node.
    pub(super) const fn of<F, T>(offset: usize, find: Option<Find>) -> Table
    where
        F: FnOnce(&StopEvent) -> T,
    {
        Table {
            offset,
            call: call::<F, T>,
            drop_closure: if needs_drop::<F>() {
                Some(drop_closure::<F, T>)
            } else {
                None
            },
            drop_value: if needs_drop::<T>() {
                Some(drop_value::<F, T>)
            } else {
                None
            },
            move_value: move_value::<F, T>,
            take_payload: take_payload::<F, T>,
            find,
        }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }
}

/// The contents.
///
/// # Safety
///
/// The cell is one for an `F` and a `T`, with its contents at `offset`.
unsafe fn contents<F, T>(task: &TaskRef, offset: usize) -> &UnsafeCell<Contents<F, T>> {
    // SAFETY: the pointer is valid for the whole cell, in which the contents lie there.
    let place = unsafe { task.node().as_ptr().byte_add(offset) };
    // SAFETY: they are of these types, live as long as `task` is borrowed, and are only ever shared.
    unsafe { place.cast().as_ref() }
}

/// Moves an `A` out of the contents.
///
/// # Safety
///
/// As [`contents`]; they are an `A`, and the caller's alone. Nobody moves it out twice.
unsafe fn read<F, T, A>(task: &TaskRef, offset: usize) -> A {
    // SAFETY: passed on from our caller.
    let contents = unsafe { contents::<F, T>(task, offset) };
    // SAFETY: they are an `A` and the caller's alone; it is not touched there again.
    contents.with_mut(|it| unsafe { it.cast::<A>().read() })
}

/// Leaves an `A`, which is a `T` or a boxed payload, in the contents.
///
/// # Safety
///
/// As [`contents`]; they are the caller's alone, and what was there has been moved out.
unsafe fn write<F, T, A>(task: &TaskRef, offset: usize, it: A) {
    // SAFETY: passed on from our caller.
    let contents = unsafe { contents::<F, T>(task, offset) };
    // SAFETY: the place is the caller's alone.
    contents.with_mut(|to| unsafe { to.cast::<A>().write(it) });
}

/// Calls the closure and leaves what came of it in the cell.
///
/// # Safety
///
/// The cell is one for an `F` and a `T`, with its contents at `offset`, and the caller has claimed the
/// task: the contents are the closure, and the caller's alone until it finishes the task.
unsafe fn call<F, T>(task: &TaskRef, offset: usize) -> Left
where
    F: FnOnce(&StopEvent) -> T,
{
    // SAFETY: passed on from our caller.
    let closure = unsafe { read::<F, T, F>(task, offset) };
    let event = given_event(task);
    let result = context::within(&event, || {
        catch_unwind(AssertUnwindSafe(|| closure(&event)))
    });
    match result {
        Ok(value) => {
            // SAFETY: the closure has been moved out, and the place is ours alone.
            unsafe { write::<F, T, T>(task, offset, value) };
            Left::Value
        }
        Err(payload) if payload.is::<StopUnwind>() && task.node().reads_set() => Left::Nothing,
        Err(payload) => {
            let message = super::panic_message(&*payload).map(Arc::from);
            // SAFETY: as for the value.
            unsafe { write::<F, T, Box<Payload>>(task, offset, Box::new(payload)) };
            Left::Payload(message)
        }
    }
}

/// The handle on its own event that a task's closure is lent while it runs.
fn given_event(task: &TaskRef) -> ManuallyDrop<StopEvent> {
    let node = task.node().as_ptr();
    // SAFETY: the reference is never dropped, so it gives up no count; it lives on the stack of
    // `call`, throughout which `task` is borrowed and keeps its own count.
    let event = unsafe { NodeRef::from_raw(node) };
    // SAFETY: as above.
    let observer = unsafe { NodeRef::from_raw(node) };
    ManuallyDrop::new(StopEvent::given(event, observer))
}

/// # Safety
///
/// The cell is one for an `F` and a `T`, with its contents at `offset`, and the caller has cancelled
/// the task while it was pending: the contents are the closure, and the caller's alone. Nobody drops
/// it twice.
unsafe fn drop_closure<F, T>(task: &TaskRef, offset: usize) {
    // SAFETY: passed on from our caller.
    drop(unsafe { read::<F, T, F>(task, offset) });
}

/// # Safety
///
/// The cell is one for an `F` and a `T`, with its contents at `offset`, the task has ended with a
/// value, and the value is the caller's alone. Nobody drops it or moves it out twice.
unsafe fn drop_value<F, T>(task: &TaskRef, offset: usize) {
    // SAFETY: passed on from our caller.
    drop(unsafe { read::<F, T, T>(task, offset) });
}

/// # Safety
///
/// As [`drop_value`]; and `to` is good for writing a `T`.
unsafe fn move_value<F, T>(task: &TaskRef, offset: usize, to: NonNull<()>) {
    // SAFETY: passed on from our caller.
    let value = unsafe { read::<F, T, T>(task, offset) };
    // SAFETY: the caller vouches for the place.
    unsafe { to.cast::<T>().write(value) };
}

/// # Safety
///
/// The cell is one for an `F` and a `T`, with its contents at `offset`, the task has ended with a
/// panic, and the payload is the caller's alone. Nobody takes it twice.
unsafe fn take_payload<F, T>(task: &TaskRef, offset: usize) -> Payload {
    // SAFETY: passed on from our caller.
    *unsafe { read::<F, T, Box<Payload>>(task, offset) }
}

//! What is done with a closure, and with what it left: calls through the cell's table, whose functions know the types. The right to
//! each of them is had from a transition of the task, and used up.
#![allow(
    unsafe_code,
    reason = "a closure and then its value live in one place behind a thin pointer"
)]

use super::TaskRef;
use crate::task::contents::{Left, Payload};
use crate::task::state::Word;
use crate::task::{context, group};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

impl TaskRef {
    /// Calls the closure. Whatever it does, this returns.
    ///
    /// # Safety
    ///
    /// The caller has claimed the task, and calls this once.
    #[inline]
    pub(in crate::task) unsafe fn call(&self) -> Left {
        let table = self.table();
        // SAFETY: the table is the cell's own; the rest is passed on from our caller.
        unsafe { (table.call)(self, table.offset()) }
    }

    /// Drops the closure, with a panic of its captures contained.
    ///
    /// # Safety
    ///
    /// The caller has cancelled the task while it was pending, and calls this once.
    pub(in crate::task) unsafe fn drop_closure(&self) {
        let table = self.table();
        if let Some(drop_closure) = table.drop_closure {
            context::contained(|| {
                // SAFETY: the table is the cell's own; the rest is passed on from our caller.
                unsafe { drop_closure(self, table.offset()) }
            });
        }
    }

    /// Whether the drop of the closure does anything.
    pub(in crate::task) fn owns_something(&self) -> bool {
        self.table().drop_closure.is_some()
    }

    /// Drops what the task left, with a panic contained. Tells the host of a panic that nobody
    /// will hear of otherwise.
    ///
    /// # Safety
    ///
    /// `word` is one of the task's after its end, the right to the outcome is the caller's, and it
    /// uses it once.
    pub(in crate::task) unsafe fn drop_outcome(&self, word: Word) {
        if word.has_value() {
            let table = self.table();
            if let Some(drop_value) = table.drop_value {
                context::contained(|| {
                    // SAFETY: the table is the cell's own, the task left a value, and the rest is
                    // passed on from our caller.
                    unsafe { drop_value(self, table.offset()) }
                });
            }
        } else if word.status() == crate::report::TaskStatus::Panicked {
            // SAFETY: the task left a payload; the right to it is our caller's.
            let payload = unsafe { self.take_payload() };
            // That of a member is re-raised by whoever waits for the group.
            if group::group_of(&self.0).is_none() {
                context::contained(|| {
                    let home = self.home();
                    home.host.unhandled_panic(self.id(), self.name(), &*payload);
                });
            }
            context::contained(|| drop(payload));
        }
    }

    /// Moves the value out.
    ///
    /// # Safety
    ///
    /// `T` is the type of the task's value, the task left a value, the right to the outcome is the
    /// caller's, and it uses it once.
    pub(in crate::task) unsafe fn take_value<T>(&self) -> T {
        let mut place = MaybeUninit::<T>::uninit();
        let pointer = NonNull::from(&mut place).cast::<()>();
        let table = self.table();
        // SAFETY: the table is the cell's own; the place is a `T`'s; the rest is passed on from our
        // caller.
        unsafe { (table.move_value)(self, table.offset(), pointer) };
        // SAFETY: it was written to by the line above.
        unsafe { place.assume_init() }
    }

    /// Moves the payload out.
    ///
    /// # Safety
    ///
    /// The task panicked, the right to the outcome is the caller's, and it uses it once.
    pub(in crate::task) unsafe fn take_payload(&self) -> Payload {
        let table = self.table();
        // SAFETY: the table is the cell's own; the rest is passed on from our caller.
        unsafe { (table.take_payload)(self, table.offset()) }
    }
}

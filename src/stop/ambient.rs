//! The event of the task that runs on the calling thread, and code that runs as a part of no task.
#![allow(
    unsafe_code,
    reason = "the current task's event is kept as a pointer to the running frame"
)]

use super::event::StopEvent;
use crate::sync::thread_locals;
use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// As part of what the calling thread runs.
#[derive(Clone, Copy)]
struct Current {
    /// The event of the task.
    ///
    /// Invariant: it points to a `StopEvent` that is borrowed by a call of `within` on this thread
    /// which has not returned yet.
    event: Option<NonNull<StopEvent>>,
    /// A callback, and no task within it.
    is_callback: bool,
}

thread_locals! {
    static CURRENT: Cell<Current> = const {
        Cell::new(Current {
            event: None,
            is_callback: false,
        })
    };
}

/// Runs a callback: as a part of no task, and what it polls is seen by none; with a panic contained.
pub(crate) fn call_back(code: impl FnOnce()) {
    let _restore = Restore::after_setting(Current {
        event: None,
        is_callback: true,
    });
    contained(code);
}

/// Whether a callback runs on this thread.
pub(super) fn is_in_callback() -> bool {
    CURRENT
        .try_with(Cell::get)
        .is_ok_and(|current| current.is_callback)
}

/// Puts a value back when it is dropped.
struct Restore(Current);

impl Restore {
    #[inline]
    fn after_setting(current: Current) -> Restore {
        // A thread whose local state is gone runs destructors, not tasks: there is nothing to set.
        let before = CURRENT.try_with(|cell| cell.replace(current));
        Restore(before.unwrap_or(current))
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|cell| cell.set(self.0));
    }
}

/// Runs `f` as a part of the task that was given `event`, and of no callback that may have joined it.
#[inline]
pub(crate) fn within<R>(event: &StopEvent, f: impl FnOnce() -> R) -> R {
    // The guard is dropped before the borrow of `event` ends, however `f` ends.
    let _restore = Restore::after_setting(Current {
        event: Some(NonNull::from(event)),
        is_callback: false,
    });
    f()
}

/// Runs `f` as a part of no task.
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore::after_setting(Current {
        event: None,
        is_callback: is_in_callback(),
    });
    f()
}

/// Runs foreign code that must not unwind into ours: as a part of no task, with a panic contained.
pub(crate) fn contained(f: impl FnOnce()) {
    if let Err(payload) = outside(|| catch_unwind(AssertUnwindSafe(f))) {
        dispose(payload);
    }
}

/// Drops a panic's payload, whose own drop may panic.
pub(crate) fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // It panics when it is dropped, and so may what came of that. It is leaked.
        mem::forget(second);
    }
}

/// Calls `f` with the event of the task that runs on this thread, if one does.
pub(crate) fn with_current<R>(f: impl FnOnce(&StopEvent) -> R) -> Option<R> {
    let current = CURRENT.try_with(Cell::get).ok()?.event?;
    // SAFETY: by the invariant of `Current` the event is borrowed by a call of `within` further up
    // this thread's stack, which cannot return before `f` does.
    Some(f(unsafe { current.as_ref() }))
}

/// The stop event of the task that runs on the calling thread.
///
/// It is the same event as the one that the task's closure was given, for code too deep to be handed
/// it, and polls on it count as the task seeing its stop. Outside of tasks, in callbacks and in
/// drops of what a cancelled task had captured it is [`StopEvent::never`]. Threads that a task
/// starts are outside: give them a clone.
///
/// Costs a look at the thread's local state and two counted clones: fetch it once, not at every poll.
///
/// ```
/// use stoppable::ThreadPool;
///
/// fn deep_inside() -> bool {
///     stoppable::current().is_set()
/// }
///
/// let pool = ThreadPool::new(1);
/// assert_eq!(pool.submit(|_stop| deep_inside()).join().unwrap(), false);
/// assert_eq!(deep_inside(), false);
/// ```
pub fn current() -> StopEvent {
    with_current(StopEvent::clone).unwrap_or(StopEvent::never())
}

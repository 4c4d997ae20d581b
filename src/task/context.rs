//! What a thread knows of itself: the task that it runs, and the pool that it works for.
#![allow(
    unsafe_code,
    reason = "the current task's event is kept as a pointer to the running frame"
)]

use super::cell::TaskRef;
use super::home::Home;
use crate::report::TaskId;
use crate::stop::StopEvent;
use crate::sync::thread_locals;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;

thread_locals! {
    /// The event of the task that runs on this thread.
    ///
    /// Invariant: it points to a `StopEvent` that is borrowed by a call of `within` on this thread
    /// which has not returned yet.
    static CURRENT: Cell<Option<NonNull<StopEvent>>> = const { Cell::new(None) };

    /// The pool that this thread works for.
    static WORKER: RefCell<Option<Rc<dyn Worker>>> = const { RefCell::new(None) };
}

/// A thread that can run tasks of a pool, seen from a task that it waits for.
pub(crate) trait Worker {
    /// Whether this thread works for the pool with that home.
    fn serves(&self, home: &Home) -> bool;

    /// Runs that task on this thread if it is pending, and that task only.
    fn help(&self, task: &TaskRef) -> Result<(), Circle>;

    /// Calls `wait`, which blocks until that task has moved on, unless it never would because the
    /// task waits, over any number of others, for this thread.
    fn block(&self, task: &TaskRef, wait: &mut dyn FnMut()) -> Result<(), Circle>;
}

/// The tasks that wait for each other in a circle, as far as they are known.
#[derive(Clone, Debug)]
pub(crate) struct Circle(pub(crate) Vec<TaskId>);

/// Puts a value back when it is dropped.
struct Restore(Option<NonNull<StopEvent>>);

impl Restore {
    fn after_setting(current: Option<NonNull<StopEvent>>) -> Restore {
        // A thread whose local state is gone runs destructors, not tasks: there is nothing to set.
        let before = CURRENT.try_with(|cell| cell.replace(current));
        Restore(before.unwrap_or(None))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|cell| cell.set(self.0));
    }
}

/// Runs `f` as a part of the task that was given `event`.
pub(crate) fn within<R>(event: &StopEvent, f: impl FnOnce() -> R) -> R {
    // The guard is dropped before the borrow of `event` ends, however `f` ends.
    let _restore = Restore::after_setting(Some(NonNull::from(event)));
    f()
}

/// Runs `f` as a part of no task.
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore::after_setting(None);
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
    let current = CURRENT.try_with(Cell::get).ok()??;
    // SAFETY: by the invariant of `CURRENT` the event is borrowed by a call of `within` further up
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

/// Makes the calling thread a worker until the guard is dropped.
pub(crate) fn work_for(worker: Rc<dyn Worker>) -> WorkerGuard {
    WORKER.with(|cell| *cell.borrow_mut() = Some(worker));
    WorkerGuard(())
}

pub(crate) struct WorkerGuard(());

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        let worker = WORKER.with(|cell| cell.borrow_mut().take());
        drop(worker);
    }
}

/// The worker that the calling thread is, if it is one of the pool with that home.
pub(crate) fn worker_of(home: &Home) -> Option<Rc<dyn Worker>> {
    let worker = WORKER.try_with(|cell| cell.borrow().clone()).ok()??;
    worker.serves(home).then_some(worker)
}

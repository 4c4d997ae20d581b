//! Scopes: tasks that borrow from the stack.
#![allow(
    unsafe_code,
    reason = "what tasks borrow lives for as long as their scope"
)]

use super::handle::ScopedHandle;
use super::work::Work;
use crate::pool::{Core, Submitter, ThreadPool};
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// Where a scope's tasks are submitted; see [`ThreadPool::scope`].
///
/// Tasks may borrow what lives longer than the scope (`'env`), and the scope itself, to submit more.
pub struct Scope<'scope, 'env: 'scope> {
    pub(super) work: Work,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Submits a task to the pool, under the scope's event. It may borrow whatever lives longer than the scope.
    ///
    /// As [`ThreadPool::submit`] it waits for room in a bounded queue. When the scope has been stopped, the
    /// task never starts.
    #[track_caller]
    pub fn submit<F, T>(&'scope self, closure: F) -> ScopedHandle<'scope, T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let work = &self.work;
        // SAFETY: closure and value live for `'scope`, for which this scope is borrowed. That ends after the
        // call of `Work::run` in which it is lent to its body: scopes are made by `scope` alone, and its body
        // has to do for any `'scope`, so it cannot know one that ends earlier.
        let handle = unsafe { work.submit(move |stop: &StopEvent| work.call(stop, closure)) };
        ScopedHandle::new(handle)
    }

    /// Stops the scope's tasks: those that are pending never start, the running ones are asked. The scope
    /// then ends with `Err`, unless all of its tasks had completed. True for the one call that did.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.cancel_with(StopReason::Requested)
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> bool {
        self.work.stop(&StopCause::now(reason))
    }

    /// The scope's event: above those of its tasks, and under the pool's and that of the task which opened the
    /// scope, if one did. When a poll through it finds it set, the scope ends with `Err`.
    pub fn stop_event(&self) -> StopEvent {
        self.work.stop_event()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("left", &self.work.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn scope<'env, R>(
    core: &Core,
    location: &'static Location<'static>,
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
) -> Result<R, Stopped> {
    scope_and_clear(core, location, body, || {})
}

/// As [`scope`]; calls `clear` before a panic is re-raised.
pub(super) fn scope_and_clear<'env, R>(
    core: &Core,
    location: &'static Location<'static>,
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    clear: impl FnOnce(),
) -> Result<R, Stopped> {
    let scope = Scope {
        work: Work::new(core, false, location),
        scope: PhantomData,
        env: PhantomData,
    };
    scope.work.run(|| body(&scope), clear)
}

impl ThreadPool {
    /// Runs tasks that may borrow from the caller's stack, and returns when all of them have ended.
    ///
    /// ```
    /// use stoppable::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2);
    /// let (mut low, mut high) = (vec![3, 1, 2], vec![9, 7, 8]);
    /// pool.scope(|s| {
    ///     s.submit(|_stop| low.sort());
    ///     s.submit(|_stop| high.sort());
    /// })?;
    /// assert_eq!((low, high), (vec![1, 2, 3], vec![7, 8, 9]));
    /// # Ok::<(), stoppable::Stopped>(())
    /// ```
    ///
    /// The scope has an event: under the pool's, and, if a task opens the scope, under that task's. What is
    /// set stops the scope's tasks: those that are pending never start. So a scope is stopped with whatever it
    /// is a part of.
    ///
    /// It may be opened inside a task of the same pool, and nested: the worker that waits at its end
    /// runs its tasks meanwhile, the latest first, so a pool of one thread will do. A thread outside sleeps.
    /// A shutdown with [`CancelPending`](crate::Shutdown::CancelPending) lets running tasks finish the scopes
    /// that they have opened.
    ///
    /// What a task borrows must live longer than the scope:
    ///
    /// ```compile_fail
    /// let pool = stoppable::ThreadPool::new(1);
    /// let _ = pool.scope(|s| {
    ///     let inside = String::from("gone at the end of the body");
    ///     s.submit(|_stop| inside.len());
    /// });
    /// ```
    ///
    /// nor may a handle leave the scope:
    ///
    /// ```compile_fail
    /// let pool = stoppable::ThreadPool::new(1);
    /// let handle = pool.scope(|s| s.submit(|_stop| 7));
    /// ```
    ///
    /// ```
    /// let pool = stoppable::ThreadPool::new(1);
    /// let outside = String::from("here until the scope has ended");
    /// let length = pool.scope(|s| s.submit(|_stop| outside.len()).join().unwrap());
    /// assert_eq!(length.unwrap(), 30);
    /// ```
    ///
    /// # Errors
    ///
    /// Unless all tasks completed: if one was cancelled or never started. A stop never looks like a full
    /// result. What the body returned is dropped then. The cause is the scope's, if that was stopped,
    /// or that of the first such task. Also if the body saw the [scope's event](Scope::stop_event) set.
    ///
    /// # Panics
    ///
    /// With the first panic, of a task or of the body, after the other tasks have been stopped, with
    /// [`StopReason::SiblingFailed`], and have ended.
    #[track_caller]
    pub fn scope<'env, F, R>(&self, body: F) -> Result<R, Stopped>
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        scope(self.core(), Location::caller(), body)
    }
}

impl Submitter {
    /// As [`ThreadPool::scope`].
    ///
    /// # Errors
    ///
    /// As there; and if the pool has been shut down.
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn scope<'env, F, R>(&self, body: F) -> Result<R, Stopped>
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        scope(self.core(), Location::caller(), body)
    }
}

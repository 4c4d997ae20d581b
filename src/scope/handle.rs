//! Handles on tasks of scopes.

use super::work::Work;
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use crate::task::{CancelOutcome, Canceller, Outcome, TaskError, TaskHandle};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A handle on a task of a [`Scope`](crate::Scope), and the right to its outcome.
///
/// It does what a [`TaskHandle`] does, but may not leave the scope. Dropping it detaches nothing: the
/// scope waits for the task. A handle that is leaked leaks the task's value, and nothing else.
pub struct ScopedHandle<'scope, T> {
    handle: TaskHandle<T>,
    scope: PhantomData<&'scope mut &'scope ()>,
}

impl<T> ScopedHandle<'_, T> {
    pub(super) fn new(handle: TaskHandle<T>) -> Self {
        ScopedHandle {
            handle,
            scope: PhantomData,
        }
    }

    fn back(handle: TaskHandle<T>) -> Self {
        ScopedHandle::new(handle)
    }

    /// The task's id, unique within its pool.
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// Where the task is in its life. One load.
    pub fn status(&self) -> TaskStatus {
        self.handle.status()
    }

    /// Whether the task has ended.
    pub fn is_done(&self) -> bool {
        self.handle.is_done()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.handle.name()
    }

    /// Whether the closure has not begun and may still begin.
    pub fn is_pending(&self) -> bool {
        self.handle.is_pending()
    }

    /// Whether the closure has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.handle.is_running()
    }

    /// Asks the task to stop in so much time, as [`TaskHandle::cancel_after`].
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn cancel_after(&self, duration: Duration) {
        self.handle.cancel_after(duration);
    }

    /// Blocks until the task has begun or ended, as [`TaskHandle::wait_started`].
    ///
    /// # Panics
    ///
    /// If that could never be, because the task waits for the caller.
    #[track_caller]
    pub fn wait_started(&self) {
        self.handle.wait_started();
    }

    /// Asks the task to stop, as [`TaskHandle::cancel`]. The scope then ends with `Err`, unless the task
    /// completes all the same.
    #[track_caller]
    pub fn cancel(&self) -> CancelOutcome {
        self.handle.cancel()
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> CancelOutcome {
        self.handle.cancel_with(reason)
    }

    /// The task's stop event, as [`TaskHandle::stop_event`]. It may outlive the scope.
    pub fn stop_event(&self) -> StopEvent {
        self.handle.stop_event()
    }

    /// A small clone that can cancel and look. It may outlive the scope.
    pub fn canceller(&self) -> Canceller {
        self.handle.canceller()
    }

    /// Blocks until the task has ended.
    ///
    /// # Panics
    ///
    /// If that could never be, because the task waits for the caller.
    #[track_caller]
    pub fn wait(&self) {
        self.handle.wait();
    }

    /// As [`TaskHandle::wait_timeout`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.handle.wait_timeout(timeout)
    }

    /// Blocks until the task has ended, and says how; as [`TaskHandle::outcome`]. A panic's payload goes to
    /// the scope, which re-raises it; here is a copy if it is a text, and something that says nothing if it is not.
    ///
    /// # Panics
    ///
    /// If the task could never end, because it waits for the caller.
    #[track_caller]
    pub fn outcome(self) -> Outcome<T> {
        self.handle.outcome()
    }

    /// Blocks until the task has ended, and gives its result if it completed.
    ///
    /// # Errors
    ///
    /// As [`TaskHandle::join`].
    pub fn join(self) -> Result<T, TaskError> {
        self.handle.join()
    }

    /// The result, if the task has ended. Does not block.
    ///
    /// # Errors
    ///
    /// The handle itself, if the task has not ended yet.
    pub fn try_join(self) -> Result<Result<T, TaskError>, Self> {
        self.handle.try_join().map_err(Self::back)
    }

    /// The result, if the task ends within `timeout`. Timing out stops nothing.
    ///
    /// # Errors
    ///
    /// The handle itself, if the task has not ended yet.
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Self> {
        self.handle.join_timeout(timeout).map_err(Self::back)
    }
}

impl<T> fmt::Debug for ScopedHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedHandle").field(&self.handle).finish()
    }
}

/// A handle on a task of a [`TryScope`](crate::TryScope).
///
/// Its joins give the task's success. The first error of the scope's tasks goes to the scope, which returns it; so
/// a join of a task that failed, or was stopped for it, says only that the scope has been stopped, and `?` in the scope's body
/// is enough.
pub struct TryScopedHandle<'scope, T> {
    handle: TaskHandle<Option<T>>,
    work: &'scope Work,
    scope: PhantomData<&'scope mut &'scope ()>,
}

impl<'scope, T> TryScopedHandle<'scope, T> {
    pub(super) fn new(handle: TaskHandle<Option<T>>, work: &'scope Work) -> Self {
        TryScopedHandle {
            handle,
            work,
            scope: PhantomData,
        }
    }

    /// The task's id, unique within its pool.
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// Where the task is in its life. One load. A task that returned an error has completed.
    pub fn status(&self) -> TaskStatus {
        self.handle.status()
    }

    /// Whether the task has ended.
    pub fn is_done(&self) -> bool {
        self.handle.is_done()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.handle.name()
    }

    /// Whether the closure has not begun and may still begin.
    pub fn is_pending(&self) -> bool {
        self.handle.is_pending()
    }

    /// Whether the closure has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.handle.is_running()
    }

    /// Asks the task to stop in so much time, as [`TaskHandle::cancel_after`].
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn cancel_after(&self, duration: Duration) {
        self.handle.cancel_after(duration);
    }

    /// Blocks until the task has begun or ended, as [`TaskHandle::wait_started`].
    ///
    /// # Panics
    ///
    /// If that could never be, because the task waits for the caller.
    #[track_caller]
    pub fn wait_started(&self) {
        self.handle.wait_started();
    }

    /// Asks the task to stop, as [`TaskHandle::cancel`]. The scope then ends with an error, unless the task
    /// completes all the same.
    #[track_caller]
    pub fn cancel(&self) -> CancelOutcome {
        self.handle.cancel()
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> CancelOutcome {
        self.handle.cancel_with(reason)
    }

    /// The task's stop event, as [`TaskHandle::stop_event`]. It may outlive the scope.
    pub fn stop_event(&self) -> StopEvent {
        self.handle.stop_event()
    }

    /// A small clone that can cancel and look. It may outlive the scope.
    pub fn canceller(&self) -> Canceller {
        self.handle.canceller()
    }

    /// Blocks until the task has ended.
    ///
    /// # Panics
    ///
    /// If that could never be, because the task waits for the caller.
    #[track_caller]
    pub fn wait(&self) {
        self.handle.wait();
    }

    /// As [`TaskHandle::wait_timeout`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.handle.wait_timeout(timeout)
    }

    /// Blocks until the task has ended, and gives what it succeeded with.
    ///
    /// # Errors
    ///
    /// [`Stopped`], if it did not: it failed, panicked, was cancelled, or never started. The scope returns
    /// the error itself, or re-raises the panic.
    ///
    /// # Panics
    ///
    /// If the task could never end, because it waits for the caller.
    #[track_caller]
    pub fn join(self) -> Result<T, Stopped> {
        let work = self.work;
        let failed = || {
            let cause = work.cause();
            cause.unwrap_or_else(|| StopCause::now(StopReason::SiblingFailed))
        };
        Err(Stopped::new(match self.handle.outcome() {
            Outcome::Completed(Some(value)) => return Ok(value),
            Outcome::Completed(None) | Outcome::Panicked(_) => failed(),
            Outcome::Cancelled { cause, .. } | Outcome::NeverStarted(cause) => cause,
        }))
    }
}

impl<T> fmt::Debug for TryScopedHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TryScopedHandle")
            .field(&self.handle)
            .finish()
    }
}

//! Joins: the ways to the outcome of a task. The handle has the right to it, and all of these use up the handle, or, as
//! a future, that right.
#![allow(
    unsafe_code,
    reason = "the right to the outcome is passed on from the one handle of a task"
)]

use super::TaskHandle;
use crate::report::TaskStatus;
use crate::stop::StopEvent;
use crate::stop::listeners::Topic;
use crate::task::cell::TaskRef;
use crate::task::context::{Circle, contained};
use crate::task::error::TaskError;
use crate::task::outcome::Outcome;
use crate::task::state::Word;
use crate::task::{done, life, wait};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};
use std::time::Duration;

/// What `try_join` and its kin give: the outcome, or the handle back.
type Joined<T> = Result<Result<T, TaskError>, TaskHandle<T>>;

impl<T> TaskHandle<T> {
    /// Blocks until the task has ended, and says how.
    ///
    /// # Panics
    ///
    /// If the task could never end, because it waits for the caller. [`join`](Self::join) makes an
    /// error of that.
    #[track_caller]
    pub fn outcome(self) -> Outcome<T> {
        self.wait();
        self.fetch().1
    }

    /// Blocks until the task has ended, and gives its result if it completed.
    ///
    /// # Errors
    ///
    /// If the task was cancelled, never started or panicked, or if it could never end because it
    /// waits for the caller; in this last case it goes on, detached.
    pub fn join(self) -> Result<T, TaskError> {
        match wait::wait(&self.task, Topic::Done) {
            Ok(()) => self.into_result(),
            Err(Circle(circle)) => Err(TaskError::would_deadlock(&self.task, circle)),
        }
    }

    /// As [`join`](Self::join), but a task without a pool that is pending is run here, on this thread, as is one that its pool
    /// has handed back: its [`PendingTask`](crate::PendingTask) finds nothing left to do. For joins on the threads of the
    /// executor that is to run it, where a `join` might block the only thread which could.
    ///
    /// It runs that one task and no other. A chain of such joins uses up stack, and nothing guards it here. The
    /// task runs on this thread whatever it was meant for, so do not call it where that matters. Of a task of a pool
    /// it is a `join`.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    ///
    /// ```
    /// use stoppable::PendingTask;
    ///
    /// let (_task, handle) = PendingTask::new(|_stop| 6 * 7);
    /// assert_eq!(handle.join_or_run().unwrap(), 42);
    /// ```
    pub fn join_or_run(self) -> Result<T, TaskError> {
        // The bit stays, so nobody else's task is run.
        if self.task.state().load().is_taken() {
            life::run_taken(&self.task);
        }
        self.join()
    }

    /// The result, if the task has ended. Does not block.
    ///
    /// # Errors
    ///
    /// The handle itself, if the task has not ended yet.
    pub fn try_join(self) -> Joined<T> {
        if self.is_done() {
            Ok(self.into_result())
        } else {
            Err(self)
        }
    }

    /// The result, if the task ends within `timeout`. Timing out stops nothing.
    ///
    /// # Errors
    ///
    /// The handle itself, if the task has not ended yet.
    pub fn join_timeout(self, timeout: Duration) -> Joined<T> {
        self.wait_timeout(timeout);
        self.try_join()
    }

    /// The result, when the task ends or `stop` is set, whatever comes first. Neither touches the other:
    /// the task goes on when `stop` is set.
    ///
    /// For a task that waits for others and wants to hear of its own stop meanwhile: if `stop` is its
    /// own event, it has seen its stop when it gets the handle back. On a worker of the task's own pool this runs a
    /// pending task to its end, as [`join`](Self::join) does, unless `stop` is set by then.
    ///
    /// # Errors
    ///
    /// The handle itself, if the task has not ended yet.
    ///
    /// ```
    /// use stoppable::{StopEvent, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let stop = StopEvent::new();
    /// let slow = pool.submit(|stop| stop.wait());
    /// stop.set();
    /// let slow = slow.join_or_stopped(&stop).unwrap_err();
    /// slow.cancel();
    /// ```
    pub fn join_or_stopped(self, stop: &StopEvent) -> Joined<T> {
        match wait::wait_or_stopped(&self.task, stop) {
            Ok(()) => self.try_join(),
            Err(Circle(circle)) => Ok(Err(TaskError::would_deadlock(&self.task, circle))),
        }
    }

    fn into_result(self) -> Result<T, TaskError> {
        let (task, outcome) = self.fetch();
        to_result(&task, outcome)
    }

    /// The outcome of a task that has ended.
    fn fetch(self) -> (TaskRef, Outcome<T>) {
        // From here on the outcome is fetched and not dropped.
        let handle = ManuallyDrop::new(self);
        // SAFETY: the handle is neither dropped nor used again, so its reference is moved out.
        let task = unsafe { ptr::read(&raw const handle.task) };
        let word = task.state().load();
        // SAFETY: the handle, which is gone, had what right there was to the outcome, and `T` is the
        // value's type.
        let outcome = unsafe { outcome_of(&task, word) };
        (task, outcome)
    }
}

/// The outcome of a task that has ended.
///
/// # Panics
///
/// If the handle gave it away before, as a future.
///
/// # Safety
///
/// `T` is the type of the task's value. The word is the task's after its end; if it has `HANDLE`, the right
/// to the outcome is the caller's, and it uses it once.
#[inline]
unsafe fn outcome_of<T>(task: &TaskRef, word: Word) -> Outcome<T> {
    debug_assert!(word.is_done(), "the caller has waited for the end");
    assert!(
        word.has_handle(),
        "the outcome of task {} was given away when its handle was ready as a future",
        task.id()
    );
    let cause = || {
        let cause = task.node().cause();
        cause.expect("a task that was stopped has its cause")
    };
    match word.status() {
        // SAFETY: the caller has the right to the outcome, `T` is its type, and the task left a value.
        TaskStatus::Completed => Outcome::Completed(unsafe { task.take_value() }),
        TaskStatus::Cancelled => Outcome::Cancelled {
            // SAFETY: as above.
            partial: word.has_value().then(|| unsafe { task.take_value() }),
            cause: cause(),
        },
        TaskStatus::NeverStarted => Outcome::NeverStarted(cause()),
        // SAFETY: as above, for the payload.
        _ => Outcome::Panicked(unsafe { task.take_payload() }),
    }
}

#[inline]
fn to_result<T>(task: &TaskRef, outcome: Outcome<T>) -> Result<T, TaskError> {
    match outcome {
        Outcome::Completed(value) => Ok(value),
        Outcome::Cancelled { cause, partial } => {
            contained(|| drop(partial));
            Err(TaskError::cancelled(task, cause))
        }
        Outcome::NeverStarted(cause) => Err(TaskError::never_started(task, cause)),
        Outcome::Panicked(payload) => Err(TaskError::panicked(task, payload)),
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    /// The task's result, on any runtime; that of [`join`](Self::join). A task that is pending waits for
    /// a worker: polls run nothing. Dropping the future detaches the task, and
    /// [`cancel_on_drop`](Self::cancel_on_drop) gives one whose drop cancels it.
    ///
    /// # Panics
    ///
    /// When it is polled again after it was ready; so do the joins of a handle that has given its
    /// outcome away like this.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let task = &self.task;
        if !done::wake(task, context) {
            return Poll::Pending;
        }
        let word = task.state().spend_handle();
        // SAFETY: if the word had `HANDLE`, the right to the outcome was this handle's, which uses it
        // here; from now on it does not have it any more. `T` is the value's type.
        let outcome = unsafe { outcome_of(task, word) };
        Poll::Ready(to_result(task, outcome))
    }
}

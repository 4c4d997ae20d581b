//! The handle on one task: look, cancel, wait, and fetch the outcome.
#![allow(
    unsafe_code,
    reason = "the right to the outcome is passed on from the one handle of a task"
)]

use super::cell::TaskRef;
use super::context::{Circle, contained};
use super::error::TaskError;
use super::life::{self, CancelOutcome};
use super::outcome::Outcome;
use super::wait;
use crate::report::{TaskId, TaskStatus};
use crate::stop::listeners::Topic;
use crate::stop::{StopCause, StopEvent, StopReason};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

/// A handle on one submitted task, and the right to its outcome.
///
/// Dropping the handle detaches the task: it goes on, and what it returns is dropped on the worker.
/// [`cancel_on_drop`](Self::cancel_on_drop) makes the drop cancel it instead.
///
/// # Waiting inside the pool
///
/// When a task waits for another task of its own pool that has not started, without a time limit
/// ([`join`](Self::join), [`outcome`](Self::outcome), [`wait`](Self::wait),
/// [`wait_started`](Self::wait_started)), its worker runs that one task itself, on the spot, and only
/// that one. So joins inside a pool of any size cannot starve each other. A chain of such joins uses
/// up stack; where less than half of the thread's is left, the next one runs on a spare thread of
/// the pool with a stack of its own, while the worker sleeps: never more than the pool's number of
/// threads run.
///
/// A wait that can never end, on the task itself or round a circle of tasks of one pool, is an error
/// ([`TaskError::is_would_deadlock`]) and not a silent hang. Not detected: circles that lead through
/// another pool, a thread outside, a lock or a channel.
#[must_use = "dropping the handle detaches the task; use `execute` if that is what you want"]
pub struct TaskHandle<T> {
    task: TaskRef,
    value: PhantomData<fn() -> T>,
}

/// What `try_join` and its kin give: the outcome, or the handle back.
type Joined<T> = Result<Result<T, TaskError>, TaskHandle<T>>;

impl<T> TaskHandle<T> {
    /// # Safety
    ///
    /// `T` is the type of the task's value, the task was born with `HANDLE`, and this is its only
    /// handle.
    pub(crate) unsafe fn new(task: TaskRef) -> Self {
        TaskHandle {
            task,
            value: PhantomData,
        }
    }

    /// The task's id, unique within its pool.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.task.name()
    }

    /// Where the task is in its life. One load.
    pub fn status(&self) -> TaskStatus {
        self.task.state().load().status()
    }

    /// Whether the closure has not begun and may still begin.
    pub fn is_pending(&self) -> bool {
        self.status() == TaskStatus::Pending
    }

    /// Whether the closure has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.status() == TaskStatus::Running
    }

    /// Whether the task has ended. [`try_join`](Self::try_join) then gives its result.
    pub fn is_done(&self) -> bool {
        self.task.state().load().is_done()
    }

    /// Asks the task to stop, with [`StopReason::Requested`].
    ///
    /// A pending task never starts: when this returns, its closure and all that it captured have
    /// been dropped, on this thread, its place in the queue is free and whoever waits for it is
    /// awake. Should one of these drops panic, the panic is contained. A running task has its stop
    /// event set. A task that has ended is left as it is.
    ///
    /// Not promised: that a running task stops. One that does not look at its event runs to its end
    /// and counts as completed.
    #[track_caller]
    pub fn cancel(&self) -> CancelOutcome {
        self.cancel_with(StopReason::Requested)
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> CancelOutcome {
        life::cancel(&self.task, &StopCause::now(reason))
    }

    /// Asks the task to stop in so much time, with [`StopReason::Deadline`], unless it has ended by then.
    /// A task that is still pending then never starts. Of several deadlines the earliest counts.
    #[track_caller]
    pub fn cancel_after(&self, duration: Duration) {
        if !self.is_done() {
            self.stop_event().set_after(duration);
        }
    }

    /// The task's stop event. Polls through it do not count as the task seeing its stop; setting it
    /// is as good as [`cancel`](Self::cancel).
    pub fn stop_event(&self) -> StopEvent {
        StopEvent::of(self.task.node().clone())
    }

    /// A small clone that can cancel and look, but neither wait nor fetch the outcome.
    pub fn canceller(&self) -> Canceller {
        Canceller {
            task: self.task.clone(),
        }
    }

    /// Makes the drop of the handle cancel the task instead of detaching it.
    #[track_caller]
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop {
            handle: Some(self),
            location: Location::caller(),
        }
    }

    /// Blocks until the task has ended.
    ///
    /// # Panics
    ///
    /// If that could never be, because the task waits for the caller.
    #[track_caller]
    pub fn wait(&self) {
        self.wait_or_panic(Topic::Done);
    }

    /// Blocks until the task has begun or ended.
    ///
    /// On a worker of the task's own pool this runs a pending task to its end: there may be no other
    /// thread to start it. So do not wait there for the start of a task that you mean to stop or to
    /// feed afterwards.
    ///
    /// # Panics
    ///
    /// If that could never be, because the task waits for the caller.
    #[track_caller]
    pub fn wait_started(&self) {
        self.wait_or_panic(Topic::Started);
    }

    #[track_caller]
    fn wait_or_panic(&self, topic: Topic) {
        if let Err(Circle(circle)) = wait::wait(&self.task, topic) {
            panic!("{}", TaskError::would_deadlock(&self.task, circle));
        }
    }

    /// Blocks until the task has ended, at most for `timeout`. Says whether it has; false never
    /// comes early. Timing out stops nothing.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        wait::wait_deadline(&self.task, Topic::Done, deadline)
    }

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

    fn into_result(self) -> Result<T, TaskError> {
        let (task, outcome) = self.fetch();
        match outcome {
            Outcome::Completed(value) => Ok(value),
            Outcome::Cancelled { cause, partial } => {
                contained(|| drop(partial));
                Err(TaskError::cancelled(&task, cause))
            }
            Outcome::NeverStarted(cause) => Err(TaskError::never_started(&task, cause)),
            Outcome::Panicked(payload) => Err(TaskError::panicked(&task, payload)),
        }
    }

    /// The outcome of a task that has ended.
    fn fetch(self) -> (TaskRef, Outcome<T>) {
        // From here on the outcome is fetched and not dropped.
        let handle = ManuallyDrop::new(self);
        // SAFETY: the handle is neither dropped nor used again, so its reference is moved out.
        let task = unsafe { ptr::read(&raw const handle.task) };
        let word = task.state().load();
        debug_assert!(word.is_done(), "the caller has waited for the end");
        let cause = || {
            let cause = task.node().cause();
            cause.expect("a task that was stopped has its cause")
        };
        let outcome = match word.status() {
            // SAFETY: the handle had the right to the outcome, `T` is its type, the task left a
            // value, and the handle is gone.
            TaskStatus::Completed => Outcome::Completed(unsafe { task.take_value() }),
            TaskStatus::Cancelled => Outcome::Cancelled {
                // SAFETY: as above.
                partial: word.has_value().then(|| unsafe { task.take_value() }),
                cause: cause(),
            },
            TaskStatus::NeverStarted => Outcome::NeverStarted(cause()),
            // SAFETY: as above, for the payload.
            _ => Outcome::Panicked(unsafe { task.take_payload() }),
        };
        (task, outcome)
    }
}

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        let word = self.task.state().drop_handle();
        if word.is_done() {
            // SAFETY: the task had ended when `HANDLE` was cleared, so the outcome was the handle's,
            // and this is its one use.
            unsafe { self.task.drop_outcome(word) };
        }
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_task(f, "TaskHandle", &self.task)
    }
}

fn fmt_task(f: &mut fmt::Formatter<'_>, what: &str, task: &TaskRef) -> fmt::Result {
    f.debug_struct(what)
        .field("id", &task.id())
        .field("name", &task.name())
        .field("status", &task.state().load().status())
        .finish_non_exhaustive()
}

/// Cancels and looks at one task, whatever its type; made by
/// [`TaskHandle::canceller`]. Cheap to clone; keeps neither the task's closure nor its result alive.
#[derive(Clone)]
pub struct Canceller {
    task: TaskRef,
}

impl Canceller {
    /// The task's id, unique within its pool.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.task.name()
    }

    /// Where the task is in its life. One load.
    pub fn status(&self) -> TaskStatus {
        self.task.state().load().status()
    }

    /// Whether the task has ended.
    pub fn is_done(&self) -> bool {
        self.task.state().load().is_done()
    }

    /// Asks the task to stop, as [`TaskHandle::cancel`].
    #[track_caller]
    pub fn cancel(&self) -> CancelOutcome {
        self.cancel_with(StopReason::Requested)
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> CancelOutcome {
        life::cancel(&self.task, &StopCause::now(reason))
    }
}

impl Canceller {
    /// As [`cancel_with`](Self::cancel_with), on behalf of the code at `location`.
    pub(crate) fn cancel_from(&self, reason: StopReason, location: &'static Location<'static>) {
        life::cancel(&self.task, &StopCause::at(reason, location));
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_task(f, "Canceller", &self.task)
    }
}

/// A handle whose drop cancels the task, with [`StopReason::Dropped`]; made by
/// [`TaskHandle::cancel_on_drop`]. It lends the handle, and gives it back.
#[must_use = "dropping it cancels the task"]
pub struct CancelOnDrop<T> {
    /// `None` once the handle has been given back.
    handle: Option<TaskHandle<T>>,
    location: &'static Location<'static>,
}

impl<T> CancelOnDrop<T> {
    /// Gives the handle back: dropping it detaches the task again.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the handle leaves only here, which takes the wrapper with it"
    )]
    pub fn into_inner(mut self) -> TaskHandle<T> {
        self.handle.take().expect("the handle is given back once")
    }
}

impl<T> Deref for CancelOnDrop<T> {
    type Target = TaskHandle<T>;

    fn deref(&self) -> &TaskHandle<T> {
        self.handle
            .as_ref()
            .expect("the handle is here until it is given back")
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle
                .canceller()
                .cancel_from(StopReason::Dropped, self.location);
        }
    }
}

impl<T> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.handle).finish()
    }
}

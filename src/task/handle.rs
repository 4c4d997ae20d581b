//! The handle on one task: look, cancel, wait, and fetch the outcome.
#![allow(
    unsafe_code,
    reason = "the right to the outcome is passed on from the one handle of a task"
)]

use super::canceller::{CancelOnDrop, Canceller};
use super::cell::TaskRef;
use super::context::{Circle, contained};
use super::done;
use super::error::TaskError;
use super::life::{self, CancelOutcome};
use super::outcome::Outcome;
use super::state::Word;
use super::wait;
use crate::report::{TaskId, TaskStatus};
use crate::stop::listeners::Topic;
use crate::stop::timer::Timer;
use crate::stop::{StopCause, StopEvent, StopReason};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A handle on one submitted task, and the right to its outcome.
///
/// The task is one of a pool, or one that [has none](crate::PendingTask#tasks-without-a-pool). Dropping the handle detaches the task: it goes on, and what it returns is dropped on the worker.
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

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// The task's id, unique within its pool, or among the [tasks without a pool](crate::PendingTask#tasks-without-a-pool).
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
    /// A task that is still pending then never starts. Of several such times, and a
    /// [timeout](crate::TaskBuilder::timeout), the earliest counts.
    ///
    /// # Panics
    ///
    /// As [`StopEvent::set_after`].
    #[track_caller]
    pub fn cancel_after(&self, duration: Duration) {
        if self.is_done() {
            return;
        }
        let now = Instant::now();
        match now.checked_add(duration) {
            Some(at) if at <= now => {
                self.cancel_with(StopReason::Deadline);
            }
            Some(at) => {
                let location = Location::caller();
                self.task.node().set_timer(Timer::Cancel, at, location);
            }
            // It is too far for the clock.
            None => {}
        }
    }

    /// The task's stop event. Polls through it do not count as the task seeing its stop; setting it
    /// is as good as [`cancel`](Self::cancel).
    pub fn stop_event(&self) -> StopEvent {
        StopEvent::of(self.task.node().clone())
    }

    /// A small clone that can cancel and look, but neither wait nor fetch the outcome.
    pub fn canceller(&self) -> Canceller {
        Canceller::new(self.task.clone())
    }

    /// Makes the drop of the handle cancel the task instead of detaching it.
    #[track_caller]
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop::new(self)
    }

    /// Calls `code` once, when the task has ended, with how it ended: on the thread that ended it, or at
    /// once, on this thread, if it has ended already. Several are called in the order in which they were
    /// added.
    ///
    /// It is called under no lock, as a part of no task, and a panic in it is contained. It should be
    /// short: that thread is one of the pool's workers, or whoever cancelled the task.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use stoppable::{TaskStatus, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let (tell, told) = mpsc::channel();
    /// pool.submit(|_stop| 6 * 7).on_done(move |status| tell.send(status).unwrap());
    /// assert_eq!(told.recv(), Ok(TaskStatus::Completed));
    /// ```
    pub fn on_done(&self, code: impl FnOnce(TaskStatus) + Send + 'static) {
        done::call(&self.task, code);
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

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        let word = self.task.state().drop_handle();
        if word.is_waited() {
            done::forget(&self.task);
        }
        if word.is_done() && word.has_handle() {
            // SAFETY: the task had ended, so the outcome was the handle's, which has not given it away,
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

pub(super) fn fmt_task(f: &mut fmt::Formatter<'_>, what: &str, task: &TaskRef) -> fmt::Result {
    f.debug_struct(what)
        .field("id", &task.id())
        .field("name", &task.name())
        .field("status", &task.state().load().status())
        .finish_non_exhaustive()
}

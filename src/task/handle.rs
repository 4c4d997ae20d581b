//! The handle on one task: look, cancel and wait; how the outcome is fetched lies below, in `handle/join.rs`. Whoever has
//! the handle has the right to the outcome, until the handle is dropped or has given it away.
#![allow(
    unsafe_code,
    reason = "the right to the outcome is passed on from the one handle of a task"
)]

mod join;

use super::canceller::{CancelOnDrop, Canceller};
use super::cell::TaskRef;
use super::context::Circle;
use super::done;
use super::error::TaskError;
use super::life::{self, CancelOutcome};
use super::wait;
use crate::report::{TaskId, TaskStatus};
use crate::stop::listeners::Topic;
use crate::stop::timer::Timer;
use crate::stop::{StopCause, StopEvent, StopReason};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
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

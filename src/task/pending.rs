//! Tasks that have not begun and that no pool will start: their owner does, or never.

use super::TaskHandle;
use super::cell::{Extra, TaskRef};
use super::{life, no_pool};
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCallback, StopCause, StopEvent, StopReason};
use std::fmt;
use std::panic::Location;

/// A task that has not begun, to be run wherever its owner likes: one without a pool, made by [`new`](Self::new) and
/// [`under`](Self::under), or one that its pool has handed back ([`ThreadPool::take_pending`](crate::ThreadPool::take_pending)).
///
/// Its handle is like every other: it looks, cancels, waits, joins, and is a future. Whoever waits for it waits until
/// this is run or dropped, or the task is cancelled. A task that is cancelled meanwhile never starts; what it had captured
/// is dropped and its joiners are awake at once, and what is left here is an empty shell.
/// Dropping it dooms the task, with [`StopReason::Dropped`].
///
/// On any executor:
///
/// ```
/// use std::sync::mpsc;
/// use std::thread;
/// use stoppable::PendingTask;
///
/// let (executor, jobs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
/// let thread = thread::spawn(move || jobs.into_iter().for_each(|job| job()));
///
/// let (task, handle) = PendingTask::new(|_stop| 6 * 7);
/// executor.send(Box::new(move || { task.run(); })).unwrap();
/// assert_eq!(handle.join().unwrap(), 42);
/// # drop(executor);
/// # thread.join().unwrap();
/// ```
///
/// Handed back by a pool:
///
/// ```
/// use stoppable::{Shutdown, ThreadPool};
///
/// let (old, new) = (ThreadPool::new(1), ThreadPool::new(2));
/// let held = old.submit(|stop| stop.wait());
/// held.wait_started();
/// let answer = old.submit(|_stop| 6 * 7);
/// for task in old.take_pending() {
///     new.execute(move |_stop| task.run()).unwrap();
/// }
/// assert_eq!(answer.join().unwrap(), 42);
/// let report = old.shutdown(Shutdown::StopAll);
/// assert_eq!((report.taken(), report.never_started()), (1, 0));
/// ```
///
/// # Tasks without a pool
///
/// What differs from a pool's:
///
/// - No report counts or remembers them, and nothing of them is kept once they have ended and their handles are gone.
///   Of a panic that nobody joins, only [`run`](Self::run) tells.
/// - Their ids are unique among the tasks without a pool of this process, and have nothing to do with a pool's.
/// - A join blocks, wherever it is called, also on a worker of a pool: no pool will run the task. Where the executor has
///   no other thread to run it, [`join_or_run`](TaskHandle::join_or_run) does it on the spot. A task that joins
///   itself gets an error; other circles are not found.
/// - When a deadline dooms one, what it had captured is dropped soon after by a thread that is started for that.
///
/// They cost what a pool's cost: one allocation for closure and result; another few under an event of yours.
#[must_use = "dropping it dooms the task"]
pub struct PendingTask {
    task: TaskRef,
    location: &'static Location<'static>,
    /// Dooms it when the event of the pool is set that handed it back: the pool has it in no list.
    watch: Option<StopCallback>,
}

impl PendingTask {
    /// A task without a pool, and its handle. Its event is under no other: the handle alone stops it.
    ///
    /// Blocks nowhere. See [above](Self#tasks-without-a-pool).
    ///
    /// ```
    /// use stoppable::{CancelOutcome, PendingTask, TaskStatus};
    ///
    /// let (task, handle) = PendingTask::new(|stop| stop.wait());
    /// assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
    /// assert_eq!(task.run(), TaskStatus::NeverStarted);
    /// ```
    #[track_caller]
    pub fn new<F, T>(closure: F) -> (PendingTask, TaskHandle<T>)
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (task, handle) = no_pool::birth(None, (), closure);
        (PendingTask::owning(task, Location::caller()), handle)
    }

    /// As [`new`](Self::new), under an event of yours: the task's own event is set when that one is, and if the task is
    /// still pending then it never starts. For several, give [`StopEvent::any`] of them.
    ///
    /// ```
    /// use stoppable::{PendingTask, StopEvent, StopReason};
    ///
    /// let request = StopEvent::new();
    /// let (task, handle) = PendingTask::under(&request, |_stop| "too late");
    /// request.set();
    /// let error = handle.join().unwrap_err();
    /// assert_eq!(error.cause().unwrap().reason, StopReason::Requested);
    /// # drop(task);
    /// ```
    #[track_caller]
    pub fn under<F, T>(event: &StopEvent, closure: F) -> (PendingTask, TaskHandle<T>)
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (task, handle) = no_pool::birth(event.node(), Extra::new(), closure);
        life::await_start(&task, Some(event));
        (PendingTask::owning(task, Location::caller()), handle)
    }

    /// The right to run or doom a task that has been taken from its pool, or has none.
    pub(crate) fn owning(task: TaskRef, location: &'static Location<'static>) -> PendingTask {
        PendingTask {
            task,
            location,
            watch: None,
        }
    }

    /// As [`owning`](Self::owning), for a task that the pool with this event hands back.
    pub(crate) fn taken(
        task: TaskRef,
        location: &'static Location<'static>,
        event: &StopEvent,
    ) -> PendingTask {
        let (watched, stop) = (task.clone(), event.clone());
        let watch = event.on_set(move || {
            if let Some(cause) = stop.cause() {
                // It may have ended.
                let _ = life::doom(&watched, &cause);
            }
        });
        PendingTask {
            task,
            location,
            watch: Some(watch),
        }
    }

    /// The task's id: in the pool that handed it back, or among the tasks without a pool.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.task.name()
    }

    /// Runs the task on this thread, to its end, and says how it ended. If its event is set by then, or its time to
    /// begin has passed, it never starts. A panic in it is contained, and delivered to whoever joins it: this never
    /// unwinds. If the task has been [run by a joiner](TaskHandle::join_or_run), this does nothing and does not
    /// wait for it: the status may be `Running` then.
    ///
    /// The event that it is given is still under that of the pool that handed it back: if that is set, by a shutdown that
    /// stops all or by the pool's drop, the task never starts. Inside another task it
    /// is a task of its own, which that one waits for: that one's stop does not reach it. Joins in a circle that leads
    /// through it are not found.
    pub fn run(mut self) -> TaskStatus {
        self.unwatch();
        // The drop of `self` finds it begun.
        life::run_taken(&self.task)
    }

    /// Without a wait for the watch, which owns all that it works on: if it runs, then on a thread that drops what
    /// the task had captured, and that may wait for this one.
    fn unwatch(&mut self) {
        if let Some(watch) = self.watch.take() {
            let _ = watch.remove();
        }
    }
}

impl Drop for PendingTask {
    fn drop(&mut self) {
        let cause = StopCause::at(StopReason::Dropped, self.location);
        // It may have been run, or cancelled.
        let _ = life::doom(&self.task, &cause);
        self.unwatch();
    }
}

impl fmt::Debug for PendingTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingTask")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("status", &self.task.state().load().status())
            .finish_non_exhaustive()
    }
}

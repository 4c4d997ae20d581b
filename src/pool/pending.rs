//! Tasks that were handed back before they began.

use super::ThreadPool;
use crate::report::ledger::Lane;
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCause, StopReason};
use crate::task::cell::TaskRef;
use crate::task::life;
use crate::task::slot::Slot;
use std::fmt;
use std::panic::Location;

/// A task that its pool has handed back before it began; made by [`ThreadPool::take_pending`].
///
/// Its handle stays valid: whoever waits for it waits until this is run or dropped. It can still be cancelled. Dropping
/// it dooms the task, with [`StopReason::Dropped`].
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
#[must_use = "dropping it dooms the task"]
pub struct PendingTask {
    task: TaskRef,
    location: &'static Location<'static>,
}

impl PendingTask {
    /// The task's id in the pool that handed it back.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.task.name()
    }

    /// Runs the task on this thread, to its end, and says how it ended. If its event is set by then, or its time to
    /// begin has passed, it never starts.
    ///
    /// The event that it is given is still under that of the pool that handed it back. Inside another task it
    /// is a task of its own, which that one waits for: that one's stop does not reach it. Joins in a circle that leads
    /// through it are not found.
    pub fn run(self) -> TaskStatus {
        let task = self.task.clone();
        let cause = match task.expired() {
            Some(location) => Some(StopCause::at(StopReason::Deadline, location)),
            None => task.node().cause(),
        };
        if let Some(cause) = cause {
            life::cancel(&task, &cause);
        } else if let Ok(claimed) = life::claim_taken(task.clone()) {
            // Nobody counts it, and nobody looks.
            claimed.run(&Lane::new(), &Slot::new(false));
        }
        // The drop of `self` finds it ended.
        task.state().load().status()
    }
}

impl Drop for PendingTask {
    fn drop(&mut self) {
        let cause = StopCause::at(StopReason::Dropped, self.location);
        // It may have been run, or cancelled.
        let _ = life::doom(&self.task, &cause);
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

impl ThreadPool {
    /// Hands back every pending task, in order, and leaves the pool open: to be run here, inside a task of another
    /// pool, or dropped. Their handles stay valid.
    ///
    /// For the pool they have gone: they are counted as [taken](crate::Stats::taken), and a shutdown does not wait for them.
    /// The tasks of scopes are not taken, since whoever opened the scope waits for them.
    #[track_caller]
    pub fn take_pending(&self) -> Vec<PendingTask> {
        let location = Location::caller();
        let tasks = self.core.shared.take_pending(&self.core.home).into_iter();
        tasks.map(|task| PendingTask { task, location }).collect()
    }
}

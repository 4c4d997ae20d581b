//! Groups that are owned.
#![allow(unsafe_code, reason = "the tasks of an owned group borrow nothing")]

use super::work::Work;
use crate::pool::{Submitter, ThreadPool};
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use crate::sync::Arc;
use crate::task::TaskHandle;
use std::fmt;
use std::panic::{Location, resume_unwind};
use std::time::{Duration, Instant};

/// Tasks that are stopped and waited for together; made by [`ThreadPool::group`].
///
/// It has a scope's verbs without its block: it may be kept in a struct, its tasks borrow nothing, and it takes
/// more tasks after a [`wait`](Self::wait). Once it has been stopped it stays so: what is submitted from then on never
/// starts. Dropping it stops its tasks, with [`StopReason::Dropped`], and does not wait for them.
///
/// ```
/// use stoppable::ThreadPool;
///
/// let pool = ThreadPool::new(2);
/// let group = pool.group();
/// let squares: Vec<_> = (0..4).map(|n| group.submit(move |_stop| n * n)).collect();
/// group.wait()?;
/// let squares: Vec<i32> = squares.into_iter().map(|it| it.join().unwrap()).collect();
/// assert_eq!(squares, [0, 1, 4, 9]);
/// group.cancel();
/// assert!(group.submit(|_stop| ()).join().unwrap_err().is_never_started());
/// # Ok::<(), stoppable::Stopped>(())
/// ```
#[must_use = "dropping the group stops its tasks"]
pub struct TaskGroup {
    work: Arc<Work>,
    location: &'static Location<'static>,
}

impl TaskGroup {
    /// Submits a task to the pool, under the group's event. A panic in it stops the other tasks.
    ///
    /// As [`ThreadPool::submit`] it waits for room in a bounded queue.
    #[track_caller]
    pub fn submit<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let work = Arc::clone(&self.work);
        let closure = move |stop: &StopEvent| work.call(stop, closure);
        // SAFETY: both are `'static`.
        unsafe { self.work.submit(closure) }
    }

    /// Stops the group's tasks: those that are pending never start, the running ones are asked. True for the
    /// one call that did.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.cancel_with(StopReason::Requested)
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> bool {
        self.work.stop(&StopCause::now(reason))
    }

    /// The group's event: above those of its tasks, and under the pool's and that of the task which made the
    /// group, if one did.
    pub fn stop_event(&self) -> StopEvent {
        self.work.stop_event()
    }

    /// How many of its tasks have not ended, or still drop what they had captured: it may be a moment behind their
    /// handles.
    pub fn len(&self) -> usize {
        self.work.len()
    }

    /// Whether all of its tasks have ended, as for [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Blocks until all tasks of the group have ended. A worker of the pool runs those that are pending
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Unless all tasks completed that have ended since the last call; and once the group has been stopped.
    ///
    /// # Panics
    ///
    /// With the first panic of one of its tasks, once. And if it could never end, because a task of the group waits
    /// for the caller, or is the caller.
    #[track_caller]
    pub fn wait(&self) -> Result<(), Stopped> {
        self.work.wait();
        self.result()
    }

    /// As [`wait`](Self::wait), at most for `timeout`, and a worker of the pool runs nothing meanwhile. `None`: there are
    /// tasks that have not ended. Timing out stops nothing.
    ///
    /// # Panics
    ///
    /// With the first panic of one of its tasks, once, if all have ended.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<(), Stopped>> {
        let deadline = Instant::now().checked_add(timeout);
        self.work.wait_until(deadline).then(|| self.result())
    }

    fn result(&self) -> Result<(), Stopped> {
        if let Some(payload) = self.work.take_panic() {
            resume_unwind(payload);
        }
        let stopped = self.work.take_stop();
        let cause = || self.work.cause().map(Stopped::new);
        stopped.or_else(cause).map_or(Ok(()), Err)
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        self.work
            .stop(&StopCause::at(StopReason::Dropped, self.location));
        self.work.close();
        // `stop` takes no task off the list if the event was set before, with the pool's.
        self.work.forget();
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("len", &self.len())
            .field("stopped", &self.work.cause())
            .finish_non_exhaustive()
    }
}

impl ThreadPool {
    /// An empty group of tasks that are stopped and waited for together.
    #[track_caller]
    pub fn group(&self) -> TaskGroup {
        let location = Location::caller();
        TaskGroup {
            work: Arc::new(Work::new(self.core(), true, location)),
            location,
        }
    }
}

impl Submitter {
    /// As [`ThreadPool::group`].
    #[track_caller]
    pub fn group(&self) -> TaskGroup {
        let location = Location::caller();
        TaskGroup {
            work: Arc::new(Work::new(self.core(), true, location)),
            location,
        }
    }
}

//! Submits to a pool that it does not keep alive.

use super::refusal::SubmitError;
use super::shared::Core;
use super::task_builder::TaskBuilder;
use crate::report::TaskId;
use crate::stop::StopEvent;
use crate::task::TaskHandle;
use std::fmt;

/// Submits to a pool without keeping it alive; made by [`ThreadPool::submitter`](super::ThreadPool::submitter). Cheap to clone.
///
/// Once the pool is being shut down or has been dropped, what is submitted is refused.
///
/// ```
/// use stoppable::{Shutdown, ThreadPool};
///
/// let pool = ThreadPool::new(1);
/// let submitter = pool.submitter();
/// pool.submit(move |_stop| {
///     submitter.submit(|_stop| println!("submitted by a task")).join()
/// });
/// let report = pool.shutdown(Shutdown::Drain);
/// assert_eq!(report.completed(), 2);
/// ```
#[derive(Clone)]
pub struct Submitter {
    core: Core,
}

impl Submitter {
    pub(super) fn new(core: Core) -> Submitter {
        Submitter { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// As [`ThreadPool::submit`](super::ThreadPool::submit).
    #[track_caller]
    pub fn submit<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.submit_plain(closure)
    }

    /// As [`ThreadPool::try_submit`](super::ThreadPool::try_submit).
    ///
    /// # Errors
    ///
    /// If the queue is full, or the pool is being shut down, with the closure.
    pub fn try_submit<F, T>(&self, closure: F) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.try_submit_plain(closure)
    }

    /// As [`ThreadPool::execute`](super::ThreadPool::execute).
    ///
    /// # Errors
    ///
    /// If the pool is being shut down, with the closure.
    pub fn execute<F, T>(&self, closure: F) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.execute_plain(closure)
    }

    /// As [`ThreadPool::submit_all`](super::ThreadPool::submit_all).
    #[track_caller]
    pub fn submit_all<I, F, T>(&self, closures: I) -> Vec<TaskHandle<T>>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.submit_all(closures)
    }

    /// Sets up a task in more detail.
    #[track_caller]
    pub fn task(&self) -> TaskBuilder<'_> {
        TaskBuilder::new(&self.core)
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter")
            .field("pool", &self.core.shared.name)
            .finish_non_exhaustive()
    }
}

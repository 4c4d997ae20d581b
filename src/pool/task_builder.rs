//! Setting up one task in more detail.

use super::refusal::SubmitError;
use super::shared::Core;
use crate::report::TaskId;
use crate::stop::StopEvent;
use crate::stop::timer;
use crate::sync::Arc;
use crate::task::TaskHandle;
use crate::task::cell::Extra;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Sets up one task; made by [`ThreadPool::task`](crate::ThreadPool::task).
///
/// ```
/// use stoppable::ThreadPool;
///
/// let pool = ThreadPool::new(1);
/// let handle = pool.task().name("answer").submit(|_stop| 6 * 7);
/// assert_eq!(handle.name(), Some("answer"));
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
#[derive(Debug)]
#[must_use = "nothing is submitted until `submit` is called"]
pub struct TaskBuilder<'a> {
    core: &'a Core,
    extra: Extra,
    under: Option<StopEvent>,
}

impl<'a> TaskBuilder<'a> {
    #[track_caller]
    pub(super) fn new(core: &'a Core) -> Self {
        TaskBuilder {
            core,
            extra: Extra::new(),
            under: None,
        }
    }

    /// The task's name, for errors and reports.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.extra.name = Some(name.into());
        self
    }

    /// How long the task may run, from its start: its event is set then, with
    /// [`StopReason::Deadline`](crate::StopReason::Deadline). A task that does not look runs on.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoppable::{Outcome, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let handle = pool.task().timeout(Duration::from_millis(5)).submit(|stop| stop.wait());
    /// assert!(matches!(handle.outcome(), Outcome::Cancelled { .. }));
    /// ```
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.extra.timeout = Some(timeout);
        self.extra.location = Location::caller();
        self
    }

    /// When the task has to have begun. If it is still pending then, it never starts, with
    /// [`StopReason::Deadline`](crate::StopReason::Deadline); what it captured is dropped by a thread of the pool.
    #[track_caller]
    pub fn start_before(mut self, at: Instant) -> Self {
        self.extra.start_before = Some(at);
        self.extra.location = Location::caller();
        self
    }

    /// Puts the task under an event of yours, besides the pool's: its own event is set when that one is,
    /// and if it is still pending then it never starts. Called again, under all of them.
    ///
    /// ```
    /// use stoppable::{StopEvent, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let request = StopEvent::new();
    /// let handle = pool.task().stop_with(&request).submit(|stop| stop.wait());
    /// handle.wait_started();
    /// request.set();
    /// assert!(handle.join().unwrap_err().is_cancelled());
    /// ```
    pub fn stop_with(mut self, event: &StopEvent) -> Self {
        self.under = Some(match self.under {
            Some(other) => StopEvent::any([&other, event]),
            None => event.clone(),
        });
        self
    }

    /// Nothing may fail when the task has been accepted.
    fn get_ready(&mut self) {
        self.extra.submitted = self.core.stamp();
        if self.extra.timeout.is_some() || self.extra.start_before.is_some() {
            timer::start();
        }
    }

    /// As [`ThreadPool::submit`](crate::ThreadPool::submit).
    ///
    /// # Panics
    ///
    /// With a time limit, if the operating system refuses the one thread that serves all of the process; as do
    /// the two below.
    #[track_caller]
    pub fn submit<F, T>(mut self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.get_ready();
        self.core.submit(self.under.as_ref(), self.extra, closure)
    }

    /// As [`ThreadPool::try_submit`](crate::ThreadPool::try_submit).
    ///
    /// # Errors
    ///
    /// If there is no room or the pool is being shut down, with the closure.
    pub fn try_submit<F, T>(mut self, closure: F) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.get_ready();
        self.core
            .try_submit(self.under.as_ref(), self.extra, closure)
    }

    /// As [`ThreadPool::execute`](crate::ThreadPool::execute).
    ///
    /// # Errors
    ///
    /// If the pool is being shut down, with the closure.
    pub fn execute<F, T>(mut self, closure: F) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.get_ready();
        self.core.execute(self.under.as_ref(), self.extra, closure)
    }
}

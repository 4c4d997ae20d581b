//! Cancelling without waiting: from elsewhere, and by a drop.

use super::cell::TaskRef;
use super::error::TaskError;
use super::handle::{TaskHandle, fmt_task};
use super::life::{self, CancelOutcome};
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCause, StopReason};
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Cancels and looks at one task, whatever its type; made by
/// [`TaskHandle::canceller`]. Cheap to clone; keeps neither the task's closure nor its result alive.
#[derive(Clone)]
pub struct Canceller {
    task: TaskRef,
}

impl Canceller {
    pub(super) fn new(task: TaskRef) -> Self {
        Canceller { task }
    }

    /// The task's id, as [`TaskHandle::id`].
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
    #[track_caller]
    pub(super) fn new(handle: TaskHandle<T>) -> Self {
        CancelOnDrop {
            handle: Some(handle),
            location: Location::caller(),
        }
    }

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

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, TaskError>;

    /// As for [`TaskHandle`]; dropped before it is ready, it cancels the task.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let handle = self.handle.as_mut();
        let handle = handle.expect("the handle is here until it is given back");
        Pin::new(handle).poll(context)
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

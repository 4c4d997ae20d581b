//! What is known of one task.

use super::ledger::Entry;
use super::status::{TaskId, TaskStatus};
use crate::stop::StopCause;
use crate::stop::clock::Stamp;
use crate::sync::Arc;
use std::fmt;
use std::time::Duration;

/// One task that did not complete, in a [`ShutdownReport`](crate::ShutdownReport).
#[derive(Clone, Debug)]
pub struct TaskDetail {
    status: TaskStatus,
    entry: Entry,
}

impl TaskDetail {
    pub(super) fn new(status: TaskStatus, entry: &Entry) -> Self {
        TaskDetail {
            status,
            entry: entry.clone(),
        }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.entry.id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.entry.name.as_deref()
    }

    /// How the task ended.
    pub fn status(&self) -> TaskStatus {
        self.status
    }

    /// What its panic said, if it panicked with a message.
    pub fn panic_message(&self) -> Option<&str> {
        self.entry.message.as_deref()
    }

    /// Why it was stopped; `None` for a task that panicked and had not been asked to stop.
    pub fn cause(&self) -> Option<&StopCause> {
        self.entry.cause.as_ref()
    }

    /// How long it waited to be started, or until it was clear that it would not be. Known with
    /// [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn waited(&self) -> Option<Duration> {
        self.entry.times.waited
    }

    /// How long it ran. Known with [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn ran(&self) -> Option<Duration> {
        self.entry.times.ran
    }

    /// How long it took from when it was asked to stop until it first saw that. `None` if it was not asked
    /// while it ran, or did not look.
    pub fn asked_to_seen(&self) -> Option<Duration> {
        self.entry.times.latency?.seen
    }

    /// How long it took from when it was asked to stop until it ended. `None` if it was not asked while it ran.
    pub fn asked_to_ended(&self) -> Option<Duration> {
        Some(self.entry.times.latency?.ended)
    }
}

/// A task that was still running when a [`ShutdownReport`](crate::ShutdownReport) was made.
#[derive(Clone, Debug)]
pub struct Straggler(TaskSnapshot);

impl Straggler {
    pub(crate) fn new(snapshot: TaskSnapshot) -> Self {
        Straggler(snapshot)
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.0.id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }

    /// Why, when and by whom the task was asked to stop; `None` if it was not asked.
    pub fn cause(&self) -> Option<&StopCause> {
        self.0.cause()
    }

    /// How long ago, when the report was made, it had been asked to stop, if it had.
    pub fn asked_ago(&self) -> Option<Duration> {
        self.0.asked_ago()
    }

    /// Whether the task has looked at its stop event since it was set.
    pub fn has_looked(&self) -> bool {
        self.0.has_looked
    }

    /// How long it took from when it was asked until it first saw that, if it has.
    pub fn asked_to_seen(&self) -> Option<Duration> {
        self.0.asked_to_seen()
    }

    /// How long it waited to be started. Known with [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn waited(&self) -> Option<Duration> {
        self.0.waited()
    }

    /// How long it had been running when the report was made. Known with
    /// [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn running_for(&self) -> Option<Duration> {
        self.0.running_for()
    }
}

/// A task that has not ended, as it was at one moment; made by
/// [`ThreadPool::tasks`](crate::ThreadPool::tasks).
#[derive(Clone)]
pub struct TaskSnapshot {
    pub(crate) id: TaskId,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) status: TaskStatus,
    pub(crate) cause: Option<StopCause>,
    pub(crate) has_looked: bool,
    pub(crate) seen: Option<Stamp>,
    pub(crate) waited: Option<Duration>,
    pub(crate) running_for: Option<Duration>,
    /// When this was.
    pub(crate) now: Stamp,
}

impl TaskSnapshot {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Pending or running.
    pub fn status(&self) -> TaskStatus {
        self.status
    }

    /// Why, when and by whom the task was asked to stop, if it was.
    pub fn cause(&self) -> Option<&StopCause> {
        self.cause.as_ref()
    }

    /// How long ago it was asked to stop, if it was.
    pub fn asked_ago(&self) -> Option<Duration> {
        Some(self.now.since(Stamp::of(self.cause.as_ref()?.at)))
    }

    /// Whether the task has looked at its stop event since it was set.
    pub fn has_looked(&self) -> bool {
        self.has_looked
    }

    /// How long it took from when it was asked until it first saw that, if it has.
    pub fn asked_to_seen(&self) -> Option<Duration> {
        Some(self.seen?.since(Stamp::of(self.cause.as_ref()?.at)))
    }

    /// How long it has been waiting, or waited until it started. Known with
    /// [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// For how long it has been running. Known with [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn running_for(&self) -> Option<Duration> {
        self.running_for
    }
}

impl fmt::Debug for TaskSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSnapshot")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("status", &self.status)
            .field("cause", &self.cause)
            .field("has_looked", &self.has_looked)
            .field("waited", &self.waited())
            .field("running_for", &self.running_for())
            .finish_non_exhaustive()
    }
}

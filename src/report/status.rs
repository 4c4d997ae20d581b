//! What a task is called and where it is in its life.

use std::fmt;

/// Names one task of one pool.
///
/// Ids are dense, start at 0, rise in each thread's submission order and are never reused. Ids of
/// different pools have nothing to do with each other. [Tasks without a pool](crate::PendingTask#tasks-without-a-pool) have ids of
/// their own, of which there is one row in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    pub(crate) const fn new(id: u64) -> Self {
        TaskId(id)
    }

    /// The id that comes so many after this one.
    pub(crate) const fn plus(self, count: u64) -> Self {
        TaskId(self.0 + count)
    }

    /// The id as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<TaskId> for u64 {
    fn from(id: TaskId) -> u64 {
        id.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Where a task is in its life. The last four are terminal: a task reaches exactly one of them, and
/// stays there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// Accepted; the closure has not begun.
    Pending,
    /// The closure has begun.
    Running,
    /// The closure returned, and had not seen its stop event set.
    Completed,
    /// The closure began, saw its stop event set, and ended.
    Cancelled,
    /// The closure never began and never will.
    NeverStarted,
    /// The closure unwound with a panic.
    Panicked,
}

impl TaskStatus {
    /// Whether the status is final.
    pub const fn is_done(self) -> bool {
        !matches!(self, TaskStatus::Pending | TaskStatus::Running)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TaskStatus::Pending => "pending",
            TaskStatus::Running => "running",
            TaskStatus::Completed => "completed",
            TaskStatus::Cancelled => "cancelled",
            TaskStatus::NeverStarted => "never started",
            TaskStatus::Panicked => "panicked",
        })
    }
}

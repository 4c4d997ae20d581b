//! Why there is no result.

use super::cell::{Payload, TaskRef};
use crate::report::TaskId;
use crate::stop::StopCause;
use crate::sync::Arc;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Why a join gave no result: the task did not complete, or the join could never end.
///
/// It is `Send + Sync + 'static`, so `?` takes it into any error type, and its text has the task's id
/// and name.
pub struct TaskError {
    id: TaskId,
    name: Option<Arc<str>>,
    kind: Kind,
}

enum Kind {
    Cancelled(StopCause),
    NeverStarted(StopCause),
    /// In a lock because a payload need not be `Sync`. It is never waited for.
    Panicked(Mutex<Payload>, Option<String>),
    WouldDeadlock(Vec<TaskId>),
}

/// The kinds of [`TaskError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The task saw its stop event set, and ended.
    Cancelled,
    /// The task never began.
    NeverStarted,
    /// The task panicked.
    Panicked,
    /// The task waits for the one that joined it, so the join would never have ended; or it is to be
    /// run by the one that joins it, and there is neither stack nor a thread left to run it on. The
    /// task itself goes on.
    WouldDeadlock,
}

impl TaskError {
    fn new(task: &TaskRef, kind: Kind) -> Self {
        TaskError {
            id: task.id(),
            name: task.shared_name().cloned(),
            kind,
        }
    }

    pub(crate) fn cancelled(task: &TaskRef, cause: StopCause) -> Self {
        TaskError::new(task, Kind::Cancelled(cause))
    }

    pub(crate) fn never_started(task: &TaskRef, cause: StopCause) -> Self {
        TaskError::new(task, Kind::NeverStarted(cause))
    }

    pub(crate) fn panicked(task: &TaskRef, payload: Payload) -> Self {
        let message = panic_message(&*payload).map(str::to_owned);
        TaskError::new(task, Kind::Panicked(Mutex::new(payload), message))
    }

    pub(crate) fn would_deadlock(task: &TaskRef, circle: Vec<TaskId>) -> Self {
        TaskError::new(task, Kind::WouldDeadlock(circle))
    }

    /// What kind of error it is.
    pub fn kind(&self) -> TaskErrorKind {
        match self.kind {
            Kind::Cancelled(_) => TaskErrorKind::Cancelled,
            Kind::NeverStarted(_) => TaskErrorKind::NeverStarted,
            Kind::Panicked(..) => TaskErrorKind::Panicked,
            Kind::WouldDeadlock(_) => TaskErrorKind::WouldDeadlock,
        }
    }

    /// Whether the task saw its stop event set, and ended.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == TaskErrorKind::Cancelled
    }

    /// Whether the task never began.
    pub fn is_never_started(&self) -> bool {
        self.kind() == TaskErrorKind::NeverStarted
    }

    /// Whether the task panicked.
    pub fn is_panicked(&self) -> bool {
        self.kind() == TaskErrorKind::Panicked
    }

    /// Whether the join could never have ended.
    pub fn is_would_deadlock(&self) -> bool {
        self.kind() == TaskErrorKind::WouldDeadlock
    }

    /// The id of the task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name of the task, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Why the task was stopped, if it was.
    pub fn cause(&self) -> Option<&StopCause> {
        match &self.kind {
            Kind::Cancelled(cause) | Kind::NeverStarted(cause) => Some(cause),
            Kind::Panicked(..) | Kind::WouldDeadlock(_) => None,
        }
    }

    /// The panic's payload, for [`std::panic::resume_unwind`], or the error itself if the task did
    /// not panic.
    ///
    /// # Errors
    ///
    /// The error itself, if it is of another kind.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send + 'static>, TaskError> {
        match self.kind {
            Kind::Panicked(payload, _) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            kind => Err(TaskError { kind, ..self }),
        }
    }
}

/// The text of a panic's payload, when it has one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match &self.kind {
            Kind::Cancelled(cause) => write!(f, " was cancelled: {cause}"),
            Kind::NeverStarted(cause) => write!(f, " never started: {cause}"),
            Kind::Panicked(_, Some(message)) => write!(f, " panicked: {message}"),
            Kind::Panicked(_, None) => f.write_str(" panicked"),
            Kind::WouldDeadlock(circle) if circle.is_empty() => {
                f.write_str(" was not joined: there is no stack left to run it on")
            }
            Kind::WouldDeadlock(circle) => {
                f.write_str(" was not joined: it waits for the task that joins it")?;
                for (n, id) in circle.iter().enumerate() {
                    f.write_str(if n == 0 { " (" } else { " → " })?;
                    write!(f, "{id}")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskError")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("kind", &self.kind())
            .field("cause", &self.cause())
            .finish_non_exhaustive()
    }
}

impl Error for TaskError {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::samples;

    #[test]
    fn a_join_that_could_never_end_says_why() {
        let task = samples::task(&samples::home());
        let text = |circle| TaskError::would_deadlock(&task, circle).to_string();
        let id = task.id();
        assert_eq!(
            text(Vec::new()),
            format!("task {id} was not joined: there is no stack left to run it on")
        );
        assert_eq!(
            text(vec![id, id]),
            format!("task {id} was not joined: it waits for the task that joins it ({id} → {id})")
        );
    }
}

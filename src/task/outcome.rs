//! How a task ended, with everything that it left.

use crate::report::TaskStatus;
use crate::stop::StopCause;
use std::any::Any;
use std::fmt;

/// How a task ended; made by [`TaskHandle::outcome`](crate::TaskHandle::outcome).
#[must_use = "the outcome says whether the task completed"]
pub enum Outcome<T> {
    /// The closure returned this, and had not seen its stop event set.
    Completed(T),
    /// The closure began, saw its stop event set, and ended.
    Cancelled {
        /// What the closure returned: a partial result. `None` if it was unwound by
        /// [`unwind_if_stopped`](crate::unwind_if_stopped).
        partial: Option<T>,
        /// Why it was stopped, by whom and when.
        cause: StopCause,
    },
    /// The closure never began.
    NeverStarted(StopCause),
    /// The closure unwound with this panic payload.
    Panicked(Box<dyn Any + Send + 'static>),
}

impl<T> Outcome<T> {
    /// The terminal status that this outcome belongs to.
    pub fn status(&self) -> TaskStatus {
        match self {
            Outcome::Completed(_) => TaskStatus::Completed,
            Outcome::Cancelled { .. } => TaskStatus::Cancelled,
            Outcome::NeverStarted(_) => TaskStatus::NeverStarted,
            Outcome::Panicked(_) => TaskStatus::Panicked,
        }
    }

    /// The result of a task that completed.
    pub fn completed(self) -> Option<T> {
        match self {
            Outcome::Completed(value) => Some(value),
            _ => None,
        }
    }

    /// What the task returned, whole or partial.
    pub fn into_value(self) -> Option<T> {
        match self {
            Outcome::Completed(value) => Some(value),
            Outcome::Cancelled { partial, .. } => partial,
            Outcome::NeverStarted(_) | Outcome::Panicked(_) => None,
        }
    }

    /// Why the task was stopped, if it was.
    pub fn cause(&self) -> Option<&StopCause> {
        match self {
            Outcome::Cancelled { cause, .. } | Outcome::NeverStarted(cause) => Some(cause),
            Outcome::Completed(_) | Outcome::Panicked(_) => None,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Completed(value) => f.debug_tuple("Completed").field(value).finish(),
            Outcome::Cancelled { partial, cause } => f
                .debug_struct("Cancelled")
                .field("partial", partial)
                .field("cause", cause)
                .finish(),
            Outcome::NeverStarted(cause) => f.debug_tuple("NeverStarted").field(cause).finish(),
            Outcome::Panicked(payload) => f
                .debug_tuple("Panicked")
                .field(&super::error::panic_message(&**payload).unwrap_or("Any"))
                .finish(),
        }
    }
}

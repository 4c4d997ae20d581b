//! Why something was stopped: the reason, and who gave it, when and where.

use crate::sync::Arc;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::time::Instant;

/// Why a stop event was set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody asked: [`StopEvent::set`](crate::StopEvent::set), or `cancel` on a handle.
    Requested,
    /// A time limit passed.
    Deadline,
    /// The pool is being shut down: a mode of shutdown, its stop event, or its drop.
    Shutdown,
    /// Another task of the same scope or race failed, or won.
    SiblingFailed,
    /// A guard that stops on drop was dropped, or a task that was taken out of its queue.
    Dropped,
    /// A reason in the caller's own words.
    Custom(Arc<str>),
}

impl StopReason {
    /// A reason in the caller's own words.
    ///
    /// ```
    /// use stoppable::{StopEvent, StopReason};
    ///
    /// let stop = StopEvent::new();
    /// stop.set_with(StopReason::custom("a newer search was started"));
    /// assert_eq!(stop.reason().unwrap().to_string(), "a newer search was started");
    /// ```
    pub fn custom(words: impl Into<Arc<str>>) -> Self {
        StopReason::Custom(words.into())
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Requested => "requested",
            StopReason::Deadline => "deadline passed",
            StopReason::Shutdown => "shut down",
            StopReason::SiblingFailed => "a sibling failed",
            StopReason::Dropped => "dropped",
            StopReason::Custom(words) => words,
        })
    }
}

/// Why, when and where a stop event was set. The first setter's cause stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopCause {
    /// Why.
    pub reason: StopReason,
    /// When the setter called.
    pub at: Instant,
    /// The line of the caller's code that set it.
    pub location: &'static Location<'static>,
}

impl StopCause {
    /// Now, on behalf of the code at `location`.
    pub(crate) fn at(reason: StopReason, location: &'static Location<'static>) -> Self {
        StopCause {
            reason,
            at: Instant::now(),
            location,
        }
    }

    /// Now, on behalf of the caller.
    #[track_caller]
    pub(crate) fn now(reason: StopReason) -> Self {
        StopCause::at(reason, Location::caller())
    }
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.reason, self.location)
    }
}

/// The error of code that ended early because its stop event was set.
///
/// It is made by [`StopEvent::check`](crate::StopEvent::check) and
/// [`StopEvent::sleep`](crate::StopEvent::sleep), is one word large, and converts into
/// [`std::io::Error`], so that `stop.check()?` works in functions that return `io::Result`. The kind
/// of that error is [`io::ErrorKind::Other`]; [`io::Error::get_ref`] finds the `Stopped` in it.
///
/// ```
/// use stoppable::{StopEvent, Stopped};
///
/// fn total(numbers: &[u64], stop: &StopEvent) -> Result<u64, Stopped> {
///     let mut sum = 0;
///     for n in numbers {
///         stop.check()?;
///         sum += n;
///     }
///     Ok(sum)
/// }
///
/// let stop = StopEvent::new();
/// assert_eq!(total(&[1, 2, 3], &stop).unwrap(), 6);
/// stop.set();
/// assert!(total(&[1, 2, 3], &stop).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Stopped {
    cause: Arc<StopCause>,
}

impl Stopped {
    pub(crate) fn new(cause: StopCause) -> Self {
        Stopped {
            cause: Arc::new(cause),
        }
    }

    /// Why the event was set.
    pub fn reason(&self) -> StopReason {
        self.cause.reason.clone()
    }

    /// Why, when and where the event was set.
    pub fn cause(&self) -> &StopCause {
        &self.cause
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopped").field(&self.cause).finish()
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped: {}", self.cause)
    }
}

impl Error for Stopped {}

impl From<Stopped> for io::Error {
    /// The kind is `Other`: `Interrupted` would be retried by the standard library.
    fn from(stopped: Stopped) -> Self {
        io::Error::other(stopped)
    }
}

//! Why a task does not come in, as the caller is told, who gets the closure back, and as a handle shows it.

use crate::stop::{StopCause, StopReason};
use std::error::Error;
use std::fmt;

/// Why a task was not accepted, with its closure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SubmitError<F> {
    /// There was no room in the queue. Only where the call does not wait for room.
    Full(F),
    /// The pool is being shut down, or has been.
    ShutDown(F),
}

impl<F> SubmitError<F> {
    /// The closure.
    pub fn into_inner(self) -> F {
        match self {
            SubmitError::Full(closure) | SubmitError::ShutDown(closure) => closure,
        }
    }

    /// Whether there was no room in the queue.
    pub fn is_full(&self) -> bool {
        matches!(self, SubmitError::Full(_))
    }

    /// Whether the pool is being shut down, or has been.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, SubmitError::ShutDown(_))
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Full(_) => "the pool's queue is full",
            SubmitError::ShutDown(_) => "the pool has been shut down",
        })
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Full(_) => "Full(..)",
            SubmitError::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<F> Error for SubmitError<F> {}

#[derive(Debug)]
pub(super) enum Refusal {
    Full,
    ShutDown,
    /// There was no room until this happened.
    Stopped(StopCause),
}

impl Refusal {
    pub(super) fn with<F>(self, closure: F) -> SubmitError<F> {
        match self {
            Refusal::Full | Refusal::Stopped(_) => SubmitError::Full(closure),
            Refusal::ShutDown => SubmitError::ShutDown(closure),
        }
    }

    /// Why a task that was refused will never start.
    #[track_caller]
    pub(super) fn cause(self) -> StopCause {
        match self {
            Refusal::Full | Refusal::ShutDown => StopCause::now(StopReason::Shutdown),
            Refusal::Stopped(cause) => cause,
        }
    }
}

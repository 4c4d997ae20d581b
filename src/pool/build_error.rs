//! Why a pool could not be built.

use super::idle::MOST_WORKERS;
use crate::task::cell::Payload;
use crate::task::panic_message;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Why a pool could not be built.
#[derive(Debug)]
pub struct BuildError {
    kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    ZeroThreads,
    TooManyThreads(usize),
    ZeroCapacity,
    NulInName(String),
    Spawn(io::Error),
    Hook(HookPanic),
}

/// A payload in a lock, because it need not be `Sync`.
#[derive(Debug)]
pub(super) struct HookPanic(Mutex<Payload>, Option<String>);

impl From<Payload> for HookPanic {
    fn from(payload: Payload) -> Self {
        let message = panic_message(&*payload).map(str::to_owned);
        HookPanic(Mutex::new(payload), message)
    }
}

impl From<Kind> for BuildError {
    fn from(kind: Kind) -> Self {
        BuildError { kind }
    }
}

impl BuildError {
    /// Whether zero threads were asked for.
    pub fn is_zero_threads(&self) -> bool {
        matches!(self.kind, Kind::ZeroThreads)
    }

    /// Whether more threads were asked for than a pool can have.
    pub fn is_too_many_threads(&self) -> bool {
        matches!(self.kind, Kind::TooManyThreads(_))
    }

    /// Whether a queue with no room was asked for.
    pub fn is_zero_capacity(&self) -> bool {
        matches!(self.kind, Kind::ZeroCapacity)
    }

    /// Whether a thread's name had a NUL in it.
    pub fn is_nul_in_name(&self) -> bool {
        matches!(self.kind, Kind::NulInName(_))
    }

    /// Whether the operating system refused to start a thread; [`source`](Error::source) is its
    /// error.
    pub fn is_spawn(&self) -> bool {
        matches!(self.kind, Kind::Spawn(_))
    }

    /// Whether a start hook, or the function that names threads, panicked.
    pub fn is_hook_panic(&self) -> bool {
        matches!(self.kind, Kind::Hook(_))
    }

    /// The payload of the panic of a hook, or the error itself if none panicked.
    ///
    /// # Errors
    ///
    /// The error itself, if it is of another kind.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send + 'static>, BuildError> {
        match self.kind {
            Kind::Hook(HookPanic(payload, _)) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            kind => Err(BuildError { kind }),
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::ZeroThreads => f.write_str("a pool needs at least one thread"),
            Kind::TooManyThreads(threads) => {
                write!(
                    f,
                    "{threads} threads are more than the {MOST_WORKERS} a pool can have"
                )
            }
            Kind::ZeroCapacity => f.write_str("a queue needs room for at least one task"),
            Kind::NulInName(name) => write!(f, "the thread name {name:?} contains a NUL"),
            Kind::Spawn(error) => write!(f, "a worker thread could not be started: {error}"),
            Kind::Hook(HookPanic(_, Some(message))) => {
                write!(f, "a start hook panicked: {message}")
            }
            Kind::Hook(HookPanic(_, None)) => f.write_str("a start hook panicked"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Spawn(error) => Some(error),
            _ => None,
        }
    }
}

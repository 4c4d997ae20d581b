//! Scopes that end at the first error.
#![allow(
    unsafe_code,
    reason = "what tasks borrow lives for as long as their scope"
)]

use super::handle::TryScopedHandle;
use super::work::Work;
use crate::pool::{Core, Submitter, ThreadPool};
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use crate::sync::Mutex;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// Where the tasks of a scope are submitted that ends at the first error; see [`ThreadPool::try_scope`].
pub struct TryScope<'scope, 'env: 'scope, E: 'env> {
    work: Work,
    error: FirstError<E>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// The error that a scope ends with.
struct FirstError<E>(Mutex<Option<E>>);

impl<E> FirstError<E> {
    /// Keeps it, if it is the first.
    fn keep(&self, error: E) {
        let mut first = self.0.lock();
        if first.is_none() {
            *first = Some(error);
        } else {
            drop(first);
            drop(error);
        }
    }
}

impl<'scope, 'env, E: Send + 'env> TryScope<'scope, 'env, E> {
    /// Submits a task to the pool, under the scope's event. Its first `Err` stops the other tasks and is what the
    /// scope returns.
    ///
    /// As [`ThreadPool::submit`] it waits for room in a bounded queue. When the scope has been stopped, the
    /// task never starts.
    #[track_caller]
    pub fn submit<F, T>(&'scope self, closure: F) -> TryScopedHandle<'scope, T>
    where
        F: FnOnce(&StopEvent) -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        let (work, error) = (&self.work, &self.error);
        let closure = move |stop: &StopEvent| {
            work.call(stop, |stop| match closure(stop) {
                Ok(value) => Some(value),
                Err(failure) => {
                    error.keep(failure);
                    work.fail();
                    None
                }
            })
        };
        // SAFETY: as in `Scope::submit`.
        let handle = unsafe { work.submit(closure) };
        TryScopedHandle::new(handle, work)
    }

    /// Stops the scope's tasks, as [`Scope::cancel`](crate::Scope::cancel).
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.cancel_with(StopReason::Requested)
    }

    /// As [`cancel`](Self::cancel), with a reason.
    #[track_caller]
    pub fn cancel_with(&self, reason: StopReason) -> bool {
        self.work.stop(&StopCause::now(reason))
    }

    /// The scope's event, as [`Scope::stop_event`](crate::Scope::stop_event).
    pub fn stop_event(&self) -> StopEvent {
        self.work.stop_event()
    }
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryScope")
            .field("left", &self.work.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn try_scope<'env, R, E: From<Stopped> + Send + 'env>(
    core: &Core,
    location: &'static Location<'static>,
    body: impl for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<R, E>,
) -> Result<R, E> {
    let scope = TryScope {
        work: Work::new(core, false, location),
        error: FirstError(Mutex::new(None)),
        scope: PhantomData,
        env: PhantomData,
    };
    let take_error = || scope.error.0.lock().take();
    let body = || {
        body(&scope).map_err(|failure| {
            scope.error.keep(failure);
            let cause = StopCause::at(StopReason::SiblingFailed, location);
            scope.work.stop(&cause);
        })
    };
    let result = scope.work.run(body, || drop(take_error()));
    let error = take_error();
    match (error, result) {
        (Some(error), _) => Err(error),
        (None, Ok(Ok(result))) => Ok(result),
        (None, Ok(Err(()))) => unreachable!("the body's error was kept, and nobody else takes it"),
        (None, Err(stopped)) => Err(stopped.into()),
    }
}

impl ThreadPool {
    /// As [`scope`](Self::scope), for tasks that may fail: the first `Err`, of a task or of the body, stops the
    /// others and is returned when all have ended.
    ///
    /// It is the error itself and not what the others made of being stopped: those of their errors that come
    /// later are dropped. A body that is left early by `?` stops its tasks first.
    ///
    /// ```
    /// use stoppable::{Stopped, ThreadPool};
    ///
    /// #[derive(Debug, PartialEq)]
    /// enum Error {
    ///     Stopped,
    ///     Odd(u32),
    /// }
    ///
    /// impl From<Stopped> for Error {
    ///     fn from(_: Stopped) -> Self {
    ///         Error::Stopped
    ///     }
    /// }
    ///
    /// let pool = ThreadPool::new(2);
    /// let halves = pool.try_scope(|s| {
    ///     let half = |n: u32| {
    ///         s.submit(move |_stop| if n % 2 == 0 { Ok(n / 2) } else { Err(Error::Odd(n)) })
    ///     };
    ///     let (a, b) = (half(84), half(7));
    ///     Ok((a.join()?, b.join()?))
    /// });
    /// assert_eq!(halves, Err(Error::Odd(7)));
    /// ```
    ///
    /// # Errors
    ///
    /// The first error. If there was none, but a task was cancelled or never started, or the body saw
    /// the scope's event set: what `E` makes of [`Stopped`].
    ///
    /// # Panics
    ///
    /// As [`scope`](Self::scope), error or not.
    #[track_caller]
    pub fn try_scope<'env, F, R, E>(&self, body: F) -> Result<R, E>
    where
        F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<R, E>,
        E: From<Stopped> + Send + 'env,
    {
        try_scope(self.core(), Location::caller(), body)
    }
}

impl Submitter {
    /// As [`ThreadPool::try_scope`].
    ///
    /// # Errors
    ///
    /// As there; and if the pool has been shut down.
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn try_scope<'env, F, R, E>(&self, body: F) -> Result<R, E>
    where
        F: for<'scope> FnOnce(&'scope TryScope<'scope, 'env, E>) -> Result<R, E>,
        E: From<Stopped> + Send + 'env,
    {
        try_scope(self.core(), Location::caller(), body)
    }
}

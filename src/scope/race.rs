//! The first success of several tasks.

use super::scoped::scope;
use crate::pool::{Core, Submitter, ThreadPool};
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use crate::sync::Mutex;
use std::panic::Location;

/// What a race has come to.
struct Finish<T, E> {
    won: Option<T>,
    /// The first error.
    lost: Option<E>,
}

fn race<'env, I, F, T, E>(
    core: &Core,
    location: &'static Location<'static>,
    closures: I,
) -> Result<T, E>
where
    I: IntoIterator<Item = F>,
    F: FnOnce(&StopEvent) -> Result<T, E> + Send + 'env,
    T: Send + 'env,
    E: From<Stopped> + Send + 'env,
{
    let finish = Mutex::new(Finish {
        won: None,
        lost: None,
    });
    let all = scope(core, location, |s| {
        let finish = &finish;
        for closure in closures {
            if s.work.cause().is_some() {
                break;
            }
            s.submit(move |stop| match closure(stop) {
                Ok(value) => {
                    let mut finish = finish.lock();
                    if finish.won.is_none() {
                        finish.won = Some(value);
                        s.work.fail();
                    } else {
                        drop(finish);
                        drop(value);
                    }
                }
                Err(error) => {
                    let mut finish = finish.lock();
                    if finish.lost.is_none() {
                        finish.lost = Some(error);
                    } else {
                        drop(finish);
                        drop(error);
                    }
                }
            });
        }
    });
    match (finish.into_inner(), all) {
        (
            Finish {
                won: Some(value), ..
            },
            _,
        ) => Ok(value),
        // Stopped from outside: what the tasks made of that is its echo.
        (_, Err(stopped)) => Err(stopped.into()),
        (
            Finish {
                lost: Some(error), ..
            },
            Ok(()),
        ) => Err(error),
        (Finish { lost: None, .. }, Ok(())) => {
            let reason = StopReason::custom("a race without tasks");
            Err(Stopped::new(StopCause::at(reason, location)).into())
        }
    }
}

impl ThreadPool {
    /// Runs these closures as tasks of one scope, and gives the first success. The others are stopped, with
    /// [`StopReason::SiblingFailed`], and have ended when this returns. No more closures are fetched once one has
    /// succeeded.
    ///
    /// ```
    /// use stoppable::{Stopped, ThreadPool};
    ///
    /// let pool = ThreadPool::new(2);
    /// let mirrors = ["slow", "fast"];
    /// let first = pool.race(mirrors.map(|mirror| {
    ///     move |stop: &stoppable::StopEvent| -> Result<&str, Stopped> {
    ///         if mirror == "slow" {
    ///             stop.wait();
    ///         }
    ///         stop.check()?;
    ///         Ok(mirror)
    ///     }
    /// }));
    /// assert_eq!(first.unwrap(), "fast");
    /// ```
    ///
    /// # Errors
    ///
    /// If none succeeds, the first error. If the race is stopped before, from outside, or there are no
    /// closures: what `E` makes of [`Stopped`].
    ///
    /// # Panics
    ///
    /// As [`scope`](Self::scope), whether one has succeeded or not.
    #[track_caller]
    pub fn race<'env, I, F, T, E>(&self, closures: I) -> Result<T, E>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce(&StopEvent) -> Result<T, E> + Send + 'env,
        T: Send + 'env,
        E: From<Stopped> + Send + 'env,
    {
        race(self.core(), Location::caller(), closures)
    }
}

impl Submitter {
    /// As [`ThreadPool::race`].
    ///
    /// # Errors
    ///
    /// As there; and if the pool has been shut down.
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn race<'env, I, F, T, E>(&self, closures: I) -> Result<T, E>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce(&StopEvent) -> Result<T, E> + Send + 'env,
        T: Send + 'env,
        E: From<Stopped> + Send + 'env,
    {
        race(self.core(), Location::caller(), closures)
    }
}

//! The first success of several tasks.

use super::scoped::scope_and_clear;
use super::work::Work;
use crate::pool::{Core, Submitter, ThreadPool};
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use crate::sync::{Condvar, Mutex, wait_deadline};
use std::panic::Location;

/// What a race has come to.
struct Finish<T, E> {
    won: Option<T>,
    /// The first error.
    lost: Option<E>,
}

/// How many closures have been fetched and are not gone.
struct Track {
    running: Mutex<usize>,
    fewer: Condvar,
}

/// One closure, until it has been called or dropped.
struct Runner<'a>(&'a Track);

impl Track {
    fn start(&self) -> Runner<'_> {
        *self.running.lock() += 1;
        Runner(self)
    }

    /// Waits until there are fewer than so many.
    fn wait_below(&self, most: usize) {
        let mut running = self.running.lock();
        while *running >= most {
            wait_deadline(&self.fewer, &mut running, None);
        }
    }

    fn is_full(&self, most: usize) -> bool {
        *self.running.lock() >= most
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.fewer.notify_all();
    }
}

/// How many closures are fetched before one is done, at least; and how many for each thread of the pool.
const AHEAD: usize = 1_024;
const AHEAD_EACH: usize = 8;

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
    let most = AHEAD.max(AHEAD_EACH * core.threads());
    let track = Track {
        running: Mutex::new(0),
        fewer: Condvar::new(),
    };
    let finish = Mutex::new(Finish {
        won: None,
        lost: None,
    });
    let run = |s: &Work, closure: F, stop: &StopEvent| match closure(stop) {
        Ok(value) => {
            let mut finish = finish.lock();
            let late = match finish.won {
                Some(_) => Some(value),
                None => {
                    s.fail();
                    finish.won.replace(value)
                }
            };
            drop(finish);
            drop(late);
        }
        Err(error) => {
            let mut finish = finish.lock();
            let later = match finish.lost {
                Some(_) => Some(error),
                None => finish.lost.replace(error),
            };
            drop(finish);
            drop(later);
        }
    };
    let take = || {
        let mut finish = finish.lock();
        (finish.won.take(), finish.lost.take())
    };
    let all = scope_and_clear(
        core,
        location,
        |s| {
            for closure in closures {
                // An iterator that does not end must not fill the memory: a worker runs some of them itself.
                while track.is_full(most) && s.work.cause().is_none() && s.work.help() {}
                if s.work.cause().is_none() {
                    track.wait_below(most);
                }
                if let Some(cause) = s.work.cause() {
                    // Not all have been tried.
                    return Some(cause);
                }
                let (runner, run) = (track.start(), &run);
                s.submit(move |stop| {
                    let _runner = runner;
                    run(&s.work, closure, stop);
                });
            }
            None
        },
        || drop(take()),
    );
    match (take(), all) {
        ((Some(value), _), _) => Ok(value),
        // Stopped from outside: what the tasks made of that is its echo.
        (_, Err(stopped)) => Err(stopped.into()),
        (_, Ok(Some(cause))) => Err(Stopped::new(cause).into()),
        ((None, Some(error)), Ok(None)) => Err(error),
        ((None, None), Ok(None)) => {
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

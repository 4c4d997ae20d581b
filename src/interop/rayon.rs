//! Parallel iterators that a stop event cuts short, and tasks on rayon's pools. (Feature `rayon`.)
//!
//! # Parallel iterators
//!
//! [`until_stopped`](ParallelUntilStopped::until_stopped) goes behind any
//! [`ParallelIterator`]. The chain of `map`, `filter`, `sum` and the rest is
//! written in a closure, and what comes out of it is a result only if the event was not seen to be set:
//!
//! ```
//! use rayon::prelude::*;
//! use stoppable::interop::rayon::ParallelUntilStopped;
//! use stoppable::{StopEvent, Stopped};
//!
//! fn sum_of_squares(numbers: &[u64], stop: &StopEvent) -> Result<u64, Stopped> {
//!     numbers.par_iter().until_stopped(stop).run(|numbers| numbers.map(|n| n * n).sum())
//! }
//!
//! let stop = StopEvent::new();
//! assert_eq!(sum_of_squares(&[1, 2, 3], &stop).unwrap(), 14);
//! stop.set();
//! assert!(sum_of_squares(&[1, 2, 3], &stop).is_err());
//! ```
//!
//! A partial result is to be asked for by name, with [`partial`](UntilStopped::partial).
//!
//! Once the event is set, nothing is split any more, and each thread ends with the item that it has in hand. An item is
//! never killed: pass the event on to bodies that take long.
//!
//! # Tasks on rayon's pools
//!
//! [`SubmitExt::submit`] on a [`rayon::ThreadPool`], and [`submit`](submit()) on the global one, give rayon a
//! closure to run and its caller a [`TaskHandle`](crate::TaskHandle), with all that this has: its event, a cancel that drops at once
//! what a pending task has captured, panics delivered to the joiner, a future.
//!
//! **Joining on rayon's threads.** A plain [`join`](crate::TaskHandle::join) there blocks a thread that rayon knows nothing of:
//! nobody else uses it meanwhile, and where it is the pool's only one, a pending task never starts. Use
//! [`join_or_run`](crate::TaskHandle::join_or_run), which runs a pending task on the spot, so that a pool of one thread runs any
//! acyclic graph of joins:
//!
//! ```
//! use stoppable::interop::rayon::{SubmitExt, submit};
//!
//! let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
//! let answer = pool.submit(|_stop| {
//!     let six = submit(|_stop| 6);
//!     six.join_or_run().unwrap() * 7
//! });
//! assert_eq!(answer.join().unwrap(), 42);
//! # Ok::<(), rayon::ThreadPoolBuildError>(())
//! ```
//!
//! A task that runs already is waited for, and the thread sleeps; it does not go on with other work, as `rayon::yield_now` would,
//! which might be work that waits for what lies below it on the stack. That is what can happen inside a parallel
//! iterator or rayon's `join`: while such a call waits, rayon may run any job of the pool on top of it. If that job joins the task
//! below, neither ever ends, and nothing detects it.
//!
//! **Whose event is current.** For the same reason, a job of somebody else's that rayon runs on top of a task finds the task's event
//! as [`current`](crate::current). In closures that are given to rayon inside a task, use the event that the task was handed; and
//! no `unwind_if_stopped` in jobs of `rayon::spawn`, which would abort the process from there.

use crate::{StopEvent, Stopped};
use ::rayon::iter::ParallelIterator;
use ::rayon::iter::plumbing::{Consumer, Folder, UnindexedConsumer};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

pub use super::rayon_submit::{SubmitExt, submit, submit_under};

/// [`until_stopped`](Self::until_stopped) for every parallel iterator.
pub trait ParallelUntilStopped: ParallelIterator {
    /// These items, until `stop` is set. Does nothing before [`run`](UntilStopped::run) or
    /// [`partial`](UntilStopped::partial).
    ///
    /// The iterator is no longer indexed, as it may end anywhere: `zip`, `enumerate` and `rev` go before.
    /// A poll is made before an item is fetched, so what comes before this in the chain is cut short as well. The inside
    /// of one item is not polled: this goes behind a `flat_map` rather than before it.
    ///
    /// A poll is what it costs: with bodies of 50 ns or more, a few percent. See [`every`](UntilStopped::every) for less.
    ///
    /// A task that gives its own event has seen its stop when a poll here has found it, on whatever thread.
    /// (On rayon's threads [`current`](crate::current) is `never()`, or the event of [the task](self#tasks-on-rayons-pools) below.)
    fn until_stopped(self, stop: &StopEvent) -> UntilStopped<Self> {
        UntilStopped {
            items: self,
            stop: stop.clone(),
            every: NonZeroUsize::MIN,
        }
    }
}

impl<I: ParallelIterator> ParallelUntilStopped for I {}

/// Items until an event is set; made by [`ParallelUntilStopped::until_stopped`].
#[must_use = "it does nothing before `run` or `partial`"]
#[derive(Clone)]
pub struct UntilStopped<I> {
    items: I,
    stop: StopEvent,
    every: NonZeroUsize,
}

impl<I: ParallelIterator> UntilStopped<I> {
    /// Polls before every `items`-th item of what one thread works through, instead of before each.
    ///
    /// For work of a few nanoseconds an item, such as a sum of integers, which a poll before each makes slower.
    /// After a stop, each thread still does up to so many items. Where items come one by one, as from a
    /// `filter` that is before or from `par_bridge`, there is a poll for each all the same.
    ///
    /// ```
    /// use rayon::prelude::*;
    /// use stoppable::StopEvent;
    /// use stoppable::interop::rayon::ParallelUntilStopped;
    /// use std::num::NonZeroUsize;
    ///
    /// let stop = StopEvent::new();
    /// let sum = (0..10_000_u64)
    ///     .into_par_iter()
    ///     .until_stopped(&stop)
    ///     .every(NonZeroUsize::new(1024).unwrap())
    ///     .run(|items| items.sum::<u64>());
    /// assert_eq!(sum.unwrap(), 49_995_000);
    /// ```
    pub fn every(self, items: NonZeroUsize) -> Self {
        UntilStopped {
            every: items,
            ..self
        }
    }

    /// Runs `code` on the items, and gives what it returns, unless the event was seen to be set.
    ///
    /// It blocks as `code` does, which runs on this thread, and calls rayon where it likes. If the event is
    /// set but no poll found it so, nothing was left out, and that is a result. The adapter cannot leave `code`.
    ///
    /// # Errors
    ///
    /// [`Stopped`], if a poll found the event set: items were left out, or may have been. The first poll is made
    /// when the items are first asked for, so an event that is set before lets no item through. What `code`
    /// returned is dropped.
    ///
    /// # Panics
    ///
    /// If `code` does, or what it calls on other threads.
    pub fn run<R>(self, code: impl FnOnce(Items<'_, I>) -> R) -> Result<R, Stopped> {
        let (value, ended) = self.partial(code);
        ended.map(|()| value)
    }

    /// Runs `code` on the items, and gives what it returns from those that were let through, and whether that
    /// were all of them.
    ///
    /// The items that were let through are any, not the first: each thread ends where it is.
    ///
    /// The second value is an error in the same cases as that of [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// ```
    /// use rayon::prelude::*;
    /// use stoppable::StopEvent;
    /// use stoppable::interop::rayon::ParallelUntilStopped;
    ///
    /// let stop = StopEvent::new();
    /// let (seen, ended) = (0..1_000_000).into_par_iter().until_stopped(&stop).partial(|numbers| {
    ///     numbers.inspect(|&n| if n == 1_000 { stop.set(); }).count()
    /// });
    /// assert!(ended.is_err() && (1..1_000_000).contains(&seen));
    /// ```
    pub fn partial<R>(self, code: impl FnOnce(Items<'_, I>) -> R) -> (R, Result<(), Stopped>) {
        let UntilStopped { items, stop, every } = self;
        let watch = Watch {
            stop,
            seen: AtomicBool::new(false),
            every,
        };
        let value = code(Items {
            base: items,
            watch: &watch,
        });
        let ended = if watch.seen.into_inner() {
            watch.stop.check()
        } else {
            Ok(())
        };
        (value, ended)
    }
}

impl<I> fmt::Debug for UntilStopped<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilStopped")
            .field("stop", &self.stop)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// What all the parts of one run share.
struct Watch {
    stop: StopEvent,
    /// A poll found the event set.
    seen: AtomicBool,
    every: NonZeroUsize,
}

impl Watch {
    /// The poll.
    #[inline]
    fn is_over(&self) -> bool {
        let set = self.stop.is_set();
        if set {
            // Read when all threads have handed in their parts, which orders it.
            self.seen.store(true, Ordering::Relaxed);
        }
        set
    }
}

/// The parallel iterator that is handed to the closure of [`UntilStopped::run`] and
/// [`UntilStopped::partial`]: it ends when the event is set.
#[must_use = "parallel iterators do nothing unless consumed"]
pub struct Items<'a, I> {
    base: I,
    watch: &'a Watch,
}

impl<I: ParallelIterator> ParallelIterator for Items<'_, I> {
    type Item = I::Item;

    fn drive_unindexed<C: UnindexedConsumer<I::Item>>(self, consumer: C) -> C::Result {
        let Items { base, watch } = self;
        // Even if there are no items: a stop is one all the same.
        watch.is_over();
        base.drive_unindexed(Watched {
            base: consumer,
            watch,
        })
    }
}

impl<I> fmt::Debug for Items<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("stop", &self.watch.stop)
            .finish_non_exhaustive()
    }
}

/// A consumer that is full once the event is set, so that nothing is split any more.
struct Watched<'a, C> {
    base: C,
    watch: &'a Watch,
}

impl<'a, T, C: Consumer<T>> Consumer<T> for Watched<'a, C> {
    type Folder = WatchedFolder<'a, C::Folder>;
    type Reducer = C::Reducer;
    type Result = C::Result;

    fn split_at(self, index: usize) -> (Self, Self, C::Reducer) {
        let Watched { base, watch } = self;
        let (left, right, reducer) = base.split_at(index);
        (
            Watched { base: left, watch },
            Watched { base: right, watch },
            reducer,
        )
    }

    fn into_folder(self) -> Self::Folder {
        WatchedFolder {
            // Some producers ask nobody before their first item.
            is_over: self.watch.is_over(),
            base: self.base.into_folder(),
            watch: self.watch,
        }
    }

    fn full(&self) -> bool {
        self.base.full() || self.watch.is_over()
    }
}

impl<T, C: UnindexedConsumer<T>> UnindexedConsumer<T> for Watched<'_, C> {
    fn split_off_left(&self) -> Self {
        Watched {
            base: self.base.split_off_left(),
            watch: self.watch,
        }
    }

    fn to_reducer(&self) -> C::Reducer {
        self.base.to_reducer()
    }
}

/// A folder that takes nothing more once the event is set.
struct WatchedFolder<'a, F> {
    base: F,
    watch: &'a Watch,
    /// It was set before the first item came.
    is_over: bool,
}

impl<T, F: Folder<T>> Folder<T> for WatchedFolder<'_, F> {
    type Result = F::Result;

    #[inline]
    fn consume(mut self, item: T) -> Self {
        if !self.is_over {
            self.base = self.base.consume(item);
        }
        self
    }

    #[inline]
    fn consume_iter<I: IntoIterator<Item = T>>(mut self, iter: I) -> Self {
        // The base does what it does faster with a whole iterator than with single items.
        self.base = self.base.consume_iter(WatchedIter {
            iter: iter.into_iter(),
            watch: self.watch,
            unpolled: 0,
        });
        self
    }

    fn complete(self) -> F::Result {
        self.base.complete()
    }

    #[inline]
    fn full(&self) -> bool {
        self.base.full() || self.is_over || self.watch.is_over()
    }
}

/// What one thread works through in a row, with a poll before every so many items.
struct WatchedIter<'a, I> {
    iter: I,
    watch: &'a Watch,
    /// So many items may still be fetched without a poll.
    unpolled: usize,
}

impl<I: Iterator> Iterator for WatchedIter<'_, I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        if self.unpolled == 0 {
            if self.watch.is_over() {
                return None;
            }
            self.unpolled = self.watch.every.get();
        }
        self.unpolled -= 1;
        self.iter.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.iter.size_hint().1)
    }

    /// In runs without a poll inside, which the compiler makes tight loops of.
    #[inline]
    fn fold<B, F: FnMut(B, I::Item) -> B>(mut self, mut value: B, mut f: F) -> B {
        let every = self.watch.every.get();
        if every == 1 {
            for item in self {
                value = f(value, item);
            }
            return value;
        }
        // The first item of a run tells whether there is one.
        while let Some(first) = self.next() {
            value = f(value, first);
            let run = std::mem::replace(&mut self.unpolled, 0);
            value = self.iter.by_ref().take(run).fold(value, &mut f);
        }
        value
    }
}

//! A condition variable whose waits end when an event is set.
//!
//! Why a type of its own: a wait on the standard library's `Condvar` is woken by a notification, and one that comes between
//! the waiter's look at the event and its wait is lost, unless the notifier holds the lock. The setter of an event cannot take
//! that lock: it may hold it already. So the waiters are kept here, in the order in which they came, each
//! with an event of its own, a child of the stop: whoever notifies sets the child, a stop makes it read as set. An event stays set,
//! so it does not matter whether that comes before the wait or in it.
//!
//! No wake-up is lost. A waiter takes its place in the line while it holds the user's lock, after it saw that
//! the condition holds. Who changes the state holds that lock too, so it did so before (and the waiter saw it), or
//! after (and the place is in the line when it notifies). A waiter leaves the line before it takes the lock again, and looks
//! at the condition before it looks at the event: if a notification was spent on one that was stopped as well, that one
//! takes what there is. One that panics before it has looked passes its notification on.
//!
//! No deadlock. The line's lock is innermost and held for a few instructions, in which no foreign code runs. A setter
//! only wakes: it takes neither the user's lock nor the line's, and nobody waits for the setter.

use crate::sync::Mutex;
use crate::{StopEvent, Stopped};
use std::collections::BTreeMap;
use std::fmt;

/// Those who wait, by when they came.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeMap<u64, StopEvent>,
}

/// A condition variable whose waits end when a stop event is set. It goes with any lock.
///
/// It takes the place of [`std::sync::Condvar`], whose waits a stop cannot end without a wake-up being lost now and
/// then. It is used in the same way: change the state under the lock, then notify.
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::{Arc, Mutex};
/// use stoppable::{StopCondvar, ThreadPool};
///
/// let queue = Arc::new((Mutex::new(VecDeque::new()), StopCondvar::new()));
/// let pool = ThreadPool::new(1);
/// let consumer = pool.submit({
///     let queue = Arc::clone(&queue);
///     move |stop| {
///         let (items, ready) = &*queue;
///         let mut sum = 0;
///         while let Ok(mut items) =
///             ready.wait_while(|| items.lock().unwrap(), stop, |items| items.is_empty())
///         {
///             sum += items.drain(..).sum::<u64>();
///         }
///         sum
///     }
/// });
/// let (items, ready) = &*queue;
/// items.lock().unwrap().push_back(7);
/// ready.notify_one();
/// consumer.cancel();
/// // What was in the queue before the stop was taken out of it.
/// # let outcome = consumer.outcome();
/// # if let stoppable::Outcome::Cancelled { partial, .. } = outcome { assert_eq!(partial, Some(7)) }
/// ```
#[derive(Default)]
pub struct StopCondvar {
    line: Mutex<Line>,
}

impl StopCondvar {
    /// A condition variable on which nobody waits. No allocation.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        StopCondvar {
            line: Mutex::new(Line {
                next: 0,
                waiting: BTreeMap::new(),
            }),
        }
    }

    /// Loom's locks are made at run time.
    #[cfg(loom)]
    pub fn new() -> Self {
        StopCondvar::default()
    }

    /// Takes the lock and blocks, without it, for as long as `condition` holds and the event is unset. Gives the guard
    /// when the condition no longer holds.
    ///
    /// `lock` takes the lock: `|| mutex.lock().unwrap()`, or the like for any other kind. It is called anew after each wake-up.
    /// `condition` is called under the lock. What has come counts before a stop: the event is looked at only
    /// while the condition holds. A loop that may never run dry polls it as well.
    ///
    /// For a time limit, wait with a [`child`](StopEvent::child) of the event that has a deadline.
    ///
    /// Without a need to wait it costs what `lock` and `condition` cost; else an allocation, a lock and a
    /// [`StopEvent::wait`] for each wake-up. It is woken by notifications only, without a look in between, and by those
    /// in the order in which the waiters came; but who comes late may find the lock free and take what there is.
    ///
    /// # Errors
    ///
    /// [`Stopped`], if the event is set while the condition holds. The lock has been let go.
    ///
    /// # Panics
    ///
    /// If `lock` or `condition` does. The guard is dropped then, as in any code that panics under a
    /// lock (so a standard mutex is poisoned). A notification that it was woken by is passed on, so others do not miss it.
    pub fn wait_while<G>(
        &self,
        mut lock: impl FnMut() -> G,
        stop: &StopEvent,
        mut condition: impl FnMut(&mut G) -> bool,
    ) -> Result<G, Stopped> {
        let mut notified = PassOn {
            condvar: self,
            armed: false,
        };
        loop {
            let mut guard = lock();
            let waits = condition(&mut guard);
            notified.armed = false;
            if !waits {
                return Ok(guard);
            }
            stop.check()?;
            let place = Place::at_the_end(self, stop);
            drop(guard);
            place.woken.wait();
            notified.armed = true;
        }
    }

    /// Wakes the one that has waited longest, if any waits. Call it after the change, under the lock or not.
    pub fn notify_one(&self) {
        let first = self.line.lock().waiting.pop_first();
        if let Some((_, woken)) = first {
            woken.set();
        }
    }

    /// Wakes all that wait. Call it after the change, under the lock or not.
    pub fn notify_all(&self) {
        let all = std::mem::take(&mut self.line.lock().waiting);
        for woken in all.values() {
            woken.set();
        }
    }
}

impl fmt::Debug for StopCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopCondvar").finish_non_exhaustive()
    }
}

/// Wakes another waiter if this one panics between its wake-up and its look at the condition: what it was woken for is
/// still there.
struct PassOn<'a> {
    condvar: &'a StopCondvar,
    armed: bool,
}

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.condvar.notify_one();
        }
    }
}

/// A place in the line, until it is dropped or notified.
struct Place<'a> {
    condvar: &'a StopCondvar,
    number: u64,
    /// Set by whoever takes it out of the line, or by the stop.
    woken: StopEvent,
}

impl<'a> Place<'a> {
    fn at_the_end(condvar: &'a StopCondvar, stop: &StopEvent) -> Self {
        // What has come counts before a stop: the wake-up is no look at the event.
        let woken = stop.unseen_child();
        let mut line = condvar.line.lock();
        let number = line.next;
        line.next += 1;
        line.waiting.insert(number, woken.clone());
        drop(line);
        Place {
            condvar,
            number,
            woken,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.condvar.line.lock().waiting.remove(&self.number);
        // Here, and not under the line's lock.
        drop(left);
    }
}

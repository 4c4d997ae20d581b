//! Tasks in the order in which they end.

use super::finished::{Finished, Next};
use crate::task::context::Circle;
use crate::task::{TaskError, TaskHandle};
use std::fmt;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

/// The handles of several tasks in the order in which the tasks end; made by [`as_completed`].
#[must_use = "an iterator does nothing unless it is used"]
pub struct AsCompleted<T> {
    finished: Finished,
    /// By place; `None` once it has been yielded.
    handles: Vec<Option<TaskHandle<T>>>,
    deadline: Option<Instant>,
    timed_out: bool,
}

/// Yields each of these handles when its task has ended, in the order in which they do; those that have ended
/// already come first. Joining what it yields does not block.
///
/// The tasks may be of several pools. On a worker of the pool of a pending task it runs that task itself rather than
/// wait, as a join does. It lets go of what it has yielded; dropping it detaches the tasks that are left.
///
/// # Panics
///
/// When all the tasks that are left wait for the caller, and so could never end.
///
/// ```
/// use stoppable::{ThreadPool, as_completed};
///
/// let pool = ThreadPool::new(2);
/// let stuck = pool.submit(|stop| stop.wait());
/// let quick = pool.submit(|_stop| ());
/// let quick_id = quick.id();
/// let mut ended = as_completed([stuck, quick]);
/// assert_eq!(ended.next().unwrap().id(), quick_id);
/// // The others are not needed any more.
/// ended.into_remaining().iter().for_each(|task| {
///     task.cancel();
/// });
/// ```
pub fn as_completed<T>(handles: impl IntoIterator<Item = TaskHandle<T>>) -> AsCompleted<T> {
    let mut finished = Finished::new();
    let handles = handles.into_iter().map(|handle| {
        finished.add(handle.task());
        Some(handle)
    });
    let handles = handles.collect();
    AsCompleted {
        finished,
        handles,
        deadline: None,
        timed_out: false,
    }
}

impl<T> AsCompleted<T> {
    /// Lets it end in so much time from now, if it has not before. What is left is in
    /// [`into_remaining`](Self::into_remaining). With a time limit it runs no pending tasks.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Instant::now().checked_add(timeout);
        self
    }

    /// How many have not been yielded.
    pub fn remaining(&self) -> usize {
        self.finished.left()
    }

    /// The handles that have not been yielded, in the order in which they were given.
    pub fn into_remaining(self) -> Vec<TaskHandle<T>> {
        self.handles.into_iter().flatten().collect()
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = TaskHandle<T>;

    fn next(&mut self) -> Option<TaskHandle<T>> {
        if self.timed_out {
            return None;
        }
        match self.finished.next(self.deadline.is_none(), self.deadline) {
            Next::Place(place) => self.handles[place].take(),
            Next::None => None,
            Next::TimedOut => {
                self.timed_out = true;
                None
            }
            Next::Circle(task, Circle(circle)) => {
                panic!("{}", TaskError::would_deadlock(&task, circle))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = if self.timed_out { 0 } else { self.remaining() };
        let least = if self.deadline.is_none() { most } else { 0 };
        (least, Some(most))
    }
}

impl<T> FusedIterator for AsCompleted<T> {}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

//! Waiting until one, all, or the first of several tasks that fails has ended.

use super::finished::{Finished, Next};
use crate::report::TaskStatus;
use crate::task::context::Circle;
use crate::task::{TaskError, TaskHandle};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Which of several tasks have ended; made by [`wait_all`] and its kin. Tasks are named by their place in the
/// list that was waited for; one that is in it twice, by the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    done: Vec<usize>,
    unfinished: Vec<usize>,
    first_error: Option<usize>,
}

impl Waited {
    /// Those that have ended, in the order in which they were found so.
    pub fn done(&self) -> &[usize] {
        &self.done
    }

    /// Those that have not, in the order of the list.
    pub fn unfinished(&self) -> &[usize] {
        &self.unfinished
    }

    /// The first that ended otherwise than by completing. Only [`wait_first_error`] looks for it.
    pub fn first_error(&self) -> Option<usize> {
        self.first_error
    }

    /// Whether all have ended.
    pub fn is_all_done(&self) -> bool {
        self.unfinished.is_empty()
    }
}

/// When a wait is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Any,
    All,
    FirstError,
}

fn wait<'a, T: 'a>(
    handles: impl IntoIterator<Item = &'a TaskHandle<T>>,
    until: Until,
    helps: bool,
    deadline: Option<Instant>,
) -> Waited {
    let mut finished = Finished::new();
    let mut known = BTreeSet::new();
    // Places among those that are known once, and in the list.
    let mut tasks = Vec::new();
    for (place, handle) in handles.into_iter().enumerate() {
        if known.insert(handle.task().node().as_ptr()) {
            finished.add(handle.task());
            tasks.push((place, handle));
        }
    }
    let mut done = BTreeSet::new();
    let mut waited = Waited::default();
    loop {
        // What has ended by then is said too, though it is waited for no more.
        let enough = match until {
            Until::All => false,
            Until::Any => !done.is_empty(),
            Until::FirstError => waited.first_error.is_some(),
        };
        let now = enough.then(Instant::now);
        match finished.next(helps && !enough, now.or(deadline)) {
            Next::Place(known) => {
                let (place, handle) = tasks[known];
                done.insert(place);
                waited.done.push(place);
                if until == Until::FirstError && handle.status() != TaskStatus::Completed {
                    waited.first_error.get_or_insert(place);
                }
            }
            Next::None | Next::TimedOut => break,
            Next::Circle(task, Circle(circle)) => {
                panic!("{}", TaskError::would_deadlock(&task, circle))
            }
        }
    }
    for (place, handle) in tasks.iter().filter(|(place, _)| !done.contains(place)) {
        // Its note may be on the way.
        let list = if handle.is_done() {
            &mut waited.done
        } else {
            &mut waited.unfinished
        };
        list.push(*place);
    }
    waited
}

/// Blocks until all of these tasks have ended.
///
/// On a worker of a pending task's pool, it runs that task itself, as a join does.
///
/// # Panics
///
/// When all the tasks that are left wait for the caller, and so could never end.
///
/// ```
/// use stoppable::{ThreadPool, wait_all};
///
/// let pool = ThreadPool::new(2);
/// let tasks: Vec<_> = (0..4).map(|n| pool.submit(move |_stop| n)).collect();
/// assert!(wait_all(&tasks).is_all_done());
/// ```
pub fn wait_all<'a, T: 'a>(handles: impl IntoIterator<Item = &'a TaskHandle<T>>) -> Waited {
    wait(handles, Until::All, true, None)
}

/// As [`wait_all`], at most for `timeout`; runs no pending tasks. Timing out stops nothing.
pub fn wait_all_timeout<'a, T: 'a>(
    handles: impl IntoIterator<Item = &'a TaskHandle<T>>,
    timeout: Duration,
) -> Waited {
    let deadline = Instant::now().checked_add(timeout);
    wait(handles, Until::All, false, deadline)
}

/// Blocks until one of these tasks has ended. Of none, it returns at once.
///
/// As for [`wait_all`], a worker runs the first one that is pending.
///
/// # Panics
///
/// When all of the tasks wait for the caller, and so could never end.
///
/// ```
/// use stoppable::{ThreadPool, wait_any};
///
/// let pool = ThreadPool::new(2);
/// let tasks = [pool.submit(|stop| stop.wait()), pool.submit(|_stop| ())];
/// assert_eq!(wait_any(&tasks).done(), [1]);
/// tasks[0].cancel();
/// ```
pub fn wait_any<'a, T: 'a>(handles: impl IntoIterator<Item = &'a TaskHandle<T>>) -> Waited {
    wait(handles, Until::Any, true, None)
}

/// As [`wait_any`], at most for `timeout`; runs no pending tasks. Timing out stops nothing.
pub fn wait_any_timeout<'a, T: 'a>(
    handles: impl IntoIterator<Item = &'a TaskHandle<T>>,
    timeout: Duration,
) -> Waited {
    let deadline = Instant::now().checked_add(timeout);
    wait(handles, Until::Any, false, deadline)
}

/// Blocks until one of these tasks has ended otherwise than by completing, or all have ended.
///
/// As for [`wait_all`], a worker runs those that are pending.
///
/// # Panics
///
/// When all the tasks that are left wait for the caller, and so could never end.
///
/// ```
/// use stoppable::{ThreadPool, wait_first_error};
///
/// let pool = ThreadPool::new(2);
/// let tasks = [pool.submit(|stop| stop.wait()), pool.submit(|_stop| ())];
/// tasks[0].wait_started();
/// tasks[0].cancel();
/// assert_eq!(wait_first_error(&tasks).first_error(), Some(0));
/// ```
pub fn wait_first_error<'a, T: 'a>(handles: impl IntoIterator<Item = &'a TaskHandle<T>>) -> Waited {
    wait(handles, Until::FirstError, true, None)
}

/// As [`wait_first_error`], at most for `timeout`; runs no pending tasks. Timing out stops nothing.
pub fn wait_first_error_timeout<'a, T: 'a>(
    handles: impl IntoIterator<Item = &'a TaskHandle<T>>,
    timeout: Duration,
) -> Waited {
    let deadline = Instant::now().checked_add(timeout);
    wait(handles, Until::FirstError, false, deadline)
}

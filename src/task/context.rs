//! What a thread knows of itself: the pool that it works for. (The event of the task that it runs is in
//! `stop/ambient.rs`.)

use super::cell::TaskRef;
use super::group::GroupRef;
use super::home::Home;
use crate::report::TaskId;
pub(crate) use crate::stop::ambient::{contained, dispose, with_current, within};
use crate::sync::thread_locals;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

thread_locals! {
    /// The pool that this thread works for.
    static WORKER: RefCell<Option<Rc<dyn Worker>>> = const { RefCell::new(None) };
}

/// A thread that can run tasks of a pool, seen from a task that it waits for.
pub(crate) trait Worker {
    /// Whether this thread works for the pool with that home.
    fn serves(&self, home: &Home) -> bool;

    /// Runs that task on this thread if it is pending, and that task only.
    fn help(&self, task: &TaskRef) -> Result<(), Circle>;

    /// Calls `wait`, which blocks until that has happened, unless it never would because it
    /// waits, over any number of tasks, for this thread.
    fn block(&self, awaited: Awaited, wait: &mut dyn FnMut()) -> Result<(), Circle>;

    /// Drops closures that have been left to the pool's threads.
    fn tend(&self);
}

/// What a worker waits for.
#[derive(Debug)]
pub(crate) enum Awaited {
    /// One of these ends.
    AnyOf(Vec<TaskRef>),
    /// All members end.
    AllOf(GroupRef),
}

/// The tasks that wait for each other in a circle, as far as they are known.
#[derive(Clone, Debug)]
pub(crate) struct Circle(pub(crate) Vec<TaskId>);

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is no stack left to run its tasks on");
        }
        f.write_str("it waits for the task that waits for it")?;
        for (n, id) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { " (" } else { " → " })?;
            write!(f, "{id}")?;
        }
        f.write_str(")")
    }
}

/// Makes the calling thread a worker until the guard is dropped.
pub(crate) fn work_for(worker: Rc<dyn Worker>) -> WorkerGuard {
    WORKER.with(|cell| *cell.borrow_mut() = Some(worker));
    WorkerGuard(())
}

pub(crate) struct WorkerGuard(());

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        let worker = WORKER.with(|cell| cell.borrow_mut().take());
        drop(worker);
    }
}

/// The worker that the calling thread is, if it is one of the pool with that home.
pub(crate) fn worker_of(home: &Home) -> Option<Rc<dyn Worker>> {
    let worker = WORKER.try_with(|cell| cell.borrow().clone()).ok()??;
    worker.serves(home).then_some(worker)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::samples;

    /// Serves every pool.
    struct Everyone;

    impl Worker for Everyone {
        fn serves(&self, _home: &Home) -> bool {
            true
        }

        fn help(&self, _task: &TaskRef) -> Result<(), Circle> {
            Ok(())
        }

        fn block(&self, _awaited: Awaited, wait: &mut dyn FnMut()) -> Result<(), Circle> {
            wait();
            Ok(())
        }

        fn tend(&self) {}
    }

    #[test]
    fn a_thread_is_a_worker_until_the_guard_is_dropped() {
        let (home, worker) = (samples::home(), Rc::new(Everyone));
        assert!(worker_of(&home).is_none());
        let guard = work_for(worker.clone());
        assert!(worker_of(&home).is_some());
        drop(guard);
        assert!(worker_of(&home).is_none());
        assert_eq!(Rc::strong_count(&worker), 1, "it is kept no longer");
    }
}

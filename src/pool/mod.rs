//! The pool: a fixed number of worker threads that run tasks which can be stopped.
//!
//! - `builder`, `build_error`, `hooks`: how a pool is made, and why not.
//! - `submit`, `submitter`, `task_builder`, `map`, `members`, `refusal`: how tasks come in, and why not.
//! - `queue`, `runs`, `capacity`: where they wait; batches at the head of the queue.
//! - `idle`: how workers sleep and are woken.
//! - `pending`: tasks that are handed back.
//! - `worker`, `circles`: how tasks are run, and joined from inside; waits that could never end.
//! - `lifecycle`, `graves`, `threads`, `graceful`: how a pool ends.
//! - `balance`: what it reports.
//! - `recorder`: what a pool remembers for its picture.
//! - `shared`: what all of these share.

mod balance;
mod build_error;
mod builder;
mod capacity;
mod circles;
mod graceful;
mod graves;
mod hooks;
mod idle;
mod lifecycle;
#[cfg(all(test, loom))]
pub(crate) mod loom_tests;
mod map;
mod members;
mod pending;
mod queue;
#[cfg(feature = "timeline")]
mod recorder;
mod refusal;
mod runs;
mod shared;
mod submit;
mod submitter;
mod task_builder;
mod threads;
mod worker;

pub use build_error::BuildError;
pub use builder::ThreadPoolBuilder;
pub use graceful::Graceful;
pub use hooks::UnhandledPanic;
pub use map::Map;
pub use refusal::SubmitError;
pub use submitter::Submitter;
pub use task_builder::TaskBuilder;

use crate::report::{Shutdown, ShutdownReport, Stats, TaskId, TaskSnapshot};
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::task::TaskHandle;
pub(crate) use shared::Core;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A fixed number of threads that run tasks which can be stopped, and that tells how each one ended.
///
/// Tasks are closures that are handed their [`StopEvent`]. They are started in the order in which
/// each thread submitted them; a worker that waits for a task which has not started runs it itself
/// (see [`TaskHandle`]).
///
/// A pool is shared by reference or in an `Arc`. Its drop is a shutdown with [`Shutdown::StopAll`]
/// (or [what was chosen](ThreadPoolBuilder::on_drop)) that joins the threads, so that their
/// thread-local values have been dropped too; on one of the pool's own threads, where that would
/// never end, it joins nobody. The cause of what it stops names the line where the pool was made.
///
/// ```
/// use stoppable::{Outcome, Shutdown, ThreadPool};
///
/// let pool = ThreadPool::new(4);
/// let count = pool.submit(|stop| {
///     let mut n = 0_u64;
///     while !stop.is_set() {
///         n += 1;
///     }
///     n
/// });
/// count.wait_started();
/// count.cancel();
/// let Outcome::Cancelled { partial: Some(_n), .. } = count.outcome() else {
///     panic!("it was stopped");
/// };
/// let report = pool.shutdown(Shutdown::Drain);
/// assert_eq!((report.submitted(), report.cancelled()), (1, 1));
/// ```
pub struct ThreadPool {
    core: Core,
    on_drop: Shutdown,
    /// Where the pool was made: the only line of the user's that its drop can name.
    made_at: &'static Location<'static>,
}

impl ThreadPool {
    /// A pool of `threads` threads, and defaults for all else.
    ///
    /// # Panics
    ///
    /// Where [`ThreadPoolBuilder::build`] gives an error: for zero threads, for too many, and when
    /// the operating system refuses one.
    #[track_caller]
    pub fn new(threads: usize) -> Self {
        match Self::builder().threads(threads).build() {
            Ok(pool) => pool,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sets up a pool in more detail.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    /// How many worker threads there are.
    pub fn threads(&self) -> usize {
        self.core.shared.posts.len()
    }

    /// The pool's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.core.shared.name.as_deref()
    }

    /// Submits a task.
    ///
    /// One allocation. If the queue is bounded and full it waits for room, in turn; a task that
    /// submits to its own pool does not wait, and is let over the limit; one of another pool waits no longer than it is
    /// asked to stop, and then what it submits never starts. Once a shutdown has begun
    /// the task is refused: its closure is dropped at once and its handle says that it never started.
    /// [`try_submit`](Self::try_submit) gives the closure back instead.
    #[track_caller]
    pub fn submit<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.submit_plain(closure)
    }

    /// Submits a task without waiting for room.
    ///
    /// # Errors
    ///
    /// If the queue is full, or the pool is being shut down. The closure is in the error, and a task
    /// that found no room leaves no trace in the counts.
    pub fn try_submit<F, T>(&self, closure: F) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.try_submit_plain(closure)
    }

    /// Submits a task that nobody will join. What it returns is dropped on the worker; if it panics,
    /// [`on_unhandled_panic`](ThreadPoolBuilder::on_unhandled_panic) is called. Waits for room as
    /// [`submit`](Self::submit) does.
    ///
    /// # Errors
    ///
    /// If the pool is being shut down. The closure is in the error. Also, as [`Full`](SubmitError::Full), if the task that
    /// submits is asked to stop while it waits for room.
    pub fn execute<F, T>(&self, closure: F) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.execute_plain(closure)
    }

    /// Submits many tasks at once, for a fraction of what as many calls of [`submit`](Self::submit)
    /// cost. Each of them is a task like any other, with its own id, event and handle, to be cancelled
    /// alone or with all others. The handles are in the order of the closures.
    ///
    /// One worker starts the tasks in that order. Several workers take them in that order, one at a time
    /// at first; when the tasks of a batch prove to be short, up to 64 at a time, so that starts
    /// are then only roughly in order. A worker that has come to a long task does not keep what it took behind it: others take it
    /// back when they have nothing else to do, or have passed it some times. All the same, a task should wait
    /// for another one by joining it.
    ///
    /// Closures are pulled from the iterator and submitted some dozens at a time, so the first
    /// ones may run while it goes on. It may block or submit, but not wait for a closure that it has just given. If it panics, what was submitted goes on,
    /// detached, what was pulled and not yet submitted is dropped, and the panic is passed on. With one
    /// that never ends this never returns.
    ///
    /// When the queue is bounded, it waits for room as [`submit`](Self::submit) does, for some dozens
    /// at a time. Tasks that find the pool shut down are refused, as there.
    ///
    /// Allocations: one for some dozens of tasks, and the vector. That memory is shared by these tasks,
    /// so a handle or an event of one of them keeps about 2 kB.
    ///
    /// ```
    /// use stoppable::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2);
    /// let handles = pool.submit_all((0..1_000_u64).map(|n| move |_stop: &_| n * n));
    /// handles[500].cancel();
    /// let squares = handles.into_iter().filter_map(|handle| handle.join().ok());
    /// assert!(squares.count() >= 999);
    /// ```
    #[track_caller]
    pub fn submit_all<I, F, T>(&self, closures: I) -> Vec<TaskHandle<T>>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.submit_all(closures)
    }

    /// Sets up a task in more detail.
    #[track_caller]
    pub fn task(&self) -> TaskBuilder<'_> {
        TaskBuilder::new(&self.core)
    }

    /// A handle that submits to the pool and does not keep it alive: for tasks that submit tasks.
    pub fn submitter(&self) -> Submitter {
        Submitter::new(self.core.clone())
    }

    /// The pool-wide stop event. Setting it is a shutdown with [`Shutdown::StopAll`] that does not
    /// wait; its children read as set with it.
    pub fn stop_event(&self) -> StopEvent {
        StopEvent::of(self.core.home.node().clone())
    }

    /// The counts at this instant. Never behind what a handle has shown, and cheap: a few loads for
    /// each worker and one short lock.
    pub fn stats(&self) -> Stats {
        self.core.home.ledger.stats()
    }

    /// The tasks that have not ended, at this moment: those that run, and then the pending ones in order, with
    /// why and when they were asked to stop. Built with [`timings`](ThreadPoolBuilder::timings), also how long they have waited and run.
    ///
    /// For looking: it keeps workers from the queue while it walks it, and allocates for each task.
    ///
    /// ```
    /// use stoppable::{TaskStatus, ThreadPool};
    ///
    /// let pool = ThreadPool::builder().threads(1).timings(true).build()?;
    /// let first = pool.task().name("first").submit(|stop| stop.wait());
    /// first.wait_started();
    /// let second = pool.submit(|_stop| ());
    /// let tasks = pool.tasks();
    /// assert_eq!((tasks[0].name(), tasks[0].status()), (Some("first"), TaskStatus::Running));
    /// assert_eq!((tasks[1].id(), tasks[1].status()), (second.id(), TaskStatus::Pending));
    /// assert!(tasks[1].waited().is_some());
    /// # Ok::<(), stoppable::BuildError>(())
    /// ```
    pub fn tasks(&self) -> Vec<TaskSnapshot> {
        self.core.tasks()
    }

    /// Cancels every pending task, as [`TaskHandle::cancel`] does, and leaves the pool open. Says
    /// how many there were.
    #[track_caller]
    pub fn cancel_pending(&self) -> usize {
        let cause = StopCause::now(StopReason::Requested);
        self.core.shared.cancel_pending(&self.core.home, &cause)
    }

    /// Shuts the pool down, and returns when every thread has ended. The report is final.
    ///
    /// | mode | pending tasks | running tasks |
    /// |---|---|---|
    /// | `Drain` | run, and so does what running tasks still submit | finish |
    /// | `CancelPending` | never start | finish |
    /// | `StopAll` | never start | finish, with their stop events set |
    ///
    /// When tasks never start, their joiners are awake and what they captured has been dropped, on
    /// this thread, before it waits for the running ones. It may be called again, and from several
    /// threads: a stronger mode strengthens a weaker one under way.
    ///
    /// Called from one of the pool's own threads it begins the shutdown and returns at once, with the
    /// caller among the tasks that still run.
    #[track_caller]
    pub fn shutdown(&self, mode: Shutdown) -> ShutdownReport {
        let cause = StopCause::now(StopReason::Shutdown);
        self.core.begin_and_bury(mode, &cause);
        if !self.core.is_inside() {
            self.core.wait_ended(None);
            self.core.join_threads();
        }
        self.core.report()
    }

    /// As [`shutdown`](Self::shutdown), but waits at most for `timeout`; never less, while a task is
    /// still running. The report then names those [tasks](ShutdownReport::stragglers), and
    /// [is not final](ShutdownReport::is_final).
    ///
    /// The drops of what pending tasks captured are not part of the time. The drop of the pool still
    /// waits for the stragglers; [`abandon`](Self::abandon) does not.
    #[track_caller]
    pub fn shutdown_timeout(&self, mode: Shutdown, timeout: Duration) -> ShutdownReport {
        let cause = StopCause::now(StopReason::Shutdown);
        self.core.begin_and_bury(mode, &cause);
        if !self.core.is_inside() {
            self.core.wait_ended(Instant::now().checked_add(timeout));
        }
        self.core.report()
    }

    /// Begins a shutdown and does not wait for it. Pending tasks that will not start have ended, and
    /// their joiners are awake, when this returns; what they captured is dropped by a thread of the
    /// pool, as soon as one has time.
    #[track_caller]
    pub fn begin_shutdown(&self, mode: Shutdown) {
        let cause = StopCause::now(StopReason::Shutdown);
        self.core.begin_and_leave(mode, &cause);
    }
}

impl ThreadPool {
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Lets the pool go without waiting for tasks that do not stop: begins a shutdown with
    /// [`Shutdown::StopAll`] and joins nobody. Each thread ends by itself when its task does, or with
    /// the process. What is still running is in the report.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoppable::{Shutdown, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let deaf = pool.submit(|_stop| std::thread::sleep(Duration::from_secs(2)));
    /// deaf.wait_started();
    /// let report = pool.shutdown_timeout(Shutdown::StopAll, Duration::from_millis(10));
    /// assert_eq!(report.running(), 1);
    /// pool.abandon();
    /// ```
    #[track_caller]
    pub fn abandon(self) -> ShutdownReport {
        let cause = StopCause::now(StopReason::Shutdown);
        self.core.begin_and_bury(Shutdown::StopAll, &cause);
        self.core.detach_threads();
        self.core.report()
        // The drop of the pool finds it closed, and no threads to join.
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let cause = StopCause::at(StopReason::Shutdown, self.made_at);
        self.core.begin_and_bury(self.on_drop, &cause);
        if self.core.is_inside() {
            self.core.detach_threads();
        } else {
            self.core.join_threads();
        }
        self.core.shared.owner_gone();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ThreadPool {
            core,
            on_drop,
            made_at: _,
        } = self;
        f.debug_struct("ThreadPool")
            .field("name", &core.shared.name)
            .field("threads", &core.shared.posts.len())
            .field("on_drop", on_drop)
            .finish_non_exhaustive()
    }
}

//! Tasks on rayon's pools, with our handles and events.

use crate::{PendingTask, StopEvent, TaskHandle};
use ::rayon::{Scope, ScopeFifo, ThreadPool};

/// `submit` for a rayon pool that exists, and for rayon's scopes. For the pool of the current thread, which is rayon's global
/// one unless it belongs to another, there are the functions [`submit`](self::submit()) and [`submit_under`](self::submit_under()).
///
/// It is rayon's `spawn`, and what is submitted is a [task without a pool](PendingTask#tasks-without-a-pool) of
/// ours: stopped, waited for and joined by its handle, counted in no report. See [the module](super::rayon#tasks-on-rayons-pools) for what
/// it means to join one on rayon's threads.
///
/// ```
/// use rayon::prelude::*;
/// use stoppable::interop::rayon::{ParallelUntilStopped, SubmitExt};
///
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
/// let sum = pool.submit(|stop| {
///     // On the threads of this pool, and cut short with the task.
///     (0..1_000_u64).into_par_iter().until_stopped(stop).run(|numbers| numbers.sum::<u64>())
/// });
/// assert_eq!(sum.join().unwrap(), Ok(499_500));
/// # Ok::<(), rayon::ThreadPoolBuildError>(())
/// ```
pub trait SubmitExt {
    /// Gives a pending task to a thread of the pool, which runs it or finds that it has been stopped. Does not block. That a
    /// scope has ended says that all that was given to it has.
    fn spawn_pending(&self, task: PendingTask);

    /// Submits a closure, which is handed its stop event. Does not block. Until a thread gets to it, it is pending, and
    /// a cancel drops what it has captured at once; rayon keeps an empty shell in its queue.
    ///
    /// A panic of it goes to whoever joins it, and never to rayon's panic handler, which by default would abort. In
    /// which order tasks start is for rayon to say: mostly, what a thread of the pool has submitted last starts first.
    #[track_caller]
    fn submit<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (task, handle) = PendingTask::new(closure);
        self.spawn_pending(task);
        handle
    }

    /// As [`submit`](Self::submit), under an event of yours: the task's own event is set when that one is, and if the task is
    /// still pending then it never starts.
    #[track_caller]
    fn submit_under<F, T>(&self, event: &StopEvent, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (task, handle) = PendingTask::under(event, closure);
        self.spawn_pending(task);
        handle
    }
}

impl SubmitExt for ThreadPool {
    fn spawn_pending(&self, task: PendingTask) {
        self.spawn(|| run(task));
    }
}

/// What the scope waits for is the task, be it run or found stopped. Closures still borrow nothing: a handle may outlive
/// the scope.
impl SubmitExt for Scope<'_> {
    fn spawn_pending(&self, task: PendingTask) {
        self.spawn(|_| run(task));
    }
}

/// As for [`Scope`].
impl SubmitExt for ScopeFifo<'_> {
    fn spawn_pending(&self, task: PendingTask) {
        self.spawn_fifo(|_| run(task));
    }
}

/// The global pool, or that of the current thread, as one more to submit to.
struct Current;

impl SubmitExt for Current {
    fn spawn_pending(&self, task: PendingTask) {
        ::rayon::spawn(|| run(task));
    }
}

fn run(task: PendingTask) {
    // The handle has it, too.
    let _status = task.run();
}

/// Submits a closure to rayon's global pool, or to the pool of the current thread if it is one of rayon's. As
/// [`SubmitExt::submit`].
///
/// # Panics
///
/// If there is no global pool yet and the operating system refuses its threads.
///
/// ```
/// let answer = stoppable::interop::rayon::submit(|_stop| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
#[track_caller]
pub fn submit<F, T>(closure: F) -> TaskHandle<T>
where
    F: FnOnce(&StopEvent) -> T + Send + 'static,
    T: Send + 'static,
{
    Current.submit(closure)
}

/// As [`submit`](self::submit()), under an event of yours. As [`SubmitExt::submit_under`].
///
/// # Panics
///
/// As [`submit`](self::submit()).
///
/// ```
/// use stoppable::StopEvent;
/// use stoppable::interop::rayon::submit_under;
///
/// let request = StopEvent::new();
/// let tasks = [(); 8].map(|()| submit_under(&request, |stop| stop.wait()));
/// request.set();
/// assert!(tasks.into_iter().all(|task| task.join().is_err()));
/// ```
#[track_caller]
pub fn submit_under<F, T>(event: &StopEvent, closure: F) -> TaskHandle<T>
where
    F: FnOnce(&StopEvent) -> T + Send + 'static,
    T: Send + 'static,
{
    Current.submit_under(event, closure)
}

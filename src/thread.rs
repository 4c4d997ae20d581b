//! One thread that can be stopped: a task with a thread of its own, and no pool. Here is the handle; how the thread is set up
//! and started is in `thread/builder.rs`.

mod builder;

use crate::report::TaskStatus;
use crate::stop::{StopEvent, StopReason};
use crate::task::{CancelOutcome, Outcome, TaskError, TaskHandle};
use std::fmt;
use std::panic::Location;
use std::thread::{self, JoinHandle};

pub use builder::StoppableThreadBuilder;

/// Work with a state of its own that runs in a thread until it is stopped.
///
/// ```
/// use std::time::Duration;
/// use stoppable::{Runnable, StopEvent, StoppableThread};
///
/// struct Ticker {
///     ticks: u32,
/// }
///
/// impl Runnable for Ticker {
///     fn run(&mut self, stop: &StopEvent) {
///         while stop.sleep(Duration::from_millis(1)).is_ok() {
///             self.ticks += 1;
///         }
///     }
/// }
///
/// let thread = StoppableThread::run(Ticker { ticks: 0 });
/// thread.stop();
/// let ticker = thread.outcome().into_value().unwrap();
/// println!("{} ticks", ticker.ticks);
/// ```
pub trait Runnable {
    /// The work. It should look at `stop` and return soon after it is set.
    fn run(&mut self, stop: &StopEvent);
}

/// A thread that can be asked to stop.
///
/// Its closure is a task like those of a pool, except that it has always begun: it is handed its stop
/// event, it ends as completed, cancelled or panicked, and its result is fetched in the same way. Dropping the handle stops the thread
/// and waits for it, so that nothing is left running by accident; a
/// [daemon](StoppableThreadBuilder::daemon) thread is let go instead, unasked.
///
/// ```
/// use stoppable::StoppableThread;
///
/// let thread = StoppableThread::spawn(|stop| {
///     let mut rounds = 0_u64;
///     while !stop.is_set() {
///         rounds += 1;
///     }
///     rounds
/// });
/// thread.stop();
/// println!("{:?}", thread.outcome());
/// ```
#[must_use = "dropping the handle stops the thread and waits for it"]
pub struct StoppableThread<T> {
    /// `None` once the outcome is being fetched.
    handle: Option<TaskHandle<T>>,
    thread: Option<JoinHandle<()>>,
    daemon: bool,
    location: &'static Location<'static>,
}

impl<T: Send + 'static> StoppableThread<T> {
    /// Starts a thread that runs `closure`, and returns when the closure has begun.
    ///
    /// # Panics
    ///
    /// If the operating system refuses the thread; [`StoppableThreadBuilder::spawn`] gives an error
    /// instead.
    #[track_caller]
    pub fn spawn<F>(closure: F) -> Self
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
    {
        match StoppableThreadBuilder::new().spawn(closure) {
            Ok(thread) => thread,
            Err(error) => panic!("the thread could not be started: {error}"),
        }
    }
}

impl<R: Runnable + Send + 'static> StoppableThread<R> {
    /// Starts a thread that runs `runnable`, which the outcome gives back. Returns when it has begun.
    ///
    /// # Panics
    ///
    /// As [`spawn`](StoppableThread::spawn).
    #[track_caller]
    pub fn run(mut runnable: R) -> Self {
        StoppableThread::spawn(move |stop| {
            runnable.run(stop);
            runnable
        })
    }
}

impl StoppableThread<()> {
    /// Sets up a thread in more detail.
    pub fn builder() -> StoppableThreadBuilder {
        StoppableThreadBuilder::new()
    }
}

impl<T> StoppableThread<T> {
    fn handle(&self) -> &TaskHandle<T> {
        self.handle
            .as_ref()
            .expect("the handle is here until the outcome is fetched")
    }

    /// Asks the thread to stop. A thread that has ended is left as it is.
    #[track_caller]
    pub fn stop(&self) -> CancelOutcome {
        self.handle().cancel()
    }

    /// As [`stop`](Self::stop), with a reason.
    #[track_caller]
    pub fn stop_with(&self, reason: StopReason) -> CancelOutcome {
        self.handle().cancel_with(reason)
    }

    /// The thread's stop event. Polls through it do not count as the thread seeing its stop.
    pub fn stop_event(&self) -> StopEvent {
        self.handle().stop_event()
    }

    /// The thread's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.handle().name()
    }

    /// Where the closure is in its life.
    pub fn status(&self) -> TaskStatus {
        self.handle().status()
    }

    /// Whether the closure has ended.
    pub fn is_done(&self) -> bool {
        self.handle().is_done()
    }

    /// Blocks until the closure has ended.
    ///
    /// # Panics
    ///
    /// If it is the calling thread itself.
    #[track_caller]
    pub fn wait(&self) {
        self.handle().wait();
    }

    /// Blocks until the closure has ended, at most for `timeout`. Says whether it has.
    pub fn wait_timeout(&self, timeout: std::time::Duration) -> bool {
        self.handle().wait_timeout(timeout)
    }

    /// Blocks until the thread has ended, and gives its result if it completed. Asks for nothing:
    /// [`stop`](Self::stop) first what would not end by itself.
    ///
    /// # Errors
    ///
    /// If the thread was stopped or panicked, or if it is the calling thread itself.
    pub fn join(mut self) -> Result<T, TaskError> {
        self.join_thread();
        self.take_handle().join()
    }

    /// Blocks until the thread has ended, and says how.
    ///
    /// # Panics
    ///
    /// If it is the calling thread itself.
    #[track_caller]
    pub fn outcome(mut self) -> Outcome<T> {
        self.join_thread();
        self.take_handle().outcome()
    }

    fn take_handle(&mut self) -> TaskHandle<T> {
        self.handle.take().expect("the outcome is fetched once")
    }

    /// Waits until the thread is gone, its local destructors included. Not for itself.
    fn join_thread(&mut self) {
        if let Some(thread) = self.thread.take() {
            if thread.thread().id() != thread::current().id() {
                // The task contains every panic, so this is never an error.
                let _ = thread.join();
            }
        }
    }
}

impl<T> Drop for StoppableThread<T> {
    fn drop(&mut self) {
        if self.daemon {
            return;
        }
        if let Some(handle) = &self.handle {
            handle
                .canceller()
                .cancel_from(StopReason::Dropped, self.location);
        }
        self.join_thread();
    }
}

impl<T> fmt::Debug for StoppableThread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoppableThread {
            handle,
            thread: _,
            daemon,
            location: _,
        } = self;
        f.debug_struct("StoppableThread")
            .field("task", handle)
            .field("daemon", daemon)
            .finish_non_exhaustive()
    }
}

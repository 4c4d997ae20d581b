//! One thread that can be stopped: a task with a thread of its own, and no pool.
#![allow(
    unsafe_code,
    reason = "a task and its handle are born here, with types that borrow nothing"
)]

use crate::report::ledger::{Caller, Lane, Ledger};
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::Arc;
use crate::task::cell::{Birth, Extra, TaskRef};
use crate::task::context::{self, Awaited, Circle, Worker};
use crate::task::home::{Home, HomeRef, Host};
use crate::task::life::{self, Claimed, Doomed, first_word};
use crate::task::slot::Slot;
use crate::task::{CancelOutcome, Outcome, TaskError, TaskHandle};
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::thread::{self, JoinHandle};

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

/// Sets up a [`StoppableThread`].
///
/// ```
/// use stoppable::StoppableThread;
///
/// let thread = StoppableThread::builder()
///     .name("watcher")
///     .daemon(true)
///     .spawn(|stop| stop.wait())?;
/// assert_eq!(thread.name(), Some("watcher"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder starts nothing until `spawn` is called"]
pub struct StoppableThreadBuilder {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
    daemon: bool,
}

impl StoppableThreadBuilder {
    /// No name, the standard stack size, not a daemon.
    pub fn new() -> Self {
        StoppableThreadBuilder::default()
    }

    /// The name of the thread, for the operating system and in errors.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The stack of the thread, in bytes. By default as the standard library has it.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether dropping the handle lets the thread go, unasked, instead of stopping it and waiting
    /// for it. Like any other thread it ends with the process.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Starts the thread, and returns when the closure has begun.
    ///
    /// # Errors
    ///
    /// If the operating system refuses it, or the name has a NUL in it. The closure is dropped then.
    #[track_caller]
    pub fn spawn<F, T>(self, closure: F) -> io::Result<StoppableThread<T>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let mut builder = thread::Builder::new();
        if let Some(name) = &self.name {
            if name.contains('\0') {
                let text = format!("the thread name {name:?} contains a NUL");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            builder = builder.name(name.to_string());
        }
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let home = HomeRef::new(None, Ledger::new(1, 0, false), Arc::new(Alone));
        let birth = Birth {
            parent: home.node().clone(),
            id: home
                .ledger
                .admit(Caller::Outside, 1)
                .unwrap_or(TaskId::new(0)),
            word: first_word(true, true),
            count: 2,
            extra: Extra {
                name: self.name,
                ..Extra::new()
            },
        };
        // SAFETY: closure and value borrow nothing, since both are `'static`.
        let task = unsafe { TaskRef::new(birth, closure) };
        // SAFETY: it was born with two references, and this is the second.
        let twin = unsafe { task.twin() };
        // SAFETY: it was born with a handle, for this `T`, and this is it.
        let handle = unsafe { TaskHandle::<T>::new(twin) };
        let canceller = handle.canceller();
        let main = move || alone(&home, task);
        // A stack size near the largest number makes the standard library panic instead of fail.
        let spawned = catch_unwind(AssertUnwindSafe(|| builder.spawn(main)));
        let thread = spawned.unwrap_or_else(|payload| {
            context::dispose(payload);
            let text = "a stack of that size cannot be had";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        });
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => {
                // Drops the closure, which no thread will run.
                canceller.cancel();
                return Err(error);
            }
        };
        // So that to stop it is to stop it running, and what it was given is always given back.
        handle.wait_started();
        Ok(StoppableThread {
            handle: Some(handle),
            thread: Some(thread),
            daemon: self.daemon,
            location: Location::caller(),
        })
    }
}

/// The life of the thread.
fn alone(home: &HomeRef, task: TaskRef) {
    let _guard = context::work_for(Rc::new(AloneWorker(home.clone())));
    let lane: &Lane = home.ledger.lane(0);
    lane.enter();
    let claimed = life::claim(task);
    lane.leave(claimed.is_ok());
    // Nobody could cancel it before: the handle is given out once it has begun.
    if let Ok(claimed) = claimed {
        Claimed::run(claimed, lane, &Slot::new(false));
    }
}

/// The thread, seen from a task that it waits for: which can only be its own.
struct AloneWorker(HomeRef);

impl Worker for AloneWorker {
    fn serves(&self, home: &Home) -> bool {
        std::ptr::eq(&*self.0, home)
    }

    fn help(&self, _task: &TaskRef) -> Result<(), Circle> {
        Ok(())
    }

    fn block(&self, awaited: Awaited, wait: &mut dyn FnMut()) -> Result<(), Circle> {
        match awaited {
            Awaited::AnyOf(tasks) => Err(Circle(tasks.iter().map(TaskRef::id).collect())),
            Awaited::AllOf(_) => {
                wait();
                Ok(())
            }
        }
    }

    fn tend(&self) {}
}

/// The host of a task that has no pool.
struct Alone;

impl Host for Alone {
    fn left_queue(&self, _home: &Home, _husks: usize) {}

    fn leave(&self, _home: &Home, doomed: Doomed) {
        doomed.drop_closure();
    }

    fn stop(&self, _home: &Home, _cause: &StopCause, raise: &mut dyn FnMut()) {
        raise();
    }

    fn unhandled_panic(&self, _id: TaskId, _name: Option<&str>, _payload: &(dyn Any + Send)) {}
}

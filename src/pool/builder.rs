//! How a pool is made.

mod start;
mod under;

use self::start::start;
use self::under::listen_to;
use super::ThreadPool;
use super::build_error::{BuildError, Kind};
use super::capacity::Capacity;
use super::hooks::{Hooks, Naming, UnhandledPanic};
use super::idle::{Idle, MOST_WORKERS};
use super::lifecycle::Life;
use super::queue::Queue;
#[cfg(feature = "timeline")]
use super::recorder::Recorder;
use super::shared::{Core, Shared};
use super::worker::Post;
use crate::report::Shutdown;
use crate::report::ledger::Ledger;
use crate::report::tick::Tick;
use crate::stop::clock::Stamp;
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex};
use crate::task::home::{HomeRef, Host};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

/// As the standard library's threads have, but set by name, so that it is known.
const STACK_SIZE: usize = 2 * 1024 * 1024;
/// How many details of each kind a report keeps.
const DETAILS: usize = 1_000;

/// Sets up a [`ThreadPool`]; made by [`ThreadPool::builder`].
///
/// ```
/// use stoppable::ThreadPool;
///
/// let pool = ThreadPool::builder()
///     .threads(4)
///     .name("index")
///     .queue_capacity(1_000)
///     .build()?;
/// assert_eq!(pool.threads(), 4);
/// # Ok::<(), stoppable::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ThreadPoolBuilder {
    threads: Option<usize>,
    name: Option<Arc<str>>,
    naming: Naming,
    stack_size: usize,
    queue_capacity: Option<usize>,
    stop_with: Option<(StopEvent, Shutdown)>,
    on_drop: Shutdown,
    details: usize,
    timings: bool,
    #[cfg(feature = "timeline")]
    pub(super) timeline: Option<usize>,
    hooks: Hooks,
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        ThreadPoolBuilder {
            threads: None,
            name: None,
            naming: Naming::default(),
            stack_size: STACK_SIZE,
            queue_capacity: None,
            stop_with: None,
            on_drop: Shutdown::StopAll,
            details: DETAILS,
            timings: false,
            #[cfg(feature = "timeline")]
            timeline: None,
            hooks: Hooks::default(),
        }
    }

    /// How many worker threads there are, from 1 to 65,535. By default as many as the machine has
    /// logical processors.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The pool's name, in reports and in the names of its threads (`name-0`, `name-1`, …).
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How each thread is named, by its index from 0. By default by the pool's name.
    pub fn thread_name(mut self, name: impl FnMut(usize) -> String + Send + 'static) -> Self {
        self.naming = Naming(Some(Box::new(name)));
        self
    }

    /// The stack of each worker thread, in bytes. 2 MiB by default.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// How many tasks may be pending; at least 1. Who submits more from outside the pool waits for
    /// room ([`submit`](ThreadPool::submit)) or is refused ([`try_submit`](ThreadPool::try_submit)).
    /// By default there is no limit.
    pub fn queue_capacity(mut self, tasks: usize) -> Self {
        self.queue_capacity = Some(tasks);
        self
    }

    /// Shuts the pool down, in this mode, when `event` is set; whoever sets it does not wait for the
    /// pool. With [`Shutdown::StopAll`] the pool's own event, and so every task's, is a child of
    /// `event`: a poll is one load more, and running tasks are asked by the set itself. Unless the mode is
    /// [`Shutdown::Drain`], no task begins on a worker that has run one which saw `event` set, though the
    /// setter may have others to tell before it comes to the pool. (One that is being submitted just then may, and with
    /// [`Shutdown::CancelPending`] so may those in scopes of running tasks.)
    ///
    /// ```
    /// use stoppable::{Shutdown, StopEvent, ThreadPool};
    ///
    /// let ctrl_c = StopEvent::new();
    /// let pool = ThreadPool::builder().stop_with(&ctrl_c, Shutdown::StopAll).build()?;
    /// let task = pool.submit(|stop| stop.wait());
    /// ctrl_c.set();
    /// task.wait();
    /// # Ok::<(), stoppable::BuildError>(())
    /// ```
    pub fn stop_with(mut self, event: &StopEvent, mode: Shutdown) -> Self {
        self.stop_with = Some((event.clone(), mode));
        self
    }

    /// Whether it is kept how long each task waits and runs: for the report and its details, for stragglers and for
    /// [`tasks`](ThreadPool::tasks). Costs three looks at a clock a task, two in a batch, and some words. Off by default.
    ///
    /// On x86-64 under Linux that clock is the processor's counter, if the system takes its own time from it: a look takes
    /// about half as long as one at [`Instant`](std::time::Instant). A task's end is when the processor is done with it. Its
    /// start is up to some hundred nanoseconds too early, as the processor may still wait for what the worker did to fetch
    /// it. A submission, and the start of a task that is run inside of another, may be too early by as long as the processor still
    /// waits for what the thread did before, mostly nothing, at worst some microseconds with a chain of loads from
    /// memory. Besides, times are off by up to about a microsecond, and long ones by a part in some hundred. A task during which
    /// the machine was suspended may seem to have taken the time of that, or none. Elsewhere the clock is `Instant`.
    ///
    /// How soon tasks stop that are asked to is known without it.
    pub fn timings(mut self, timings: bool) -> Self {
        self.timings = timings;
        self
    }

    /// What the drop of the pool does. [`Shutdown::StopAll`] by default.
    pub fn on_drop(mut self, mode: Shutdown) -> Self {
        self.on_drop = mode;
        self
    }

    /// How many tasks of each kind the report keeps details of. 1,000 by default.
    pub fn report_details(mut self, tasks: usize) -> Self {
        self.details = tasks;
        self
    }

    /// Called on each worker thread, and each spare thread of a deep join, before its first task.
    /// If it panics on a worker thread, [`build`](Self::build) fails.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.hooks.thread_start = Some(Box::new(hook));
        self
    }

    /// Called on each such thread after its last task. A panic in it is contained.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.hooks.thread_stop = Some(Box::new(hook));
        self
    }

    /// Called when a task has panicked and nobody will ever join it: its handle was dropped, or it
    /// was never made ([`execute`](ThreadPool::execute)). Runs on the worker, or where the handle is
    /// dropped, while the pool exists; a panic in it is contained.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use stoppable::ThreadPool;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let pool = ThreadPool::builder()
    ///     .threads(1)
    ///     .on_unhandled_panic(move |panic| {
    ///         tell.send(panic.message().unwrap_or("?").to_owned()).unwrap();
    ///     })
    ///     .build()?;
    /// pool.execute(|_stop| panic!("nobody is looking")).unwrap();
    /// assert_eq!(told.recv().unwrap(), "nobody is looking");
    /// # Ok::<(), stoppable::BuildError>(())
    /// ```
    pub fn on_unhandled_panic(
        mut self,
        hook: impl Fn(&UnhandledPanic<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.unhandled_panic = Some(Box::new(hook));
        self
    }

    /// Starts the threads, and returns when every start hook has run.
    ///
    /// # Errors
    ///
    /// Zero threads or more than 65,535, zero capacity, a NUL in a thread's name, a thread that the
    /// operating system refuses, a start hook or a naming function that panics. Nothing is left
    /// running then: every thread that was started has ended.
    #[track_caller]
    pub fn build(mut self) -> Result<ThreadPool, BuildError> {
        let threads = self.threads.unwrap_or_else(num_cpus::get);
        if threads == 0 {
            return Err(Kind::ZeroThreads.into());
        }
        if threads > MOST_WORKERS {
            return Err(Kind::TooManyThreads(threads).into());
        }
        if self.queue_capacity == Some(0) {
            return Err(Kind::ZeroCapacity.into());
        }
        let names = self.thread_names(threads)?;
        let on_drop = self.on_drop;
        let stop_with = self.stop_with.take();
        let core = self.core(threads, stop_with.as_ref());
        let heeded = stop_with
            .clone()
            .filter(|(_, mode)| *mode >= Shutdown::CancelPending);
        match start(&core, &heeded, names) {
            Ok(()) => {
                if let Some((event, mode)) = stop_with {
                    listen_to(&core, event, mode);
                }
                Ok(ThreadPool {
                    core,
                    on_drop,
                    made_at: Location::caller(),
                })
            }
            Err(error) => {
                let cause = StopCause::now(StopReason::Shutdown);
                core.begin_and_bury(Shutdown::StopAll, &cause);
                core.join_threads();
                Err(error)
            }
        }
    }

    fn has_timeline(&self) -> bool {
        #[cfg(feature = "timeline")]
        let has = self.timeline.is_some();
        #[cfg(not(feature = "timeline"))]
        let has = false;
        has
    }

    fn thread_names(&mut self, threads: usize) -> Result<Vec<String>, BuildError> {
        let pool = self.name.clone();
        let mut naming = self.naming.0.take();
        let name = |index| match &mut naming {
            Some(naming) => naming(index),
            None => format!("{}-{index}", pool.as_deref().unwrap_or("stoppable")),
        };
        let names: Vec<String> =
            catch_unwind(AssertUnwindSafe(|| (0..threads).map(name).collect()))
                .map_err(|payload| Kind::Hook(payload.into()))?;
        match names.iter().find(|name| name.contains('\0')) {
            Some(name) => Err(Kind::NulInName(name.clone()).into()),
            None => Ok(names),
        }
    }

    pub(super) fn core(self, threads: usize, stop_with: Option<&(StopEvent, Shutdown)>) -> Core {
        Stamp::begin();
        let stamps = self.timings || self.has_timeline();
        if stamps {
            Tick::begin();
        }
        let shared = Arc::new(Shared {
            name: self.name,
            stack_size: self.stack_size,
            hooks: Mutex::new(Some(Arc::new(self.hooks))),
            queue: Queue::new(threads),
            emptying: Mutex::new(()),
            idle: Idle::new(threads),
            capacity: self.queue_capacity.map(Capacity::new),
            posts: (0..threads).map(|_| Post::new(stamps)).collect(),
            stamps,
            #[cfg(feature = "timeline")]
            recorder: self.timeline.map(Recorder::new),
            blocked: Mutex::new(Vec::new()),
            life: Mutex::new(Life::default()),
            thread_ended: Condvar::new(),
            finished: AtomicBool::new(false),
            holds: AtomicUsize::new(0),
            graves: AtomicUsize::new(0),
            graveyard: Mutex::new(Vec::new()),
        });
        let host: Arc<dyn Host> = shared.clone();
        let parent = stop_with
            .filter(|(_, mode)| *mode == Shutdown::StopAll)
            .and_then(|(event, _)| event.node().cloned());
        let home = HomeRef::new(
            parent,
            Ledger::new(threads, self.details, self.timings),
            host,
        );
        Core { home, shared }
    }
}

//! How a stoppable thread is set up and started, and what it does until its task has ended. The thread is the only worker of
//! its task's home, and nobody else's.
#![allow(
    unsafe_code,
    reason = "a task and its handle are born here, with types that borrow nothing"
)]

use super::StoppableThread;
use crate::report::TaskId;
use crate::report::lane::Lane;
use crate::report::ledger::{Caller, Ledger};
use crate::stop::{StopCause, StopEvent};
use crate::sync::Arc;
use crate::task::TaskHandle;
use crate::task::cell::{Birth, Extra, TaskRef};
use crate::task::context::{self, Awaited, Circle, Worker};
use crate::task::home::{Home, HomeRef, Host};
use crate::task::life::{self, Claimed, Doomed, first_word};
use crate::task::slot::Slot;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::thread;

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

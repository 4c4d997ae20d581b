//! What all scopes share: running a body, waiting for its tasks, and what comes of both.

use crate::pool::Core;
use crate::stop::{StopCause, StopEvent, StopReason, Stopped};
use crate::sync::Mutex;
use crate::task::cell::Payload;
use crate::task::context::{contained, with_current};
use crate::task::group::{GroupRef, Open, Sort};
use crate::task::{TaskHandle, is_stop_unwind};
use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::process;
use std::time::Instant;

/// Tasks that end together.
pub(super) struct Work {
    core: Core,
    group: GroupRef,
    /// The first panic.
    panic: Mutex<Option<Payload>>,
    /// `None` once nobody may stop it from above.
    open: Mutex<Option<Open>>,
}

/// What a task's closure ends with if it panicked and the payload is to be re-raised elsewhere.
struct Raised;

impl Work {
    /// Work for the pool, under the task that runs on this thread, if one does.
    pub(super) fn new(core: &Core, owned: bool, location: &'static Location<'static>) -> Work {
        let surrounding = with_current(|event| (event.node().cloned(), event.observer().cloned()));
        let (task, observer) = surrounding.unwrap_or((None, None));
        let (sort, first, others) = match task {
            // It is under the pool's home already.
            Some(task) if core.owns(&task) => (Sort::Inside, task, Vec::new()),
            task => (Sort::Outside, core.node().clone(), Vec::from_iter(task)),
        };
        let sort = if owned { Sort::Owned } else { sort };
        let group = GroupRef::new(sort, first, others, observer, location);
        let open = Mutex::new(Some(group.open()));
        Work {
            core: core.clone(),
            group,
            panic: Mutex::new(None),
            open,
        }
    }

    /// The event of all of it; polls through it count as whoever opened it seeing its stop.
    pub(super) fn stop_event(&self) -> StopEvent {
        let node = self.group.node();
        StopEvent::given(node.clone(), node.clone())
    }

    pub(super) fn stop(&self, cause: &StopCause) -> bool {
        self.group.node().raise_as_kind(cause)
    }

    /// Why it has been stopped, if it has.
    pub(super) fn cause(&self) -> Option<StopCause> {
        self.group.node().cause()
    }

    /// Runs a pending task, on a worker of the pool. False: this is none, or there is none.
    pub(super) fn help(&self) -> bool {
        self.group.help()
    }

    pub(super) fn len(&self) -> usize {
        self.group.len()
    }

    /// Stops the others when the task that runs on this thread has ended.
    pub(super) fn fail(&self) {
        self.group.fail();
    }

    /// Submits a task whose panic is the work's.
    ///
    /// # Safety
    ///
    /// Nothing that closure and value borrow ends before [`run`](Self::run) returns, or, if there is no such call,
    /// they borrow nothing.
    #[expect(
        unsafe_code,
        reason = "the lifetime of what is borrowed is for the scope to see to"
    )]
    #[track_caller]
    pub(super) unsafe fn submit<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send,
        T: Send,
    {
        // SAFETY: `run` waits until the group is empty, and does not unwind before; the rest is passed on from our caller.
        unsafe { self.core.submit_member(&self.group, closure) }
    }

    /// Calls a task's code, which is given this event. A panic is kept, and stops the others; the task's handle gets a
    /// copy.
    pub(super) fn call<T>(&self, stop: &StopEvent, code: impl FnOnce(&StopEvent) -> T) -> T {
        match catch_unwind(AssertUnwindSafe(|| code(stop))) {
            Ok(value) => value,
            Err(payload) if is_stop_unwind(&*payload) && stop.peek() => resume_unwind(payload),
            Err(payload) => {
                let copy = copy_of(&*payload);
                self.panicked(payload);
                self.fail();
                resume_unwind(copy)
            }
        }
    }

    fn panicked(&self, payload: Payload) {
        let mut first = self.panic.lock();
        if first.is_none() {
            *first = Some(payload);
        } else {
            drop(first);
            contained(|| drop(payload));
        }
    }

    pub(super) fn take_panic(&self) -> Option<Payload> {
        self.panic.lock().take()
    }

    /// Waits for all tasks. A worker of the pool runs those that are pending.
    ///
    /// # Panics
    ///
    /// If that could never end, of work that is owned.
    #[track_caller]
    pub(super) fn wait(&self) {
        if let Err(circle) = self.group.wait(true, None) {
            panic!("the group was not waited for: {circle}");
        }
    }

    /// Waits for all tasks, at most until `deadline`. Says whether they have ended.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        // Only who helps is ever refused.
        self.group.wait(false, deadline).unwrap_or(false)
    }

    /// Nothing above stops it from now on.
    pub(super) fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    /// No task will be waited for any more, nor stopped.
    pub(super) fn forget(&self) {
        self.group.forget();
    }

    /// Why the work is to be taken as stopped, if it is; and notes that the task which is told of it by
    /// this has seen its stop.
    pub(super) fn take_stop(&self) -> Option<Stopped> {
        let cause = self.group.take_stop(self.group.node())?;
        if let Some(task) = self.group.opener() {
            // The pool refuses members before it has asked everyone who runs.
            if let Some(stop) = self.core.stopping().filter(|_| !task.reads_set()) {
                task.raise_as_kind(&stop);
            }
        }
        let _ = with_current(StopEvent::is_set);
        Some(Stopped::new(cause))
    }

    /// Calls `body`, and waits for all tasks, whatever it did. A panic, the body's or a task's, is re-raised
    /// then, after a call of `clear` to drop what tasks have left elsewhere; and if a task did not complete, there is no result.
    pub(super) fn run<R>(
        &self,
        body: impl FnOnce() -> R,
        clear: impl FnOnce(),
    ) -> Result<R, Stopped> {
        let result = catch_unwind(AssertUnwindSafe(body));
        let waits = Waits;
        let result = result.map_err(|payload| {
            let location = self.group.location();
            self.stop(&StopCause::at(StopReason::SiblingFailed, location));
            if is_stop_unwind(&*payload) {
                return Some(payload);
            }
            self.panicked(payload);
            None
        });
        self.wait();
        mem::forget(waits);
        self.close();
        self.forget();
        if let Some(payload) = self.take_panic() {
            // Not while it unwinds: a second panic would abort the process.
            contained(|| drop(result));
            contained(clear);
            resume_unwind(payload);
        }
        match result {
            Ok(result) => match self.take_stop() {
                None => Ok(result),
                Some(stopped) => {
                    contained(|| drop(result));
                    Err(stopped)
                }
            },
            Err(Some(unwinding)) => {
                contained(clear);
                resume_unwind(unwinding)
            }
            Err(None) => unreachable!("the body's panic was kept, and nobody else takes it"),
        }
    }
}

/// Tasks borrow from frames further up, and are waited for. Foreign code that is run meanwhile is contained; should anything
/// unwind nevertheless, the process ends before those frames do.
struct Waits;

impl Drop for Waits {
    fn drop(&mut self) {
        process::abort();
    }
}

/// A payload that says the same, if it says something.
fn copy_of(payload: &(dyn Any + Send)) -> Payload {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        Box::new(*text)
    } else if let Some(text) = payload.downcast_ref::<String>() {
        Box::new(text.clone())
    } else {
        Box::new(Raised)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("left", &self.len())
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

//! How tasks come in.
#![allow(
    unsafe_code,
    reason = "tasks and handles are born here, with types that borrow nothing"
)]

use super::capacity::Capacity;
use super::shared::Core;
use crate::report::TaskId;
use crate::report::ledger::Caller;
use crate::stop::any::any;
use crate::stop::timer;
use crate::stop::{StopCause, StopEvent, StopReason, current};
use crate::sync::Arc;
use crate::task::TaskHandle;
use crate::task::cell::{Birth, Extra, Member, Room, TaskRef};
use crate::task::context;
use crate::task::entry::Entry;
use crate::task::group::{GroupRef, Sort};
use crate::task::life::{self, Doomed, first_word};
use crate::task::slab::Draft;
use crate::task::stash;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Why a task was not accepted, with its closure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SubmitError<F> {
    /// There was no room in the queue. Only where the call does not wait for room.
    Full(F),
    /// The pool is being shut down, or has been.
    ShutDown(F),
}

impl<F> SubmitError<F> {
    /// The closure.
    pub fn into_inner(self) -> F {
        match self {
            SubmitError::Full(closure) | SubmitError::ShutDown(closure) => closure,
        }
    }

    /// Whether there was no room in the queue.
    pub fn is_full(&self) -> bool {
        matches!(self, SubmitError::Full(_))
    }

    /// Whether the pool is being shut down, or has been.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, SubmitError::ShutDown(_))
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Full(_) => "the pool's queue is full",
            SubmitError::ShutDown(_) => "the pool has been shut down",
        })
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Full(_) => "Full(..)",
            SubmitError::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<F> Error for SubmitError<F> {}

/// A vector of handles is not made larger than this on an iterator's word.
const HINT_MOST: usize = 1 << 20;

/// What to do when there is no room.
#[derive(Clone, Copy)]
pub(super) enum WhenFull<'a> {
    Refuse,
    /// Wait for room: not longer than the task that submits is not stopped, nor the event that the new one
    /// is under.
    Wait(Option<&'a StopEvent>),
}

#[derive(Debug)]
pub(super) enum Refusal {
    Full,
    ShutDown,
    /// There was no room until this happened.
    Stopped(StopCause),
}

impl Refusal {
    fn with<F>(self, closure: F) -> SubmitError<F> {
        match self {
            Refusal::Full | Refusal::Stopped(_) => SubmitError::Full(closure),
            Refusal::ShutDown => SubmitError::ShutDown(closure),
        }
    }

    /// Why a task that was refused will never start.
    #[track_caller]
    pub(super) fn cause(self) -> StopCause {
        match self {
            Refusal::Full | Refusal::ShutDown => StopCause::now(StopReason::Shutdown),
            Refusal::Stopped(cause) => cause,
        }
    }
}

impl Core {
    #[track_caller]
    pub(super) fn submit<F, T, X>(
        &self,
        under: Option<&StopEvent>,
        extra: X,
        closure: F,
    ) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
        X: Room,
    {
        let (task, handle) = match self.admit(WhenFull::Wait(under), 1) {
            Ok(id) => self.birth(id, true, under, extra, closure),
            Err(refusal) => return self.refused(refusal, extra, closure),
        };
        if X::ANY {
            life::await_start(&task, under);
        }
        self.push(Entry::of_task(task, true));
        handle
    }

    pub(super) fn try_submit<F, T, X>(
        &self,
        under: Option<&StopEvent>,
        extra: X,
        closure: F,
    ) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
        X: Room,
    {
        let id = match self.admit(WhenFull::Refuse, 1) {
            Ok(id) => id,
            Err(refusal) => return Err(self.count_refusal(refusal).with(closure)),
        };
        let (task, handle) = self.birth(id, true, under, extra, closure);
        if X::ANY {
            life::await_start(&task, under);
        }
        self.push(Entry::of_task(task, true));
        Ok(handle)
    }

    pub(super) fn execute<F, T, X>(
        &self,
        under: Option<&StopEvent>,
        extra: X,
        closure: F,
    ) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
        X: Room,
    {
        let id = match self.admit(WhenFull::Wait(under), 1) {
            Ok(id) => id,
            Err(refusal) => return Err(self.count_refusal(refusal).with(closure)),
        };
        let birth = self.plan(id, first_word(true, false), 1, under, extra);
        // SAFETY: closure and value borrow nothing, since both are `'static`.
        let task = unsafe { TaskRef::new(birth, closure) };
        if X::ANY {
            life::await_start(&task, under);
        }
        self.push(Entry::of_task(task, false));
        Ok(id)
    }

    /// Submits many tasks, as few slabs.
    #[track_caller]
    pub(super) fn submit_all<I, F, T>(&self, closures: I) -> Vec<TaskHandle<T>>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let capacity = self.shared.capacity.as_ref();
        let most = capacity.map_or(usize::MAX, Capacity::most);
        let mut closures = closures.into_iter().fuse();
        let mut handles = Vec::with_capacity(closures.size_hint().0.min(HINT_MOST));
        let mut batch = None;
        let mut room = 8_usize;
        while let Some(first) = closures.next() {
            let known = closures.size_hint().0.saturating_add(1);
            room = room.saturating_mul(2).max(known);
            let mut draft = Draft::new(stash::take(&self.home), room.min(most));
            draft.push(first);
            while !draft.is_full() {
                match closures.next() {
                    Some(closure) => draft.push(closure),
                    None => break,
                }
            }
            self.submit_draft(draft, &mut batch, &mut handles);
        }
        handles
    }

    /// Submits a slab of a batch, and adds its handles. False: they were refused.
    #[track_caller]
    pub(super) fn submit_draft<F, T>(
        &self,
        draft: Draft<F, T>,
        batch: &mut Option<TaskId>,
        handles: &mut impl Extend<TaskHandle<T>>,
    ) -> bool
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        let count = draft.len();
        let (first, refusal) = match self.admit(WhenFull::Wait(None), count) {
            Ok(first) => (first, None),
            Err(refusal) => (self.home.ledger.refuse(count as u64), Some(refusal)),
        };
        let batch = *batch.get_or_insert(first);
        // SAFETY: closures and values borrow nothing, since both are `'static`; the draft has a first
        // closure.
        let slab = unsafe { draft.finish(first, batch, refusal.is_none()) };
        let cells = slab.cells();
        handles.extend((0..slab.len()).map(|index| {
            // SAFETY: once for each task.
            let task = unsafe { cells.handle(index) };
            // SAFETY: each was made with a handle, for this `T`, and this is it.
            unsafe { TaskHandle::new(task) }
        }));
        let Some(refusal) = refusal else {
            self.push(Entry::of_slab(slab));
            return true;
        };
        let cause = refusal.cause();
        for index in 0..slab.len() {
            Doomed::refused(slab.lend(index).clone(), &cause).drop_closure();
        }
        false
    }

    /// Takes room in the queue for so many tasks, and ids in the ledger; says the first.
    #[inline]
    fn admit(&self, when_full: WhenFull<'_>, count: usize) -> Result<TaskId, Refusal> {
        if self.shared.capacity.is_some() {
            self.find_room(when_full, count)?;
        }
        if let Some(id) = self.home.ledger.admit(Caller::Outside, count as u64) {
            return Ok(id);
        }
        self.admit_inside(Caller::Inside, count)
    }

    /// Takes room in the queue, if that is bounded.
    fn find_room(&self, when_full: WhenFull<'_>, count: usize) -> Result<(), Refusal> {
        let Some(capacity) = &self.shared.capacity else {
            return Ok(());
        };
        if capacity.try_acquire(count) {
            return Ok(());
        }
        match when_full {
            WhenFull::Refuse => Err(Refusal::Full),
            WhenFull::Wait(_) if self.is_inside() => {
                capacity.acquire_over(count);
                Ok(())
            }
            WhenFull::Wait(under) => {
                let current = current();
                if capacity.acquire(count, [&current].into_iter().chain(under)) {
                    return Ok(());
                }
                // If it was the task's own event, it has seen it.
                let stop = if current.is_set() {
                    Some(&current)
                } else {
                    under
                };
                let cause = stop.and_then(StopEvent::cause);
                Err(cause.map_or(Refusal::Full, Refusal::Stopped))
            }
        }
    }

    /// The door is not open: running tasks may still submit while the pool drains, and to the scopes that
    /// they have opened while pending tasks are cancelled.
    #[cold]
    fn admit_inside(&self, caller: Caller, count: usize) -> Result<TaskId, Refusal> {
        if caller == Caller::Scope || self.is_inside() {
            if let Some(id) = self.home.ledger.admit(caller, count as u64) {
                return Ok(id);
            }
        }
        if let Some(capacity) = &self.shared.capacity {
            capacity.release(count);
        }
        Err(Refusal::ShutDown)
    }

    /// Submits a member of a group.
    ///
    /// # Safety
    ///
    /// The closure and the value borrow nothing that ends before the group has been empty; and then the
    /// handle, if it is still there, is leaked.
    #[track_caller]
    pub(crate) unsafe fn submit_member<F, T>(&self, group: &GroupRef, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send,
        T: Send,
    {
        group.enter();
        let (id, refusal) = match self.admit_member(group) {
            Ok(id) => (id, None),
            Err(refusal) => (self.home.ledger.refuse(1), Some(refusal)),
        };
        let birth = Birth {
            parent: group.node().clone(),
            id,
            word: first_word(refusal.is_none(), true),
            count: 2,
            extra: Member,
        };
        // SAFETY: whoever waits for the group to be empty waits until the task has been given up: then
        // its closure is gone, and its value is gone or its handle's, as our caller vouches.
        let task = unsafe { TaskRef::new(birth, closure) };
        // SAFETY: it was born with two references, and this is the second.
        let twin = unsafe { task.twin() };
        // SAFETY: it was born with a handle, for this `T`, and this is it.
        let handle = unsafe { TaskHandle::new(twin) };
        match (refusal, group.node().cause()) {
            (Some(refusal), cause) => {
                let cause = cause.unwrap_or_else(|| refusal.cause());
                Doomed::refused(task, &cause).drop_closure();
            }
            (None, Some(cause)) => life::doom_unqueued(&task, &cause),
            (None, None) => {
                self.push(if group.is_scope() {
                    Entry::of_member(task.clone())
                } else {
                    Entry::of_task(task.clone(), true)
                });
                group.add(task);
            }
        }
        handle
    }

    fn admit_member(&self, group: &GroupRef) -> Result<TaskId, Refusal> {
        let event = StopEvent::of(group.node().clone());
        self.find_room(WhenFull::Wait(Some(&event)), 1)?;
        if let Some(id) = self.home.ledger.admit(Caller::Outside, 1) {
            return Ok(id);
        }
        let caller = match group.sort() {
            Sort::Inside => Caller::Scope,
            Sort::Outside | Sort::Owned => Caller::Inside,
        };
        self.admit_inside(caller, 1)
    }

    /// Whether the calling thread is one of the pool's workers.
    pub(super) fn is_inside(&self) -> bool {
        context::worker_of(&self.home).is_some()
    }

    #[cold]
    fn count_refusal(&self, refusal: Refusal) -> Refusal {
        if matches!(refusal, Refusal::ShutDown) {
            self.home.ledger.refuse_without_id();
        }
        refusal
    }

    /// A handle on a task that never starts.
    #[cold]
    #[track_caller]
    fn refused<F, T, X>(&self, refusal: Refusal, extra: X, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
        X: Room,
    {
        let id = self.home.ledger.refuse(1);
        let (task, handle) = self.birth(id, false, None, extra, closure);
        Doomed::refused(task, &refusal.cause()).drop_closure();
        handle
    }

    /// A task and its handle.
    #[inline]
    fn birth<F, T, X>(
        &self,
        id: TaskId,
        accepted: bool,
        under: Option<&StopEvent>,
        extra: X,
        closure: F,
    ) -> (TaskRef, TaskHandle<T>)
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
        X: Room,
    {
        let birth = self.plan(id, first_word(accepted, true), 2, under, extra);
        // SAFETY: closure and value borrow nothing, since both are `'static`.
        let task = unsafe { TaskRef::new(birth, closure) };
        // SAFETY: it was born with two references, and this is the second.
        let twin = unsafe { task.twin() };
        // SAFETY: it was born with a handle, for this `T`, and this is it.
        (task, unsafe { TaskHandle::new(twin) })
    }

    #[inline]
    fn plan<X>(
        &self,
        id: TaskId,
        word: u32,
        count: u32,
        under: Option<&StopEvent>,
        extra: X,
    ) -> Birth<X> {
        let home = stash::take(&self.home);
        let parent = match under.and_then(StopEvent::node) {
            Some(event) => any(home, vec![event.clone()]),
            None => home,
        };
        Birth {
            parent,
            id,
            word,
            count,
            extra,
        }
    }

    #[inline]
    fn push(&self, entry: Entry) {
        self.shared.queue.push(entry);
        if self.shared.idle.notify() {
            self.pushed_while_closing();
        }
    }
}

/// Sets up one task; made by [`ThreadPool::task`](crate::ThreadPool::task).
///
/// ```
/// use stoppable::ThreadPool;
///
/// let pool = ThreadPool::new(1);
/// let handle = pool.task().name("answer").submit(|_stop| 6 * 7);
/// assert_eq!(handle.name(), Some("answer"));
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
#[derive(Debug)]
#[must_use = "nothing is submitted until `submit` is called"]
pub struct TaskBuilder<'a> {
    core: &'a Core,
    extra: Extra,
    under: Option<StopEvent>,
}

impl<'a> TaskBuilder<'a> {
    #[track_caller]
    pub(super) fn new(core: &'a Core) -> Self {
        TaskBuilder {
            core,
            extra: Extra::new(),
            under: None,
        }
    }

    /// The task's name, for errors and reports.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.extra.name = Some(name.into());
        self
    }

    /// How long the task may run, from its start: its event is set then, with
    /// [`StopReason::Deadline`]. A task that does not look runs on.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoppable::{Outcome, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let handle = pool.task().timeout(Duration::from_millis(5)).submit(|stop| stop.wait());
    /// assert!(matches!(handle.outcome(), Outcome::Cancelled { .. }));
    /// ```
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.extra.timeout = Some(timeout);
        self.extra.location = Location::caller();
        self
    }

    /// When the task has to have begun. If it is still pending then, it never starts, with
    /// [`StopReason::Deadline`]; what it captured is dropped by a thread of the pool.
    #[track_caller]
    pub fn start_before(mut self, at: Instant) -> Self {
        self.extra.start_before = Some(at);
        self.extra.location = Location::caller();
        self
    }

    /// Puts the task under an event of yours, besides the pool's: its own event is set when that one is,
    /// and if it is still pending then it never starts. Called again, under all of them.
    ///
    /// ```
    /// use stoppable::{StopEvent, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let request = StopEvent::new();
    /// let handle = pool.task().stop_with(&request).submit(|stop| stop.wait());
    /// handle.wait_started();
    /// request.set();
    /// assert!(handle.join().unwrap_err().is_cancelled());
    /// ```
    pub fn stop_with(mut self, event: &StopEvent) -> Self {
        self.under = Some(match self.under {
            Some(other) => StopEvent::any([&other, event]),
            None => event.clone(),
        });
        self
    }

    /// Nothing may fail when the task has been accepted.
    fn start_timer(&self) {
        if self.extra.timeout.is_some() || self.extra.start_before.is_some() {
            timer::start();
        }
    }

    /// As [`ThreadPool::submit`](crate::ThreadPool::submit).
    ///
    /// # Panics
    ///
    /// With a time limit, if the operating system refuses the one thread that serves all of the process; as do
    /// the two below.
    #[track_caller]
    pub fn submit<F, T>(self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.start_timer();
        self.core.submit(self.under.as_ref(), self.extra, closure)
    }

    /// As [`ThreadPool::try_submit`](crate::ThreadPool::try_submit).
    ///
    /// # Errors
    ///
    /// If there is no room or the pool is being shut down, with the closure.
    pub fn try_submit<F, T>(self, closure: F) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.start_timer();
        self.core
            .try_submit(self.under.as_ref(), self.extra, closure)
    }

    /// As [`ThreadPool::execute`](crate::ThreadPool::execute).
    ///
    /// # Errors
    ///
    /// If the pool is being shut down, with the closure.
    pub fn execute<F, T>(self, closure: F) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.start_timer();
        self.core.execute(self.under.as_ref(), self.extra, closure)
    }
}

//! How tasks come in.
#![allow(
    unsafe_code,
    reason = "tasks and handles are born here, with types that borrow nothing"
)]

mod plain;

use super::capacity::Capacity;
use super::refusal::{Refusal, SubmitError};
use super::shared::Core;
use crate::report::TaskId;
use crate::report::ledger::Caller;
use crate::stop::any::any;
use crate::stop::{StopEvent, current};
use crate::task::TaskHandle;
use crate::task::cell::{Birth, Room, TaskRef};
use crate::task::context;
use crate::task::entry::Entry;
use crate::task::life::{self, Doomed, first_word};
use crate::task::slab::Draft;
use crate::task::stash;
use crate::task::state::State;

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
        let slab = unsafe { draft.finish(first, batch, refusal.is_none(), self.stamp()) };
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
    #[cold]
    pub(super) fn find_room(&self, when_full: WhenFull<'_>, count: usize) -> Result<(), Refusal> {
        let Some(capacity) = &self.shared.capacity else {
            return Ok(());
        };
        if capacity.try_acquire(count) {
            return Ok(());
        }
        match when_full {
            WhenFull::Refuse => {
                let stats = self.home.ledger.stats();
                if capacity.try_acquire_counted(count, stats.submitted - stats.pending) {
                    return Ok(());
                }
                Err(Refusal::Full)
            }
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
    pub(super) fn admit_inside(&self, caller: Caller, count: usize) -> Result<TaskId, Refusal> {
        if caller == Caller::Scope || self.is_inside() {
            if let Some(id) = self.home.ledger.admit(caller, count as u64) {
                return Ok(id);
            }
        }
        if let Some(capacity) = &self.shared.capacity {
            capacity.release_unused(count);
        }
        Err(Refusal::ShutDown)
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
        let (parent, word) = match under.and_then(StopEvent::node) {
            Some(event) => (any(home, vec![event.clone()]), State::under(word)),
            None => (home, word),
        };
        Birth {
            parent,
            id,
            word,
            count,
            extra,
        }
    }

    /// As [`push`](Self::push), of a member of a scope that a running task has opened: only what stops everything takes it
    /// from the queue.
    pub(super) fn push_to_scope(&self, entry: Entry) {
        self.shared.queue.push(entry);
        if self.shared.idle.notify() && self.stopping().is_some() {
            self.pushed_while_closing();
        }
    }

    #[inline]
    pub(super) fn push(&self, entry: Entry) {
        self.shared.queue.push(entry);
        if self.shared.idle.notify() {
            self.pushed_while_closing();
        }
    }
}

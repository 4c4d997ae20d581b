//! Members of a group come and go.

use super::{FEW, Group, Sort, group_of};
use crate::report::TaskStatus;
use crate::stop::node::NodeRef;
use crate::stop::{StopCause, StopReason};
use crate::sync::Ordering;
use crate::task::cell::TaskRef;
use crate::task::life::Doomed;
use std::mem;
use std::panic::Location;

impl Group {
    pub(crate) fn sort(&self) -> Sort {
        self.sort
    }

    /// Whether its members borrow from whoever opened it.
    pub(crate) fn is_scope(&self) -> bool {
        self.sort != Sort::Owned
    }

    /// Where it was made.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// A member is about to be made.
    pub(crate) fn enter(&self) {
        // Relaxed: whoever waits for zero has made this call, or has been told of it by one who is a
        // member while it submits, or, of an owned group, does not care.
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps a member that is pending.
    pub(super) fn keep(&self, task: TaskRef) -> Result<(), (TaskRef, StopCause)> {
        let mut begun = Vec::new();
        let mut state = self.state.lock();
        if let Some(cause) = &state.stopped {
            return Err((task, cause.clone()));
        }
        if state.tasks.len() >= state.sweep_at {
            let tasks = mem::take(&mut state.tasks).into_iter();
            let has_begun = |task: &TaskRef| task.state().load().has_begun();
            (begun, state.tasks) = tasks.partition(has_begun);
            state.sweep_at = FEW.max(2 * state.tasks.len());
        }
        state.tasks.push(task);
        let helpers = state.helpers != 0;
        drop(state);
        // Not under the lock, as it may be the last that there is of a task.
        drop(begun);
        if helpers {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// A member has failed: when it has ended, the others are stopped.
    pub(crate) fn fail(&self) {
        // Relaxed: read by the same thread, when the member has ended.
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Closures of members have been left to the pool's threads, one of which may wait for the group.
    pub(crate) fn poke(&self) {
        self.state.lock().has_pool_graves = true;
        self.changed.notify_all();
    }

    /// Takes a closure to be dropped by who waits for the group.
    pub(crate) fn leave(&self, doomed: Doomed) {
        self.state.lock().graves.push(doomed);
        self.changed.notify_all();
    }

    pub(crate) fn tend_graves(&self) {
        loop {
            let graves = mem::take(&mut self.state.lock().graves);
            if graves.is_empty() {
                return;
            }
            for doomed in graves {
                doomed.drop_closure();
            }
        }
    }

    /// A member that is pending, the latest first. It stays on the list, for who stops the group before it begins.
    pub(super) fn find_pending(&self) -> Option<TaskRef> {
        let mut begun = Vec::new();
        let mut state = self.state.lock();
        while (state.tasks.last()).is_some_and(|task| task.state().load().has_begun()) {
            begun.extend(state.tasks.pop());
        }
        let found = state.tasks.iter().rfind(|task| is_to_run(task)).cloned();
        drop(state);
        // Not under the lock.
        drop(begun);
        found
    }

    /// No member will be waited for any more, nor stopped: keeps none, so that the group and they do not keep each
    /// other.
    pub(crate) fn forget(&self) {
        let tasks = mem::take(&mut self.state.lock().tasks);
        drop(tasks);
    }

    pub(crate) fn is_empty(&self) -> bool {
        // Acquire: partner is the Release of the subtraction in `give_up`: all that the members did, and
        // the drops of all that they left, happened before.
        self.left.load(Ordering::Acquire) == 0
    }

    /// How many members have not been given up.
    pub(crate) fn len(&self) -> usize {
        self.left.load(Ordering::Acquire)
    }

    /// Why the group is to be taken as stopped, if it is: a member did not complete since the last call, or
    /// who opened it has seen its event set.
    pub(crate) fn take_stop(&self, node: &NodeRef) -> Option<StopCause> {
        let incomplete = self.state.lock().incomplete.take();
        // Relaxed: see `saw_group`.
        if incomplete.is_none() && !self.seen.load(Ordering::Relaxed) {
            return None;
        }
        node.cause().or(incomplete)
    }
}

/// Whether a worker of the pool may run it.
pub(super) fn is_to_run(task: &TaskRef) -> bool {
    let word = task.state().load();
    !word.has_begun() && !word.is_taken()
}

/// A member has ended, and nothing of what it borrows will be touched any more.
pub(crate) fn give_up(task: &TaskRef) {
    let Some(group) = group_of(task.node()) else {
        return;
    };
    let word = task.state().load();
    if matches!(
        word.status(),
        TaskStatus::Cancelled | TaskStatus::NeverStarted
    ) {
        if let Some(cause) = task.node().cause() {
            group.state.lock().incomplete.get_or_insert(cause);
        }
    }
    // Relaxed: see `fail`.
    if group.failed.load(Ordering::Relaxed) {
        group.failed.store(false, Ordering::Relaxed);
        let cause = StopCause::at(StopReason::SiblingFailed, group.location);
        group.node().raise_as_kind(&cause);
    }
    // Release: partner is the Acquire in `is_empty`, which sees what came before each of the subtractions, as they follow each
    // other on one word.
    if group.left.fetch_sub(1, Ordering::Release) == 1 {
        // Under the lock, or one who has looked and does not sleep yet would not hear of it.
        drop(group.state.lock());
        group.changed.notify_all();
    }
}

//! Claims, and what they lead to: who has won a task from all others runs it.
#![allow(
    unsafe_code,
    reason = "the right to run a closure comes with the transition that claims the task"
)]

use super::call_off::calls_off;
use super::doom::doom;
use super::end::end;
use crate::report::TaskStatus;
use crate::report::lane::Lane;
use crate::stop::listeners::Topic;
use crate::stop::{StopCause, StopReason};
use crate::task::cell::TaskRef;
use crate::task::slab::Lent;
use crate::task::slot::Slot;
use crate::task::state::{Claim, State, Word};
use crate::task::trace;
use std::borrow::Borrow;

/// The right to run a task, and the duty.
#[must_use = "a claimed task has to be run"]
pub(crate) struct Claimed<R = TaskRef> {
    task: R,
    before: Word,
}

/// Claims a pending task. The caller's lane is busy.
pub(crate) fn claim(task: TaskRef) -> Result<Claimed, TaskRef> {
    let claim = task.state().claim();
    claimed(task, claim)
}

/// As [`claim`], of a task that most likely nobody has touched since it was made, and whose word is
/// therefore known without a look.
#[inline]
pub(crate) fn claim_fresh(task: TaskRef, has_handle: bool) -> Result<Claimed, TaskRef> {
    match task.state().try_claim(State::pending(has_handle)) {
        Ok(before) => Ok(Claimed { task, before }),
        // Looked at meanwhile; or there is a time before which it has to begin, or an event.
        Err(_) if calls_off(&task).is_some() => Err(task),
        Err(_) => claim(task),
    }
}

/// Claims a task that was handed back to the caller.
pub(crate) fn claim_taken(task: TaskRef) -> Result<Claimed, TaskRef> {
    let claim = task.state().claim_taken();
    claimed(task, claim)
}

/// Runs a task that was handed back or has no pool, to its end, unless it has begun or is stopped. Says how it
/// stands then.
pub(crate) fn run_taken(task: &TaskRef) -> TaskStatus {
    let cause = match task.expired() {
        Some(location) => Some(StopCause::at(StopReason::Deadline, location)),
        None => task.node().cause(),
    };
    if let Some(cause) = cause {
        // It may have begun.
        let _ = doom(task, &cause);
    } else if let Ok(claimed) = claim_taken(task.clone()) {
        // Nobody counts it, and nobody looks.
        claimed.run(&Lane::new(), &Slot::new(false));
    }
    task.state().load().status()
}

/// As [`claim_fresh`], of a task that lies in a slab.
#[inline]
pub(crate) fn claim_lent(task: Lent<'_>) -> Result<Claimed<Lent<'_>>, Lent<'_>> {
    let claim = task.state().claim_expecting(State::pending_in_slab());
    claimed(task, claim)
}

fn claimed<R>(task: R, claim: Claim) -> Result<Claimed<R>, R> {
    match claim {
        Claim::Claimed(before) => Ok(Claimed { task, before }),
        Claim::Gone => Err(task),
    }
}

impl<R: Borrow<TaskRef>> Claimed<R> {
    /// Runs the task, on a worker that counts in `lane` and shows what it runs in `slot`. Whatever
    /// the closure and the drops do, this returns.
    pub(crate) fn run(self, lane: &Lane, slot: &Slot) {
        let started = slot.start();
        self.tell_of_start();
        let task = self.task.borrow();
        trace::running(task, || {
            // SAFETY: this is the one use of the claim, which `self` was.
            let left = slot.showing(task, || unsafe { task.call() });
            end(task, left, lane, started);
        });
    }

    /// As [`run`](Self::run), for a worker that shows the task already.
    pub(crate) fn run_shown(self, lane: &Lane, slot: &Slot) {
        let started = slot.start();
        self.tell_of_start();
        let task = self.task.borrow();
        trace::running(task, || {
            // SAFETY: this is the one use of the claim, which `self` was.
            let left = unsafe { task.call() };
            end(task, left, lane, started);
        });
    }

    fn tell_of_start(&self) {
        self.task.borrow().begin();
        if self.before.is_waited() {
            self.task.borrow().node().tell(&[Topic::Started]);
        }
    }
}

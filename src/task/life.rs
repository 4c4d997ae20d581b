//! What happens to a task: it runs, or it is stopped before it could. Every end is counted in the
//! ledger and told to those who wait, once.
//!
//! - `claim`: who has won a task runs it.
//! - `end`: what is done when its closure has ended.
//! - `doom`, `doom_all`: a task, or many, that will never start.
//! - `call_off`: what a pending task does not wait for.
//!
//! Here is what its stop node calls, and how a task is asked to stop.
//!
//! # Order of events at an end
//!
//! First the ledger counts it, then the word changes in one atomic step, then listeners are told, and
//! last what nobody will fetch is dropped. (For a task that never started the first two are one hold
//! of the book's lock, and what is dropped is the closure.) No foreign code runs under a lock.
#![allow(
    unsafe_code,
    reason = "rights to a cell's contents are passed on from the transitions that give them"
)]

mod call_off;
mod claim;
mod doom;
mod doom_all;
mod end;

use super::cell::TaskRef;
use super::contents::Table;
use super::state::{State, WAITED, Word};
use super::trace;
use crate::report::TaskStatus;
use crate::stop::listeners::{Listen, Topic};
use crate::stop::node::{Kind, Node, NodeRef};
use crate::stop::timer::Timer;
use crate::stop::{StopCause, StopReason};
use crate::sync::Arc;
use std::ptr::NonNull;

pub(crate) use call_off::{await_start, bury_husk, calls_off};
#[cfg(all(test, loom))]
pub(crate) use claim::claim_taken;
pub(crate) use claim::{Claimed, claim, claim_fresh, claim_lent, run_taken};
pub(crate) use doom::{Doomed, doom, doom_later, doom_unqueued};
pub(super) use doom_all::bury_all;
pub(crate) use doom_all::{doom_all, groups_of, leave_to_scopes, part_scoped, take_all};

/// What came of asking a task to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It was pending and will never run. What it had captured has been dropped.
    NeverStarted,
    /// It is running, and its stop event is set.
    Requested,
    /// It had ended already, like this. Nothing was changed.
    AlreadyDone(TaskStatus),
}

/// The kind of a task's node that is freed by `free`, and, if it stands alone, has its side so many
/// bytes behind it.
pub(super) const fn kind(
    free: unsafe fn(NonNull<Node>, &mut Vec<NodeRef>) -> Option<NodeRef>,
    side: usize,
    table: &'static Table,
) -> Kind {
    Kind {
        free,
        raise,
        saw,
        reason: StopReason::Requested,
        others: Kind::NO_OTHERS,
        polled: Kind::NOT_COUNTED,
        expire,
        side,
        embedder: table,
    }
}

/// Notes that a task has seen its stop, and when.
fn saw(node: &NodeRef) {
    let state = State::new(node.word());
    if state.load().is_unseen() {
        node.stamp_seen();
        state.note_seen();
        trace::seen(&TaskRef::behind(node));
    }
}

/// Sets the event of a task, whatever state it is in. True for the one call that did.
fn raise(node: &NodeRef, cause: &StopCause) -> bool {
    if node.reads_set() {
        return false;
    }
    match doom(&TaskRef::behind(node), cause) {
        Ok(won) => won,
        // It has begun, or ended.
        Err(_) => node.raise(cause),
    }
}

/// A time has come: in which the task was to begin, or to end.
fn expire(node: &NodeRef, timer: Timer, cause: &StopCause) {
    let task = TaskRef::behind(node);
    if timer == Timer::Start {
        // Begun or ended: nothing is to be done.
        let _ = doom(&task, cause);
    } else {
        cancel(&task, cause);
    }
}

/// Asks a task to stop.
pub(crate) fn cancel(task: &TaskRef, cause: &StopCause) -> CancelOutcome {
    match doom(task, cause) {
        Ok(_) => CancelOutcome::NeverStarted,
        Err(TaskStatus::Running) => ask(task, cause),
        Err(done) => CancelOutcome::AlreadyDone(done),
    }
}

/// Asks a task that has begun. It answers `Requested` only if the task's event was set while it ran,
/// and then the task will be counted as asked.
fn ask(task: &TaskRef, cause: &StopCause) -> CancelOutcome {
    // In this order: if it runs after it has been seen set, it was set while it ran.
    if task.node().reads_set() && task.state().load().status() == TaskStatus::Running {
        return CancelOutcome::Requested;
    }
    match task.state().ask() {
        Ok(before) => {
            write_cause(task, before, cause);
            task.node().tell_stop(before.bits());
            trace::asked(task, cause);
            CancelOutcome::Requested
        }
        Err(done) => CancelOutcome::AlreadyDone(done),
    }
}

/// Writes the cause of a task that has just been cancelled, unless it has one.
fn write_cause(task: &TaskRef, before: Word, cause: &StopCause) {
    if !before.has_cause() {
        // SAFETY: the transition that replaced `before` set `CAUSED`, and its one caller is here.
        unsafe { task.node().write_cause(cause) };
    }
}

/// Listens for the start or the end of a task. As [`NodeRef::listen`].
pub(crate) fn listen(
    task: &TaskRef,
    topic: Topic,
    listener: Arc<dyn Listen>,
) -> Option<crate::stop::listeners::Key> {
    let happened = |bits| has_happened(Word::from_bits(bits), topic);
    task.node().listen(topic, WAITED, happened, listener)
}

/// Whether what a topic is about has happened.
pub(crate) fn has_happened(word: Word, topic: Topic) -> bool {
    match topic {
        Topic::Started => word.has_begun(),
        Topic::Done => word.is_done(),
        Topic::Stop => unreachable!("the stop is the node's own topic"),
    }
}

/// The lifecycle word of a task that was accepted, or refused.
pub(crate) fn first_word(accepted: bool, handle: bool) -> u32 {
    if accepted {
        State::pending(handle)
    } else {
        State::refused()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

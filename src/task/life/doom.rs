//! The end of a task that never starts. Whoever dooms it has the duty to tell of it and the right to drop its closure: both
//! are in a [`Doomed`].
#![allow(
    unsafe_code,
    reason = "the right to drop a closure comes with the transition that dooms the task"
)]

use super::end::{entry_of_doomed, record};
use super::write_cause;
use crate::report::TaskStatus;
use crate::stop::StopCause;
use crate::stop::listeners::Topic;
use crate::stop::node::LISTENED;
use crate::stop::timer::on_timer_thread;
use crate::task::cell::TaskRef;
use crate::task::home::Home;
use crate::task::state::{Cancel, Word};
use crate::task::trace;
use std::borrow::Borrow;

/// Dooms a task that is not in the queue, where a member of a group that has been stopped never comes.
pub(crate) fn doom_unqueued(task: &TaskRef, cause: &StopCause) {
    // Nobody else knows of it but its handle.
    if doom(task, cause).is_ok() {
        task.home().ledger.book().uncount_husks(1);
    }
}

/// Pending → `NeverStarted`, and all that this entails; says whether the cause is ours. Or the status
/// that the task has instead.
pub(crate) fn doom(task: &TaskRef, cause: &StopCause) -> Result<bool, TaskStatus> {
    let doomed = doom_alone(task, cause)?;
    let won = !doomed.before.has_cause();
    doomed.bury();
    Ok(won)
}

/// As [`doom`], but leaves the drop of the closure to the caller.
pub(super) fn doom_alone<'a>(
    task: &'a TaskRef,
    cause: &StopCause,
) -> Result<Doomed<&'a TaskRef>, TaskStatus> {
    let word = task.state().load();
    if word.has_begun() {
        return Err(word.status());
    }
    let home = task.home();
    let is_left = on_timer_thread();
    if is_left {
        home.host.hold();
    }
    let doomed = doom_now(task, home, cause, word.is_taken());
    if is_left && doomed.is_err() {
        home.host.let_be();
    }
    doomed
}

fn doom_now<'a>(
    task: &'a TaskRef,
    home: &Home,
    cause: &StopCause,
    is_taken: bool,
) -> Result<Doomed<&'a TaskRef>, TaskStatus> {
    let (before, husks) = {
        // One that was handed back stays so, and is not the ledger's.
        let mut book = (!is_taken).then(|| home.ledger.book());
        let before = match task.state().cancel() {
            Cancel::NeverStarted(before) => before,
            Cancel::Running => return Err(TaskStatus::Running),
            Cancel::Done(status) => return Err(status),
        };
        write_cause(task, before, cause);
        // One that was handed back is neither counted nor in the queue.
        let husks = book.as_mut().filter(|_| !before.is_taken()).map(|book| {
            book.never_started(task.id(), || entry_of_doomed(task));
            book.count_husk()
        });
        (before, husks)
    };
    tell(task, before);
    trace::ended(task, TaskStatus::NeverStarted);
    if let Some(husks) = husks {
        record(task, TaskStatus::NeverStarted, None);
        // Its room is given back before its captures are dropped, which may want some.
        home.host.left_queue(home, husks);
    }
    Ok(Doomed { task, before })
}

/// Wakes everyone who waits for a task that will never start, or for its event.
fn tell(task: &TaskRef, before: Word) {
    if is_listened(before) {
        Telling(task.clone()).tell();
    }
}

pub(super) fn is_listened(before: Word) -> bool {
    before.is_waited() || before.bits() & LISTENED != 0
}

/// The duty to tell of, and to drop the closure of, a task that will never start.
#[must_use = "a task that will never start has to be buried"]
pub(crate) struct Doomed<R = TaskRef> {
    pub(super) task: R,
    pub(super) before: Word,
}

impl Doomed<&TaskRef> {
    pub(super) fn to_owned(&self) -> Doomed {
        Doomed {
            task: self.task.clone(),
            before: self.before,
        }
    }

    /// Drops the closure, or leaves that to the pool if this thread is not to run such code.
    pub(super) fn bury(self) {
        if on_timer_thread() {
            let home = self.task.home();
            home.host.leave(home, self.to_owned());
        } else {
            self.drop_closure();
        }
    }
}

impl Doomed {
    /// A task that was born refused.
    pub(crate) fn refused(task: TaskRef, cause: &StopCause) -> Doomed {
        let before = task.state().load();
        // SAFETY: the task was born with `CAUSED`, and its maker calls this once.
        unsafe { task.node().write_cause(cause) };
        Doomed { task, before }
    }

    /// Whether the drop of the closure runs any code.
    pub(in crate::task) fn owns_something(&self) -> bool {
        self.task.owns_something()
    }

    /// Itself, if there is somebody to tell or a closure whose drop does something.
    #[inline]
    pub(super) fn with_duties(self) -> Option<Doomed> {
        let has = is_listened(self.before) || self.task.owns_something();
        (has || self.task.has_room()).then_some(self)
    }

    /// The duty to tell alone, if there is somebody to tell.
    pub(crate) fn listened(&self) -> Option<Telling> {
        is_listened(self.before).then(|| Telling(self.task.clone()))
    }

    /// Wakes everyone who waits for the task or its event.
    pub(crate) fn tell(&self) {
        tell(&self.task, self.before);
    }
}

impl<R: Borrow<TaskRef>> Doomed<R> {
    /// Drops the closure and all that it captured.
    pub(crate) fn drop_closure(self) {
        let task = self.task.borrow();
        task.stand_down();
        // SAFETY: this is the one use of the right that came with the transition to `NeverStarted`
        // (or with the birth in that state), which `self` was.
        unsafe { task.drop_closure() };
        task.give_up();
    }
}

/// As [`doom`], but leaves the drop of the closure to the caller. `None`: it has begun, or ended.
pub(crate) fn doom_later(task: &TaskRef, cause: &StopCause) -> Option<Doomed> {
    let doomed = doom_alone(task, cause).ok()?;
    Some(doomed.to_owned())
}

/// The duty to tell those who wait for a task that will never start.
#[must_use = "those who wait have to be told"]
pub(crate) struct Telling(TaskRef);

impl Telling {
    pub(crate) fn tell(self) {
        let topics = [Topic::Stop, Topic::Started, Topic::Done];
        self.0.node().tell(&topics);
    }
}

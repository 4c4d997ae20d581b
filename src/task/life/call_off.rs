//! What a pending task does not wait for: a time before which it has to begin, an event of the user's. Whoever comes to such a
//! task, or is told of such an event, dooms it.

use super::doom::{Doomed, doom, doom_alone};
use crate::stop::listeners::Listen;
use crate::stop::node::NodeRef;
use crate::stop::wait::Registration;
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::{Arc, Mutex};
use crate::task::cell::TaskRef;

/// Lets a new task, which has room for an [`Extra`](crate::task::cell::Extra), be doomed by what it must not
/// wait for: a time, or an event of the user's.
pub(crate) fn await_start(task: &TaskRef, under: Option<&StopEvent>) {
    task.await_start();
    bury_husk(task);
    if let Some(event) = under.and_then(StopEvent::node) {
        Watch::keep(task, event);
    }
}

/// What to do with a task that could not be claimed: if it is pending, then because it must not begin any
/// more.
pub(crate) fn bury_husk(task: &TaskRef) {
    if let Some(cause) = calls_off(task) {
        // Somebody else may have been faster.
        let _ = doom(task, &cause);
    }
}

/// Why a pending task must not begin any more, though nobody has doomed it yet: its time to begin has
/// passed; or an event of the user's that it is under is set, and who sets it is about to come to it.
/// So what has run before on this worker, and has seen that event set, is not followed by this one. (Between this look and
/// the claim the event may be set: who sees it set then may yet see the task begin.)
pub(crate) fn calls_off(task: &TaskRef) -> Option<StopCause> {
    if let Some(location) = task.expired() {
        return Some(StopCause::at(StopReason::Deadline, location));
    }
    let word = task.state().load();
    if word.is_under() && !word.has_begun() {
        return task.node().cause();
    }
    None
}

/// Dooms a task when an event is set that the task was submitted under.
pub(crate) struct Watch {
    task: TaskRef,
    event: NodeRef,
    /// What is to be dropped when everyone who listens for the event has been told.
    doomed: Mutex<Option<Doomed>>,
}

impl Watch {
    /// Registers the task, which has an [`Extra`](crate::task::cell::Extra) to keep the registration in and
    /// is pending. If the event is set, the task is doomed now.
    pub(crate) fn keep(task: &TaskRef, event: &NodeRef) {
        let watch = Arc::new(Watch {
            task: task.clone(),
            event: event.clone(),
            doomed: Mutex::new(None),
        });
        let listener: Arc<dyn Listen> = Arc::<Watch>::clone(&watch);
        match Registration::on_chain(event, &listener) {
            Some(registration) => task.watch(registration),
            None => {
                watch.notify();
                watch.afterwards();
            }
        }
    }
}

impl Listen for Watch {
    fn notify(&self) {
        // An event that was set has its cause.
        if let Some(cause) = self.event.cause() {
            if let Ok(doomed) = doom_alone(&self.task, &cause) {
                *self.doomed.lock() = Some(doomed.to_owned());
            }
        }
    }

    fn afterwards(&self) {
        let doomed = self.doomed.lock().take();
        if let Some(doomed) = doomed {
            let Doomed { task, before } = &doomed;
            Doomed {
                task,
                before: *before,
            }
            .bury();
        }
    }
}

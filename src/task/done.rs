//! Hearing of a task's end: callbacks, and the waker of the handle as a future.

use super::cell::TaskRef;
use super::life::{has_happened, listen};
use super::state::{WAITED, Word};
use crate::report::TaskStatus;
use crate::stop::ambient::call_back;
use crate::stop::listeners::{Listen, Topic};
use crate::sync::{Arc, Mutex};
use std::task::Context;

/// Calls `code` once, when the task has ended.
pub(super) fn call(task: &TaskRef, code: impl FnOnce(TaskStatus) + Send + 'static) {
    let callback = Arc::new(OnDone {
        // The task's list keeps the callback, which keeps the task, until it ends; and every task does.
        task: task.clone(),
        code: Mutex::new(Some(Box::new(code))),
    });
    let listener: Arc<dyn Listen> = Arc::<OnDone>::clone(&callback);
    if listen(task, Topic::Done, listener).is_none() {
        callback.notify();
    }
}

type Code = Box<dyn FnOnce(TaskStatus) + Send>;

struct OnDone {
    task: TaskRef,
    code: Mutex<Option<Code>>,
}

impl Listen for OnDone {
    fn is_code(&self) -> bool {
        true
    }

    fn notify(&self) {
        let code = self.code.lock().take();
        if let Some(code) = code {
            let status = self.task.state().load().status();
            call_back(|| code(status));
        }
    }
}

/// Whether the task has ended. If not, the context's waker, in place of an earlier one, is woken when it
/// has.
pub(super) fn wake(task: &TaskRef, context: &Context<'_>) -> bool {
    if task.state().load().is_done() {
        return true;
    }
    let happened = |bits| has_happened(Word::from_bits(bits), Topic::Done);
    task.node().listen_with_waker(WAITED, happened, context)
}

/// Lets nobody be woken any more.
pub(super) fn forget(task: &TaskRef) {
    task.node().forget_waker();
}

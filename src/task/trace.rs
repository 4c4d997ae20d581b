//! Spans and events for `tracing`, if the feature is on. (The core's one neighbour that cannot be seen from outside: what
//! a task does between its start and its end is known here.)
//!
//! A subscriber is foreign code: it is called under no lock, and a panic of it is contained.

#[cfg(feature = "tracing")]
mod on {
    use crate::report::TaskStatus;
    use crate::stop::StopCause;
    use crate::task::cell::TaskRef;
    use crate::task::context::contained;
    use tracing::{Level, event, span};

    /// Calls `run`, which runs the task and does not unwind, in a span of its own.
    pub(crate) fn running(task: &TaskRef, run: impl FnOnce()) {
        let mut run = Some(run);
        let mut call = || {
            if let Some(run) = run.take() {
                run();
            }
        };
        contained(|| {
            let (id, name) = (task.id().as_u64(), task.name());
            span!(target: "stoppable", Level::INFO, "task", id, name).in_scope(&mut call);
        });
        // If the subscriber panicked before.
        call();
    }

    /// A running task has been asked to stop by itself.
    pub(crate) fn asked(task: &TaskRef, cause: &StopCause) {
        contained(|| {
            let (id, name) = (task.id().as_u64(), task.name());
            let (reason, location) = (&cause.reason, cause.location);
            event!(target: "stoppable", Level::DEBUG, id, name, %reason, %location, "asked to stop");
        });
    }

    /// A task has seen its stop for the first time.
    pub(crate) fn seen(task: &TaskRef) {
        contained(|| {
            let (id, name) = (task.id().as_u64(), task.name());
            let cause = task.node().cause();
            let asked = cause.as_ref().map(|cause| cause.at.elapsed());
            let reason = cause
                .as_ref()
                .map(|cause| tracing::field::display(&cause.reason));
            let after = asked.map(tracing::field::debug);
            event!(target: "stoppable", Level::DEBUG, id, name, reason, after, "has seen its stop");
        });
    }

    /// A task has ended, or will never start.
    pub(crate) fn ended(task: &TaskRef, status: TaskStatus) {
        contained(|| {
            let (id, name) = (task.id().as_u64(), task.name());
            match status {
                TaskStatus::Panicked => {
                    event!(target: "stoppable", Level::ERROR, id, name, %status, "ended");
                }
                _ => event!(target: "stoppable", Level::DEBUG, id, name, %status, "ended"),
            }
        });
    }

    /// So many tasks at once will never start.
    pub(crate) fn never_started(count: usize, cause: &StopCause) {
        if count > 0 {
            contained(|| {
                let (reason, location) = (&cause.reason, cause.location);
                event!(target: "stoppable", Level::INFO, count, %reason, %location, "pending tasks were cancelled");
            });
        }
    }
}

#[cfg(feature = "tracing")]
pub(crate) use on::*;

#[cfg(not(feature = "tracing"))]
mod off {
    use crate::report::TaskStatus;
    use crate::stop::StopCause;
    use crate::task::cell::TaskRef;

    #[inline(always)]
    pub(crate) fn running(_task: &TaskRef, run: impl FnOnce()) {
        run();
    }

    #[inline(always)]
    pub(crate) fn asked(_task: &TaskRef, _cause: &StopCause) {}

    #[inline(always)]
    pub(crate) fn seen(_task: &TaskRef) {}

    #[inline(always)]
    pub(crate) fn ended(_task: &TaskRef, _status: TaskStatus) {}

    #[inline(always)]
    pub(crate) fn never_started(_count: usize, _cause: &StopCause) {}
}

#[cfg(not(feature = "tracing"))]
pub(crate) use off::*;

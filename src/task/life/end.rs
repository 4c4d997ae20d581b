//! The end of a task whose closure has been called. Whoever claimed it does all of this, on its own lane; the book's lock
//! is taken only for what is more than a count.
#![allow(
    unsafe_code,
    reason = "what nobody will fetch is dropped by the right that comes with the end"
)]

use crate::report::TaskStatus;
use crate::report::lane::Lane;
use crate::report::latency::Latency;
use crate::report::ledger::{Entry, Times};
use crate::report::tick::Tick;
use crate::stop::clock::Stamp;
use crate::stop::listeners::Topic;
use crate::stop::node::SET;
use crate::sync::Arc;
use crate::task::cell::{Left, TaskRef};
use crate::task::state::End;
use crate::task::trace;

/// Ends a task whose closure has.
#[inline]
pub(super) fn end(task: &TaskRef, left: Left, lane: &Lane, started: Option<Tick>) {
    // As it is for most tasks, there is nothing more to them.
    let has_room = task.has_room();
    if has_room {
        task.stand_down();
    }
    // What is seen from here on does not count.
    let word = task.state().load();
    let seen = word.seen();
    let end = match left {
        Left::Value => End::Returned { seen },
        Left::Nothing => End::Unwound,
        Left::Payload(_) => End::Panicked,
    };
    let message = match left {
        Left::Payload(message) => message,
        _ => None,
    };
    let asked = task.node().reads_set();
    if !word.is_taken() {
        if end == (End::Returned { seen: false }) && !asked && started.is_none() {
            lane.complete();
        } else {
            count(task, lane, end, asked, message, started);
        }
    }
    let before = if task.node().is_only() {
        task.state().finish_alone(end)
    } else {
        task.state().finish(end)
    };
    let was_asked = before.bits() & SET != 0 && !asked;
    if end == (End::Returned { seen: false }) && was_asked && !word.is_taken() {
        // It was asked between the count and the end.
        let latency = times_of(task, true, None).latency;
        task.home().ledger.book().completed_late(latency);
    }
    if before.is_waited() {
        task.node().tell(&[Topic::Started, Topic::Done]);
    }
    trace::ended(task, end.status());
    if !before.has_handle() {
        let word = task.state().load();
        // SAFETY: the task has ended and had no handle when it did, so the outcome is the claimer's,
        // and this is its one use.
        unsafe { task.drop_outcome(word) };
    }
    if has_room {
        task.give_up();
    }
}

/// Counts a task that ends, with all that is to be known of it.
#[cold]
fn count(
    task: &TaskRef,
    lane: &Lane,
    end: End,
    asked: bool,
    message: Option<Arc<str>>,
    started: Option<Tick>,
) {
    let times = times_of(task, asked, started);
    if let Some(started) = started {
        lane.keep_times(times);
        record(task, end.status(), Some((lane, started)));
    }
    let book = || {
        let mut book = task.home().ledger.book();
        book.note_latency(times.latency);
        book
    };
    match end {
        End::Returned { seen: false } => {
            if asked {
                book().completed_late(None);
            }
            lane.complete();
        }
        End::Returned { seen: true } | End::Unwound => {
            book().cancelled(task.id(), || entry(task, times));
        }
        End::Panicked => {
            let entry = || Entry {
                message,
                ..entry(task, times)
            };
            book().panicked(task.id(), entry);
        }
    }
}

fn entry(task: &TaskRef, times: Times) -> Entry {
    Entry {
        id: task.id(),
        name: task.shared_name().cloned(),
        cause: task.node().cause(),
        message: None,
        times,
    }
}

/// How long things took with a task that ends now.
fn times_of(task: &TaskRef, asked: bool, started: Option<Tick>) -> Times {
    let latency = || {
        let now = Stamp::now();
        let cause = task.node().cause()?;
        let asked = Stamp::of(cause.at);
        Some(Latency {
            seen: task.node().seen_at().map(|seen| seen.since(asked)),
            ended: now.since(asked),
        })
    };
    Times {
        ran: started.map(|started| Tick::at_end().since(started)),
        waited: started.and_then(|started| Some(started.since(task.submitted()?))),
        latency: if asked { latency() } else { None },
    }
}

/// Records, for a picture, a task that ends, or will never begin.
#[cfg(feature = "timeline")]
pub(super) fn record(task: &TaskRef, status: TaskStatus, run: Option<(&Lane, Tick)>) {
    let home = task.home();
    home.host.record(home, task, status, run);
}

#[cfg(not(feature = "timeline"))]
pub(super) fn record(_task: &TaskRef, _status: TaskStatus, _run: Option<(&Lane, Tick)>) {}

/// The entry of a task that will never start.
pub(super) fn entry_of_doomed(task: &TaskRef) -> Entry {
    let waited = || {
        let submitted = task.submitted()?;
        Some(Tick::now().since(submitted))
    };
    let times = Times {
        waited: waited(),
        ..Times::default()
    };
    entry(task, times)
}

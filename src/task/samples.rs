//! Tasks made by hand, for unit tests: they are in no queue, and nobody runs them but who holds them.
#![allow(unsafe_code, reason = "tasks are made by hand")]

use super::cell::{Birth, Room, TaskRef};
use super::group::{GroupRef, Sort};
use super::home::{Home, HomeRef, Host};
use super::life::{Doomed, first_word};
use super::slab::{Draft, SlabRef};
use super::state::{End, State};
use crate::report::TaskId;
use crate::report::ledger::{Caller, Ledger};
#[cfg(feature = "timeline")]
use crate::report::tick::Tick;
#[cfg(feature = "timeline")]
use crate::report::{TaskStatus, lane::Lane};
use crate::stop::node::NodeRef;
use crate::stop::{StopCause, StopEvent, StopReason};
#[cfg(feature = "timeline")]
use crate::sync::Mutex;
use crate::sync::{AtomicUsize, Ordering};
use std::any::Any;
use std::panic::Location;
use std::sync::Arc;

/// A host without threads.
#[derive(Default)]
pub(super) struct Quiet {
    /// How often its event was about to be set.
    stops: AtomicUsize,
    /// Is called with the first task that ends, when that has been counted and has not ended yet.
    #[cfg(feature = "timeline")]
    pub(super) at_record: Mutex<Option<fn(&TaskRef)>>,
}

impl Quiet {
    pub(super) fn stops(&self) -> usize {
        self.stops.load(Ordering::Relaxed)
    }
}

impl Host for Quiet {
    fn left_queue(&self, _home: &Home, _husks: usize) {}

    fn leave(&self, _home: &Home, doomed: Doomed) {
        doomed.drop_closure();
    }

    fn stop(&self, _home: &Home, _cause: &StopCause, raise: &mut dyn FnMut()) {
        self.stops.fetch_add(1, Ordering::Relaxed);
        raise();
    }

    #[cfg(feature = "timeline")]
    fn record(&self, _: &Home, task: &TaskRef, _: TaskStatus, _: Option<(&Lane, Tick)>) {
        let call = self.at_record.lock().take();
        if let Some(call) = call {
            call(task);
        }
    }

    fn unhandled_panic(&self, _id: TaskId, _name: Option<&str>, _payload: &(dyn Any + Send)) {}
}

pub(super) fn home() -> HomeRef {
    home_of(Arc::new(Quiet::default()), None)
}

pub(super) fn home_of(host: Arc<Quiet>, parent: Option<NodeRef>) -> HomeRef {
    HomeRef::new(parent, Ledger::new(1, 10, false), host)
}

pub(super) fn cause(reason: StopReason) -> StopCause {
    StopCause::at(reason, Location::caller())
}

/// A task without a handle that is pending, under the home alone.
pub(super) fn task(home: &HomeRef) -> TaskRef {
    task_of(home, home.node(), first_word(true, false), (), |_| {})
}

/// A task with that first word, under that node, with room for that.
pub(super) fn task_of<X: Room>(
    home: &HomeRef,
    parent: &NodeRef,
    word: u32,
    extra: X,
    closure: impl FnOnce(&StopEvent) + Send + 'static,
) -> TaskRef {
    let birth = Birth {
        parent: parent.clone(),
        id: id(home, 1),
        word,
        count: 1,
        extra,
    };
    // SAFETY: neither the closure nor its value, which is none, borrows anything.
    unsafe { TaskRef::new(birth, closure) }
}

/// So many tasks that are pending, whose handles have been dropped.
pub(super) fn slab(home: &HomeRef, len: usize) -> SlabRef {
    let mut draft = Draft::new(home.node().clone(), len);
    for _ in 0..len {
        draft.push(|_: &StopEvent| {});
    }
    let first = id(home, len as u64);
    // SAFETY: neither the closures nor their values borrow anything, and there is one at least.
    let slab = unsafe { draft.finish(first, first, true, None) };
    for index in 0..slab.len() {
        // SAFETY: called once for each task.
        drop(unsafe { slab.cells().handle(index) });
    }
    slab
}

pub(super) fn group(sort: Sort, first: &NodeRef, others: Vec<NodeRef>) -> GroupRef {
    GroupRef::new(sort, first.clone(), others, None, Location::caller())
}

/// Makes it a task that runs.
pub(super) fn begin(task: &TaskRef) {
    let _ = task.state().claim();
    assert!(task.state().load().has_begun());
}

/// Ends a task that runs, as if it had been unwound.
pub(super) fn end(task: &TaskRef) {
    let _ = task.state().finish(End::Unwound);
}

/// Makes it a task that was handed back.
pub(super) fn take(task: &TaskRef) {
    assert!(State::take(task.state()));
}

fn id(home: &HomeRef, count: u64) -> TaskId {
    let id = home.ledger.admit(Caller::Outside, count);
    id.expect("nobody has closed the door")
}

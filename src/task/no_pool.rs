//! Tasks without a pool: how they are born, and the home that they all are under.
//!
//! Such a task is born as one that its pool has handed back (`TAKEN` in `task/state.rs`), so its owner alone starts
//! it, and no ledger counts it. The ledger of their home gives out ids and nothing else, so it does not grow.
//!
//! The home is one for the process: it gives those who walk up from a task what they look for, and its event, which
//! nobody gets hold of, is never set. It is not the root of events that users put their tasks under, so that
//! an event of some pool's does not make the task one of that pool's: a walk from the task takes its first parent, which is
//! this home.
#![allow(
    unsafe_code,
    reason = "tasks and handles are born here, with types that borrow nothing"
)]

use super::TaskHandle;
use super::cell::{Birth, Room, TaskRef};
use super::home::{Home, HomeRef, Host};
use super::life::Doomed;
use super::stash;
use super::state::State;
use crate::report::TaskId;
use crate::report::ledger::{Caller, Ledger};
use crate::stop::any::any;
use crate::stop::node::NodeRef;
use crate::stop::{StopCause, StopEvent};
use crate::sync::{Arc, Mutex};
use std::any::Any;
use std::mem;
use std::ops::Deref;
use std::thread;

/// A task and its handle.
pub(super) fn birth<F, T, X>(
    event: Option<&NodeRef>,
    extra: X,
    closure: F,
) -> (TaskRef, TaskHandle<T>)
where
    F: FnOnce(&StopEvent) -> T + Send + 'static,
    T: Send + 'static,
    X: Room,
{
    let home = home();
    let id = home.ledger.admit(Caller::Outside, 1);
    let node = stash::take(&home);
    let birth = Birth {
        parent: match event {
            Some(event) => any(node, vec![event.clone()]),
            None => node,
        },
        id: id.expect("nobody closes this door"),
        word: State::taken(),
        count: 2,
        extra,
    };
    // SAFETY: closure and value borrow nothing, since both are `'static`.
    let task = unsafe { TaskRef::new(birth, closure) };
    // SAFETY: it was born with two references, and this is the second.
    let twin = unsafe { task.twin() };
    // SAFETY: it was born with a handle, for this `T`, and this is it.
    (task, unsafe { TaskHandle::new(twin) })
}

/// Drops what a task of a pool had captured that has no threads any more, on a thread that is started for that.
pub(crate) fn leave(doomed: Doomed) {
    let home = home();
    home.host.leave(&home, doomed);
}

fn new_home() -> HomeRef {
    HomeRef::new(None, Ledger::new(0, 0, false), Arc::new(NoPool::default()))
}

#[cfg(not(loom))]
fn home() -> impl Deref<Target = HomeRef> {
    static HOME: std::sync::OnceLock<HomeRef> = std::sync::OnceLock::new();
    HOME.get_or_init(new_home)
}

/// Nothing outlives a run of a model, so there each task has a home of its own.
#[cfg(loom)]
fn home() -> impl Deref<Target = HomeRef> {
    Box::new(new_home())
}

/// The host of tasks without a pool: it has no thread, but for closures that the timer thread may not drop.
#[derive(Default)]
struct NoPool {
    graves: Arc<Mutex<Graves>>,
}

#[derive(Default)]
struct Graves {
    doomed: Vec<Doomed>,
    /// There is a thread that will look again before it ends.
    is_tended: bool,
}

impl Host for NoPool {
    fn left_queue(&self, _home: &Home, _husks: usize) {}

    fn leave(&self, _home: &Home, doomed: Doomed) {
        if !doomed.owns_something() {
            doomed.drop_closure();
            return;
        }
        let is_tended = {
            let mut graves = self.graves.lock();
            graves.doomed.push(doomed);
            mem::replace(&mut graves.is_tended, true)
        };
        if is_tended {
            return;
        }
        let graves = Arc::clone(&self.graves);
        let thread = thread::Builder::new().name("stoppable-drops".into());
        if thread.spawn(move || tend(&graves)).is_err() {
            // Better here than never.
            tend(&self.graves);
        }
    }

    fn stop(&self, _home: &Home, _cause: &StopCause, raise: &mut dyn FnMut()) {
        raise();
    }

    fn unhandled_panic(&self, _id: TaskId, _name: Option<&str>, _payload: &(dyn Any + Send)) {}
}

/// Drops closures until there are none.
fn tend(graves: &Mutex<Graves>) {
    loop {
        let doomed = {
            let mut graves = graves.lock();
            // In the same hold of the lock as the look, so that nothing is left to nobody.
            graves.is_tended = !graves.doomed.is_empty();
            mem::take(&mut graves.doomed)
        };
        if doomed.is_empty() {
            return;
        }
        doomed.into_iter().for_each(Doomed::drop_closure);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stop::StopReason;
    use crate::task::samples;

    /// Nobody gets hold of the one of the process.
    #[test]
    fn the_event_of_a_home_without_a_pool_can_be_set() {
        let home = new_home();
        let cause = samples::cause(StopReason::Shutdown);
        assert!(home.node().raise_as_kind(&cause));
        assert!(home.node().reads_set());
    }
}

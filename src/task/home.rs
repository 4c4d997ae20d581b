//! Where tasks come from: the root that all tasks of one pool are under.
//!
//! A home is a stop node (the pool's stop event) with the ledger that counts the tasks and the host
//! that hears of what happens to them. It lives as long as anything that points to it, so a handle
//! may outlive its pool. The task layer knows a pool only through this.
#![allow(unsafe_code, reason = "a home is a node with more behind it")]

#[cfg(feature = "timeline")]
use super::cell::TaskRef;
use super::depot::Depot;
use super::life::Doomed;
use crate::report::TaskId;
#[cfg(feature = "timeline")]
use crate::report::TaskStatus;
#[cfg(feature = "timeline")]
use crate::report::lane::Lane;
use crate::report::ledger::Ledger;
#[cfg(feature = "timeline")]
use crate::report::tick::Tick;
use crate::stop::node::{Kind, Node, NodeRef, Side, Solo};
use crate::stop::{StopCause, StopReason};
use crate::sync::Arc;
use std::any::Any;
use std::fmt;
use std::mem::offset_of;
use std::ops::Deref;
use std::ptr::{self, NonNull};

/// Who runs the tasks of a home.
pub(crate) trait Host: Send + Sync {
    /// A task that is in the queue will never be taken from it to be run. It is one of so many.
    fn left_queue(&self, home: &Home, husks: usize);

    /// A task that may be about to be doomed, by a thread which does not drop what it had captured, will be
    /// [left](Self::leave) to the host's threads, or [let be](Self::let_be): until then they do not end.
    fn hold(&self) {}

    /// It was not doomed.
    fn let_be(&self) {}

    /// A task, for which there was a [`hold`](Self::hold), will never start, and what it had captured is not to be dropped on
    /// this thread.
    fn leave(&self, home: &Home, doomed: Doomed);

    /// The home's event is about to be set, which `raise` does.
    fn stop(&self, home: &Home, cause: &StopCause, raise: &mut dyn FnMut());

    /// A task has ended, which a worker with that lane began then; or it never will begin.
    #[cfg(feature = "timeline")]
    fn record(
        &self,
        _home: &Home,
        _task: &TaskRef,
        _status: TaskStatus,
        _run: Option<(&Lane, Tick)>,
    ) {
    }

    /// A task panicked, and nobody will ever join it. Called outside of all locks and tasks; may
    /// panic.
    fn unhandled_panic(&self, id: TaskId, name: Option<&str>, payload: &(dyn Any + Send));
}

#[repr(C)]
pub(crate) struct Home {
    node: Solo,
    side: Side,
    pub(crate) ledger: Ledger,
    pub(crate) host: Arc<dyn Host>,
    /// Memory for its tasks.
    pub(crate) depot: Depot,
}

static HOME: Kind = Kind {
    free: free_home,
    raise: raise_home,
    saw: |_| {},
    reason: StopReason::Shutdown,
    others: Kind::NO_OTHERS,
    polled: Kind::NOT_COUNTED,
    expire: Kind::NEVER_EXPIRES,
    side: offset_of!(Home, side),
    embedder: Kind::NO_EMBEDDER,
};

fn raise_home(node: &NodeRef, cause: &StopCause) -> bool {
    let mut won = false;
    let mut raise = || won = node.raise(cause);
    match home_behind(node) {
        Some(home) if !node.reads_set() => home.host.stop(home, cause, &mut raise),
        _ => raise(),
    }
    won
}

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`HomeRef::new`].
unsafe fn free_home(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    // SAFETY: a node of this kind is the first field of a `Home` that came from a `Box` in
    // `HomeRef::new`, and the caller vouches that nobody else points to it any more.
    let mut home = unsafe { Box::from_raw(node.cast::<Home>().as_ptr()) };
    home.node.take_parent()
}

/// The home behind a node of kind `HOME`.
fn home_behind(node: &NodeRef) -> Option<&Home> {
    // The address of a static is its own, so this tells homes from all other nodes.
    if !ptr::eq(node.kind(), &HOME) {
        return None;
    }
    // SAFETY: nodes of this kind are made by `HomeRef::new` alone, with a pointer to the whole
    // `Home`; it lives as long as `node` is borrowed, and is only ever shared.
    Some(unsafe { node.as_ptr().cast::<Home>().as_ref() })
}

/// Whether it is the node of a home.
pub(crate) fn is_home(node: &NodeRef) -> bool {
    home_behind(node).is_some()
}

/// The home that `node` is under. Tasks always are under one.
pub(crate) fn home_of(node: &NodeRef) -> &Home {
    let mut place = node.parent();
    while let Some(node) = place {
        if let Some(home) = home_behind(node) {
            return home;
        }
        place = node.parent();
    }
    unreachable!("a task is made under a home")
}

/// One counted pointer to a home.
///
/// Invariant: its node is of kind `HOME`.
#[derive(Clone)]
pub(crate) struct HomeRef(NodeRef);

impl HomeRef {
    pub(crate) fn new(parent: Option<NodeRef>, ledger: Ledger, host: Arc<dyn Host>) -> HomeRef {
        let home = Box::new(Home {
            node: Solo::new(0, 1, &HOME, parent),
            side: Side::new(),
            ledger,
            host,
            depot: Depot::new(),
        });
        let node = NonNull::from(Box::leak(home)).cast::<Node>();
        // SAFETY: `Home` is `repr(C)` with the node first, so this is a pointer to the node that is
        // valid for the whole home; the one count that it was born with becomes this reference's;
        // a `Home` is `Send` and `Sync`.
        HomeRef(unsafe { NodeRef::from_raw(node) })
    }

    /// The home whose node that is.
    pub(super) fn behind(node: NodeRef) -> Result<HomeRef, NodeRef> {
        match home_behind(&node) {
            Some(_) => Ok(HomeRef(node)),
            None => Err(node),
        }
    }

    #[inline]
    pub(crate) fn node(&self) -> &NodeRef {
        &self.0
    }
}

impl Deref for HomeRef {
    type Target = Home;

    #[inline]
    fn deref(&self) -> &Home {
        // SAFETY: by the invariant the node is the first field of a `Home`, and the pointer one to the
        // whole of it; it lives as long as this reference, and is only ever shared.
        unsafe { self.0.as_ptr().cast::<Home>().as_ref() }
    }
}

impl fmt::Debug for HomeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("node", &self.0)
            .finish_non_exhaustive()
    }
}

/// `Home` is shared and freed across threads.
const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Home>();
};

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::task::samples::{self, Quiet};

    #[test]
    fn the_host_stops_once() {
        let host = Arc::new(Quiet::default());
        let home = samples::home_of(Arc::clone(&host), None);
        let cause = samples::cause(StopReason::Shutdown);
        assert!(home.node().raise_as_kind(&cause));
        assert!(!home.node().raise_as_kind(&cause));
        assert_eq!(host.stops(), 1);
    }

    #[test]
    fn a_host_that_has_been_stopped_from_above_is_not_stopped_again() {
        let (host, above) = (Arc::new(Quiet::default()), NodeRef::plain(None));
        let home = samples::home_of(Arc::clone(&host), Some(above.clone()));
        let cause = samples::cause(StopReason::Requested);
        assert!(above.raise_as_kind(&cause));
        home.node().raise_as_kind(&cause);
        assert_eq!(host.stops(), 0);
    }
}

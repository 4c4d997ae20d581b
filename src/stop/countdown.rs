//! Events that count their polls, and are set by one of them.
#![allow(unsafe_code, reason = "a node with more behind it")]

use super::cause::{StopCause, StopReason};
use super::node::{Kind, Node, NodeRef, SPECIAL, Side, Solo};
use crate::sync::{AtomicU64, Ordering};
use std::mem::offset_of;
use std::panic::Location;
use std::ptr::{self, NonNull};

/// A node that hears of its polls.
#[repr(C)]
struct Countdown {
    node: Solo,
    count: Count,
    side: Side,
}

/// What is counted, and when it is enough.
pub(crate) struct Count {
    /// The poll that sets the node.
    stop_at: u64,
    /// Where the node was made, which is where its cause points.
    location: &'static Location<'static>,
    polls: AtomicU64,
    /// Those that found the node set, the one that set it among them.
    found_set: AtomicU64,
}

static COUNTDOWN: Kind = Kind {
    free: free_countdown,
    raise: |node, cause| node.raise(cause),
    saw: |_| {},
    reason: StopReason::Requested,
    others: Kind::NO_OTHERS,
    polled,
    expire: Kind::NEVER_EXPIRES,
    side: offset_of!(Countdown, side),
    embedder: Kind::NO_EMBEDDER,
};

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`countdown`].
unsafe fn free_countdown(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    // SAFETY: such a node came from a `Box<Countdown>` in `countdown`, and the caller vouches that
    // nobody else points to it any more.
    let mut countdown = unsafe { Box::from_raw(node.cast::<Countdown>().as_ptr()) };
    countdown.node.take_parent()
}

/// Hears of a poll, before the poll looks at the node.
fn polled(node: &NodeRef) {
    let Some(count) = count_behind(node) else {
        return;
    };
    // Relaxed: each poll gets a number of its own, and orders nothing.
    let number = count.polls.fetch_add(1, Ordering::Relaxed) + 1;
    if number >= count.stop_at {
        // A later poll on another thread does not wait for the one whose number it is: whichever
        // comes first sets the node, and none of them finds it unset.
        count.stop(node);
    }
    if node.is_set_itself() {
        count.found_set.fetch_add(1, Ordering::Relaxed);
    }
}

/// The count in a node of this kind.
pub(crate) fn count_behind(node: &NodeRef) -> Option<&Count> {
    // The address of a static is its own, so this tells these nodes from all others.
    if !ptr::eq(node.kind(), &COUNTDOWN) {
        return None;
    }
    // SAFETY: nodes of this kind are made by `countdown` alone, with a pointer to the whole
    // `Countdown`; it lives as long as `node` is borrowed, and is only ever shared.
    let countdown = unsafe { node.as_ptr().cast::<Countdown>().as_ref() };
    Some(&countdown.count)
}

impl Count {
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn found_set(&self) -> u64 {
        self.found_set.load(Ordering::Relaxed)
    }

    fn stop(&self, node: &NodeRef) {
        if !node.is_set_itself() {
            let reason = StopReason::custom(format!("poll {}", self.stop_at));
            node.raise(&StopCause::at(reason, self.location));
        }
    }
}

/// A node that is set by its `stop_at`th poll, and from the start if that is 0.
#[track_caller]
pub(crate) fn countdown(stop_at: u64) -> NodeRef {
    let node = Box::new(Countdown {
        node: Solo::new(SPECIAL, 1, &COUNTDOWN, None),
        count: Count {
            stop_at,
            location: Location::caller(),
            polls: AtomicU64::new(0),
            found_set: AtomicU64::new(0),
        },
        side: Side::new(),
    });
    // SAFETY: the pointer is that of a whole `Box<Countdown>`, which `COUNTDOWN.free` gives back, with a
    // `Side` where the kind says; the one count that the node was born with is this reference's; a
    // `Countdown` is `Send` and `Sync`.
    let node = unsafe { NodeRef::from_raw(NonNull::from(Box::leak(node)).cast()) };
    if let (0, Some(count)) = (stop_at, count_behind(&node)) {
        count.stop(&node);
    }
    node
}

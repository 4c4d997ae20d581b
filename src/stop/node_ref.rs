//! A counted pointer to a node, and the way to what lies around it. What is done with a node lies below: the walk of a poll,
//! setting, listening; and references in store.
#![allow(
    unsafe_code,
    reason = "counted pointers to allocations of different types"
)]

mod hoard;
mod listen;
mod set;
mod walk;

use super::cause::{StopCause, StopReason};
use super::listeners::Listeners;
use super::node::{Apart, Head, IN_SLAB, Kind, Member, Node, SET, STEP, Side, Solo, TIMED};
use super::timer::{self, Timer};
use crate::sync::{Arc, AtomicU32, Ordering};
use std::fmt;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::Deref;
use std::panic::Location;
use std::process;
use std::ptr::{self, NonNull};
use std::time::Instant;

pub(crate) use hoard::Hoard;

/// With more references to a node than this the process ends.
const MOST_REFERENCES: u32 = u32::MAX / 2;

/// A node of its own.
static PLAIN: Kind = Kind {
    free: free_plain,
    raise: |node, cause| node.raise(cause),
    saw: |_| {},
    reason: StopReason::Requested,
    others: Kind::NO_OTHERS,
    polled: Kind::NOT_COUNTED,
    expire: Kind::NEVER_EXPIRES,
    side: offset_of!(Plain, side),
    embedder: Kind::NO_EMBEDDER,
};

/// A node that stands alone.
#[repr(C)]
struct Plain {
    node: Solo,
    side: Side,
}

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`NodeRef::plain`].
unsafe fn free_plain(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    // SAFETY: a plain node came from a `Box<Plain>` in `NodeRef::plain`, and the caller vouches
    // that nobody else points to it any more.
    let mut plain = unsafe { Box::from_raw(node.cast::<Plain>().as_ptr()) };
    plain.node.take_parent()
}

/// One counted pointer to a node.
///
/// Invariant 6: it owns one of the node's counts (of its slab's, if it is in one), and the pointer may
/// be used for the whole allocation that the node is in. The node is at the start of a `Solo`, with a
/// `Side` where its kind says, or, if it has `IN_SLAB`, of a `Member` that lies as far behind a `Head`
/// as the node says.
pub(crate) struct NodeRef(NonNull<Node>);

// SAFETY: a node and what is around it are `Sync` (atomics, a `CauseCell`, `OnceArc`s of `Send + Sync`
// values, a `NodeRef`), and what embeds them vouches for the rest in `NodeRef::from_raw`. The last
// count may be given up on any thread, which `from_raw` demands too.
unsafe impl Send for NodeRef {}
// SAFETY: as above.
unsafe impl Sync for NodeRef {}

impl NodeRef {
    /// A new node that stands alone, under `parent` if there is one.
    pub(crate) fn plain(parent: Option<NodeRef>) -> NodeRef {
        let node = Box::new(Plain {
            node: Solo::new(0, 1, &PLAIN, parent),
            side: Side::new(),
        });
        // SAFETY: the pointer is that of a whole `Box<Plain>`, which `PLAIN.free` gives back; the one
        // count that the node was born with is this reference's; a `Plain` is `Send` and `Sync`.
        unsafe { NodeRef::from_raw(NonNull::from(Box::leak(node)).cast()) }
    }

    /// Takes over one count of the node.
    ///
    /// # Safety
    ///
    /// The caller owns that count and gives it up. The pointer is valid for the whole allocation
    /// that the node's kind frees, and that allocation may be used and freed from any thread. What
    /// invariant 6 says of the node's surroundings holds.
    pub(crate) unsafe fn from_raw(node: NonNull<Node>) -> NodeRef {
        NodeRef(node)
    }

    /// A reference to a node that may be about to be freed, unless it is.
    ///
    /// # Safety
    ///
    /// The node, with all that is around it, has not been freed, and is not before this returns. The
    /// pointer is as in [`from_raw`](Self::from_raw).
    #[cfg(not(loom))]
    pub(super) unsafe fn revive(node: NonNull<Node>) -> Option<NodeRef> {
        // SAFETY: as the caller vouches it may be looked at; the count that it does not own is not
        // given up.
        let lent = ManuallyDrop::new(unsafe { NodeRef::from_raw(node) });
        let references = lent.references();
        // Relaxed: the exchange settles it.
        let mut count = references.load(Ordering::Relaxed);
        while count > 0 {
            // Relaxed: as in `clone`.
            match references.compare_exchange_weak(
                count,
                count + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(ManuallyDrop::into_inner(lent)),
                Err(other) => count = other,
            }
        }
        None
    }

    /// Gives up this reference, but not its count, which the caller now owns.
    pub(crate) fn into_raw(self) -> NonNull<Node> {
        ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Node> {
        self.0
    }

    /// The head of the slab that the node is in, if it is in one.
    #[inline]
    pub(crate) fn head(&self) -> Option<NonNull<Head>> {
        // Relaxed: the bit and the distance were written before the node was shared, and stay.
        if self.word().load(Ordering::Relaxed) & IN_SLAB == 0 {
            return None;
        }
        let steps = self.count.load(Ordering::Relaxed) as usize;
        // SAFETY: by invariant 6 the head lies so far before the node, in the same allocation.
        Some(unsafe { self.0.byte_sub(steps * STEP) }.cast())
    }

    #[inline]
    fn head_ref(&self) -> Option<&Head> {
        // SAFETY: by invariant 6 there is a head, which lives as long as this reference, and is only
        // ever shared.
        self.head().map(|head| unsafe { head.as_ref() })
    }

    fn solo(&self) -> &Solo {
        debug_assert!(self.head().is_none(), "a node in a slab");
        // SAFETY: by invariant 6 a node that is in no slab is at the start of a `Solo`, which lives as
        // long as this reference, and is only ever shared.
        unsafe { self.0.cast().as_ref() }
    }

    fn solo_side(&self) -> &Side {
        let side = self.solo().kind.side;
        // SAFETY: by invariant 6 a node that is in no slab has its `Side` there, in the same allocation.
        let side = unsafe { self.0.byte_add(side) };
        // SAFETY: as above; it lives as long as this reference, and is only ever shared.
        unsafe { side.cast().as_ref() }
    }

    fn member(&self) -> &Member {
        debug_assert!(self.head().is_some(), "a node in no slab");
        // SAFETY: by invariant 6 a node in a slab is at the start of a `Member`; the rest as above.
        unsafe { self.0.cast().as_ref() }
    }

    /// Where the node's references are counted.
    #[inline]
    fn references(&self) -> &AtomicU32 {
        match self.head_ref() {
            Some(head) => &head.count,
            None => &self.count,
        }
    }

    /// Counts so many more references, which the caller must hand out.
    #[inline]
    fn add_references(&self, more: u32) {
        // Relaxed: a new count is made from a live one, as in `Arc`.
        let before = self.references().fetch_add(more, Ordering::Relaxed);
        if before > MOST_REFERENCES {
            // As `Arc` does: so many are a leak, and a count that wraps round would be unsound.
            process::abort();
        }
    }

    #[inline]
    pub(crate) fn kind(&self) -> &'static Kind {
        match self.head_ref() {
            Some(head) => head.kind,
            None => self.solo().kind,
        }
    }

    fn side(&self) -> Option<&Side> {
        match self.head() {
            Some(_) => Some(&self.member().apart.get()?.side),
            None => Some(self.solo_side()),
        }
    }

    fn side_or_new(&self) -> &Side {
        match self.head() {
            Some(_) => &self.apart_or_new().side,
            None => self.solo_side(),
        }
    }

    fn apart_or_new(&self) -> &Apart {
        let apart = &self.member().apart;
        apart.get_or_init(|| Arc::new(Apart::new()))
    }

    fn listeners(&self) -> Option<&Listeners> {
        self.side()?.listeners.get()
    }

    /// Whether this is the only reference. It then stays so for as long as it is neither cloned nor
    /// shown in a slot (`task/slot.rs`), since new references are made from old ones, or from what is
    /// shown. Cheaper than an atomic subtraction. Never so for a node in a slab: its distance from
    /// the head, which is there in place of the count, is more than one step.
    #[inline]
    pub(crate) fn is_only(&self) -> bool {
        // Acquire: partner is the Release of the subtraction that gave up the last but one reference,
        // after which all that was done through it is visible: the bit `TIMED` too, with which a node may
        // get another reference from the timers at any time. (Relaxed, by this.)
        self.count.load(Ordering::Acquire) == 1 && self.word().load(Ordering::Relaxed) & TIMED == 0
    }

    /// Whether there is one reference at this moment.
    #[cfg(feature = "testing")]
    pub(crate) fn has_one(&self) -> bool {
        // Acquire: as above.
        self.references().load(Ordering::Acquire) == 1
    }

    pub(crate) fn same(&self, other: &NodeRef) -> bool {
        ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }

    /// Sets the node in the way of its kind.
    pub(crate) fn raise_as_kind(&self, cause: &StopCause) -> bool {
        (self.kind().raise)(self, cause)
    }

    /// A time has come that is the node's kind's matter.
    #[cfg(not(loom))]
    pub(super) fn expire(&self, timer: Timer, cause: &StopCause) {
        (self.kind().expire)(self, timer, cause);
    }

    /// Sets a timer. Of several of the same sort the earliest stays.
    pub(crate) fn set_timer(
        &self,
        timer: Timer,
        at: Instant,
        location: &'static Location<'static>,
    ) {
        timer::set(self, timer, at, location);
    }

    /// Takes a timer of the node off the list, if it is there.
    #[inline]
    pub(crate) fn forget_timer(&self, timer: Timer) {
        // Relaxed: who set a timer that we should know of told us, or gave up a reference before us.
        if self.word().load(Ordering::Relaxed) & TIMED != 0 {
            timer::forget(self.as_ptr(), timer);
        }
    }

    /// Takes all timers of the node off the list.
    #[inline]
    pub(crate) fn forget_timers(&self) {
        self.forget_timer(Timer::Start);
        self.forget_timer(Timer::Stop);
        self.forget_timer(Timer::Cancel);
    }

    /// The caller, alone, frees the node: for the models to see whether it is alone.
    #[inline]
    pub(crate) fn is_freed(&self) {
        #[cfg(loom)]
        self.life.is_alone();
    }

    /// Notes that the one to whom this node was given has seen it set.
    pub(crate) fn note_seen(&self) {
        (self.kind().saw)(self);
    }
}

impl Clone for NodeRef {
    #[inline]
    fn clone(&self) -> Self {
        self.add_references(1);
        NodeRef(self.0)
    }
}

impl Drop for NodeRef {
    #[inline]
    fn drop(&mut self) {
        if self.is_only() || self.references().fetch_sub(1, Ordering::AcqRel) == 1 {
            // Release of the subtraction: what this thread did with the node happens before it is
            // freed. Acquire, for the last one: what all others did is visible to it.
            free_chain(self.0);
        }
    }
}

/// Frees a node of which the caller owned the last count, and then each ancestor whose last count that was: in
/// a loop, so that a chain of any length is freed in a constant amount of stack.
#[cold]
fn free_chain(node: NonNull<Node>) {
    let mut next = Some(node);
    // Other parents than the first.
    let mut more = Vec::new();
    while let Some(node) = next {
        // SAFETY: this thread owned the last count of `node`, and so alone still points to it. The
        // count is gone, so what is lent here is not dropped.
        let last = ManuallyDrop::new(unsafe { NodeRef::from_raw(node) });
        last.forget_timers();
        last.is_freed();
        let kind = last.kind();
        // SAFETY: `kind` is the node's own, and nobody else points to the node.
        let parent = unsafe { (kind.free)(node, &mut more) };
        next = parent.and_then(give_up);
        while next.is_none() {
            match more.pop() {
                Some(other) => next = give_up(other),
                None => return,
            }
        }
    }
}

/// Gives up a reference. The node, if that was the last one.
fn give_up(node: NodeRef) -> Option<NonNull<Node>> {
    let node = ManuallyDrop::new(node);
    // As in `NodeRef::drop`; the count is still ours, so the node is alive.
    let was_last = node.references().fetch_sub(1, Ordering::AcqRel) == 1;
    was_last.then_some(node.0)
}

impl Deref for NodeRef {
    type Target = Node;

    #[inline]
    fn deref(&self) -> &Node {
        // SAFETY: by invariant 6 we own a count, so the node is alive, and it is only ever shared.
        let node = unsafe { self.0.as_ref() };
        #[cfg(loom)]
        node.life.is_used();
        node
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("set", &(self.word().load(Ordering::Relaxed) & SET != 0))
            .field("cause", &self.side().and_then(|side| side.cause.get()))
            .field("has_parent", &self.parent().is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

//! The node behind every stop event: a counted allocation that begins with one atomic word.
//!
//! A node stands alone (a [`StopEvent`](crate::StopEvent) that a user made), or is the first field
//! of something larger that wants to be stoppable with one allocation (a task, a pool's home).
//! Whoever embeds it gives a [`Kind`], which says how the whole is freed and what else setting it
//! does. A [`NodeRef`] is one counted pointer to a node of any kind.
//!
//! # The word
//!
//! | bits | meaning | who writes |
//! |---|---|---|
//! | 0 | `SET`: the node's own flag | [`Node::raise`], and a task's cancel |
//! | 1 | `LISTENED`: somebody may be on the list for `Topic::Stop` | [`Node::listen`] |
//! | 2 | `CAUSED`: the cause has been written, or is by who set this | with `SET`, and [`Node::cause`] |
//! | 8–31 | a task's lifecycle | `task/state.rs` alone |
//!
//! # Invariants
//!
//! 1. Nodes form a forest: `parent` is given at birth and never changes, so there is no cycle.
//! 2. A node *reads set* when its own `SET` or that of any ancestor is set. `SET` is never cleared.
//! 3. `CAUSED` is set with or before `SET`, and never cleared. The thread whose read-modify-write set
//!    it writes the cause at once: its own, if it set `SET` too, else that of an ancestor which it
//!    has seen set. Who finds `CAUSED` without a cause waits for these few instructions.
//! 4. A parent knows nothing of its children: making and dropping a child touches only the
//!    parent's count, and a dropped child leaves nothing behind.
//! 5. A listener on a node's list was put there before `LISTENED` was set by its own thread.
#![allow(
    unsafe_code,
    reason = "counted pointers to allocations of different types"
)]

use super::cause::{StopCause, StopReason};
use super::cause_cell::CauseCell;
use super::listeners::{Key, Listen, Listeners, Topic};
use crate::once::OnceArc;
use crate::sync::{Arc, AtomicU32, Ordering};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::process;
use std::ptr::{self, NonNull};

/// The node's own stop flag.
pub(crate) const SET: u32 = 1;
/// Somebody may be listening for the stop.
pub(crate) const LISTENED: u32 = 1 << 1;

/// The cause has been written, or is about to be.
pub(crate) const CAUSED: u32 = 1 << 2;

/// How a node of some kind is freed, and what else setting it does.
pub(crate) struct Kind {
    /// Frees the allocation that the node is in, and gives back the parent that it held.
    ///
    /// # Safety
    ///
    /// The pointer is that of a node of this kind, and the caller owned its last count.
    pub(crate) free: unsafe fn(NonNull<Node>) -> Option<NodeRef>,
    /// Sets the node. True for the one call that did.
    pub(crate) raise: fn(&NodeRef, &StopCause) -> bool,
    /// Notes that somebody to whom this node was given as its own has seen it set.
    pub(crate) saw: fn(&NodeRef),
    /// The reason that a plain `set()` gives.
    pub(crate) reason: StopReason,
}

pub(crate) struct Node {
    word: AtomicU32,
    count: AtomicU32,
    kind: &'static Kind,
    parent: Option<NodeRef>,
    cause: CauseCell,
    listeners: OnceArc<Listeners>,
}

impl Node {
    /// A node with `count` references, which the caller must hand out.
    pub(crate) fn new(word: u32, count: u32, kind: &'static Kind, parent: Option<NodeRef>) -> Self {
        Node {
            word: AtomicU32::new(word),
            count: AtomicU32::new(count),
            kind,
            parent,
            cause: CauseCell::new(),
            listeners: OnceArc::new(),
        }
    }

    /// Gives up the parent, when the node is about to be freed.
    pub(crate) fn take_parent(&mut self) -> Option<NodeRef> {
        self.parent.take()
    }

    pub(crate) fn parent(&self) -> Option<&NodeRef> {
        self.parent.as_ref()
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The atomic word, for `task/state.rs`, which owns its upper bits.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// The poll: one relaxed load for this node and one for each ancestor, no write.
    ///
    /// When it says true, everything before the `set` is visible.
    #[inline]
    pub(crate) fn reads_set(&self) -> bool {
        let mut node = self;
        loop {
            // Relaxed: an unset event says nothing about other memory. See `confirm` for a set one.
            if node.word.load(Ordering::Relaxed) & SET != 0 {
                return node.confirm();
            }
            match &node.parent {
                Some(parent) => node = parent,
                None => return false,
            }
        }
    }

    /// Makes what came before the set visible to the thread that has just seen it.
    #[cold]
    fn confirm(&self) -> bool {
        // Acquire: partner is the Release half of the RMW that set `SET`. The bit is never cleared,
        // so the answer is the same; later RMWs on the word continue its release sequence.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Sets this node with `cause` unless it reads set already. True for the one call that did.
    ///
    /// When it returns, the node reads set and has its cause, whoever won; the winner has told
    /// every listener.
    pub(crate) fn raise(&self, cause: &StopCause) -> bool {
        if self.reads_set() {
            return false;
        }
        // Release: partner is the Acquire in `confirm`, so that all that the setter did before is
        // visible. Acquire: partner is the Release half of the RMW in `listen`, so that the list that
        // it made is visible.
        let before = self.word.fetch_or(SET | CAUSED, Ordering::AcqRel);
        let won = before & (SET | CAUSED) == 0;
        if won {
            // SAFETY: the line above set `CAUSED`, which is set once.
            unsafe { self.write_cause(cause) };
            self.tell_stop(before);
        }
        won
    }

    /// Writes the cause.
    ///
    /// # Safety
    ///
    /// The caller has set `CAUSED`, or has made the node with it, and calls this once.
    pub(crate) unsafe fn write_cause(&self, cause: &StopCause) {
        // SAFETY: the bit is set once, and so this is called once.
        unsafe { self.cause.write(cause) };
    }

    /// Tells those who listen for the stop, if the word as it was before `SET` says that there may
    /// be some.
    pub(crate) fn tell_stop(&self, before: u32) {
        if before & LISTENED != 0 {
            self.tell(&[Topic::Stop]);
        }
    }

    /// Tells those who listen for `topics`.
    #[cold]
    pub(crate) fn tell(&self, topics: &[Topic]) {
        if let Some(listeners) = self.listeners.get() {
            listeners.notify(topics);
        }
    }

    /// Puts `listener` on the list and sets `bit` of the word. `happened` looks at the word as it
    /// was before and says whether what is listened for had happened by then.
    ///
    /// `Some(key)`: it is on the list and hears, or has been taken off it to hear. `None`: the
    /// thing had happened, and the listener does not hear of it from here.
    ///
    /// Why none is lost and none hears twice: this RMW and the one that makes the thing happen are
    /// on one word, so one of them is first. If ours is, the other one sees the bit, and tells. If
    /// theirs is, we see that it happened, and take the listener off again; should it be gone, the
    /// other side saw the bit from somebody else, has taken it, and tells.
    pub(crate) fn listen(
        &self,
        topic: Topic,
        bit: u32,
        happened: impl FnOnce(u32) -> bool,
        listener: Arc<dyn Listen>,
    ) -> Option<Key> {
        let list = self.listeners.get_or_init(|| Arc::new(Listeners::new()));
        let key = list.add(topic, listener);
        // Release: the list that was made above is visible to who sees the bit. Acquire: when it
        // has happened already, what came before it is visible to us.
        let before = self.word.fetch_or(bit, Ordering::AcqRel);
        (!happened(before) || !list.remove(key)).then_some(key)
    }

    /// Takes a listener off the list. False: it has heard, or is about to.
    pub(crate) fn unlisten(&self, key: Key) -> bool {
        self.listeners.get().is_some_and(|list| list.remove(key))
    }

    /// The cause, when the node reads set. The first answer stays the answer.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        if !self.reads_set() {
            return None;
        }
        // Acquire: as in `confirm`.
        if self.word.load(Ordering::Acquire) & CAUSED == 0 {
            // Set by an ancestor. Its cause becomes ours for good, so that a later look cannot find
            // another one lower down. (None if the node was set itself since we looked.)
            let cause = self.ancestors().find_map(Node::own_cause);
            if let Some(cause) = cause {
                // Relaxed: the cause is published by its own store, and the bit orders nothing.
                let before = self.word.fetch_or(CAUSED, Ordering::Relaxed);
                if before & CAUSED == 0 {
                    // SAFETY: the line above set `CAUSED`.
                    unsafe { self.write_cause(&cause) };
                }
            }
        }
        Some(self.cause.wait())
    }

    /// The cause of a node whose own flag is set.
    fn own_cause(&self) -> Option<StopCause> {
        // Acquire: as in `confirm`.
        let set = self.word.load(Ordering::Acquire) & SET != 0;
        set.then(|| self.cause.wait())
    }

    fn ancestors(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.parent.as_deref(), |node| node.parent.as_deref())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node {
            word,
            count: _,
            kind: _,
            parent,
            cause,
            listeners: _,
        } = self;
        f.debug_struct("Node")
            .field("set", &(word.load(Ordering::Relaxed) & SET != 0))
            .field("cause", cause)
            .field("has_parent", &parent.is_some())
            .finish_non_exhaustive()
    }
}

/// A node of its own.
static PLAIN: Kind = Kind {
    free: free_plain,
    raise: |node, cause| node.raise(cause),
    saw: |_| {},
    reason: StopReason::Requested,
};

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`NodeRef::plain`].
unsafe fn free_plain(node: NonNull<Node>) -> Option<NodeRef> {
    // SAFETY: a plain node came from `Box::into_raw` in `NodeRef::plain`, and the caller vouches
    // that nobody else points to it any more.
    let mut node = unsafe { Box::from_raw(node.as_ptr()) };
    node.take_parent()
}

/// One counted pointer to a node.
///
/// Invariant 6: it owns one of the node's counts, and the pointer may be used for the whole
/// allocation that the node is in.
pub(crate) struct NodeRef(NonNull<Node>);

// SAFETY: a node is `Sync` (atomics, a `CauseCell`, a `OnceArc` of a `Send + Sync` value, a `NodeRef`), and what
// embeds one vouches for the rest in `NodeRef::from_raw`. The last count may be given up on any
// thread, which `from_raw` demands too.
unsafe impl Send for NodeRef {}
// SAFETY: as above.
unsafe impl Sync for NodeRef {}

impl NodeRef {
    /// A new node that stands alone, under `parent` if there is one.
    pub(crate) fn plain(parent: Option<NodeRef>) -> NodeRef {
        let node = Box::new(Node::new(0, 1, &PLAIN, parent));
        // SAFETY: the pointer is that of a whole `Box<Node>`, which `PLAIN.free` gives back; the one
        // count that the node was born with is this reference's; a `Node` is `Send` and `Sync`.
        unsafe { NodeRef::from_raw(NonNull::from(Box::leak(node))) }
    }

    /// Takes over one count of the node.
    ///
    /// # Safety
    ///
    /// The caller owns that count and gives it up. The pointer is valid for the whole allocation
    /// that the node's kind frees, and that allocation may be used and freed from any thread.
    pub(crate) unsafe fn from_raw(node: NonNull<Node>) -> NodeRef {
        NodeRef(node)
    }

    /// Gives up this reference, but not its count, which the caller now owns.
    pub(crate) fn into_raw(self) -> NonNull<Node> {
        ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Node> {
        self.0
    }

    /// Whether this is the only reference. It then stays so for as long as it is neither cloned nor
    /// shown in a slot (`task/slot.rs`), since new references are made from old ones, or from what is
    /// shown. Cheaper than an atomic subtraction.
    #[inline]
    pub(crate) fn is_only(&self) -> bool {
        // Acquire: partner is the Release of the subtraction that gave up the last but one reference,
        // after which all that was done through it is visible.
        self.count.load(Ordering::Acquire) == 1
    }

    pub(crate) fn same(&self, other: &NodeRef) -> bool {
        ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }

    /// Sets the node in the way of its kind.
    pub(crate) fn raise_as_kind(&self, cause: &StopCause) -> bool {
        (self.kind.raise)(self, cause)
    }

    /// Notes that the one to whom this node was given has seen it set.
    pub(crate) fn note_seen(&self) {
        (self.kind.saw)(self);
    }

    /// This node and its ancestors, nearest first.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &NodeRef> {
        std::iter::successors(Some(self), |node| node.parent.as_ref())
    }
}

impl Clone for NodeRef {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: a new count is made from a live one, as in `Arc`.
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before > u32::MAX / 2 {
            // As `Arc` does: two thousand million references are a leak, and a count that wraps
            // round would be unsound.
            process::abort();
        }
        NodeRef(self.0)
    }
}

impl Drop for NodeRef {
    #[inline]
    fn drop(&mut self) {
        if self.is_only() || self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Release of the subtraction: what this thread did with the node happens before it is
            // freed. Acquire, for the last one: what all others did is visible to it.
            free_chain(self.0);
        }
    }
}

/// Frees a node of which the caller owned the last count, and then each ancestor whose last count that was: in
/// a loop, so that a chain of any length is freed in a constant amount of stack.
#[cold]
fn free_chain(mut node: NonNull<Node>) {
    loop {
        // SAFETY: this thread owned the last count of `node`, and so alone still points to it.
        let kind = unsafe { node.as_ref() }.kind;
        // SAFETY: `kind` is the node's own, and nobody else points to the node.
        let parent = unsafe { (kind.free)(node) };
        let Some(parent) = parent.map(NodeRef::into_raw) else {
            return;
        };
        // SAFETY: the child's count on the parent is still ours, so the parent is alive.
        let count = unsafe { &parent.as_ref().count };
        // As in `NodeRef::drop`.
        if count.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        node = parent;
    }
}

/// References to one node that are not in use: they are taken and given back without touching its
/// count, which is corrected by the dozen.
///
/// Invariant 7: it owns `spare` of the node's counts besides the one that `node` owns.
pub(crate) struct Hoard {
    node: NodeRef,
    spare: u32,
}

/// How many counts are added at once, and how many above that are kept.
const DOZENS: u32 = 256;

impl Hoard {
    pub(crate) fn new(node: NodeRef) -> Hoard {
        Hoard { node, spare: 0 }
    }

    pub(crate) fn is_of(&self, node: &NodeRef) -> bool {
        self.node.same(node)
    }

    pub(crate) fn take(&mut self) -> NodeRef {
        if self.spare == 0 {
            // Relaxed: as in `clone`.
            let before = self.node.count.fetch_add(DOZENS, Ordering::Relaxed);
            if before > u32::MAX / 2 {
                process::abort();
            }
            self.spare = DOZENS;
        }
        self.spare -= 1;
        // SAFETY: by invariant 7 we own the count that the new reference takes over.
        unsafe { NodeRef::from_raw(self.node.0) }
    }

    /// Takes a reference to the same node into store.
    pub(crate) fn give(&mut self, node: NodeRef) {
        debug_assert!(self.is_of(&node), "another node");
        // From here on its count is ours.
        let _ = node.into_raw();
        self.spare += 1;
        if self.spare > 2 * DOZENS {
            self.release(DOZENS);
        }
    }

    fn release(&mut self, counts: u32) {
        self.spare -= counts;
        // Release: as in `NodeRef::drop`. The count of `node` is left, so nothing is to be freed.
        self.node.count.fetch_sub(counts, Ordering::Release);
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        self.release(self.spare);
    }
}

impl Deref for NodeRef {
    type Target = Node;

    #[inline]
    fn deref(&self) -> &Node {
        // SAFETY: by invariant 6 we own a count, so the node is alive, and it is only ever shared.
        unsafe { self.0.as_ref() }
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

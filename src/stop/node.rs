//! The node behind every stop event: a counted allocation that begins with one atomic word.
//!
//! A node stands alone (a [`StopEvent`](crate::StopEvent) that a user made), or is the first field
//! of something larger that wants to be stoppable with one allocation (a task, a pool's home), or is one
//! of many in a *slab* (the tasks of a batch), which share what they can in the slab's head. Whoever
//! embeds it gives a [`Kind`], which says how the whole is freed and what else setting it does.
//! A [`NodeRef`] is one counted pointer to a node of any kind, and the way to all that is
//! not in the node itself.
//!
//! ```text
//! alone      │ node │ kind │ seen │ what the embedder has … │ side: cause, listeners
//! in a slab  │ head: count, kind │ … │ node │ apart: side, seen, once they are there │ … │ node │ apart │ …
//! ```
//!
//! # The word
//!
//! | bits | meaning | who writes |
//! |---|---|---|
//! | 0 | `SET`: the node's own flag | [`NodeRef::raise`], and a task's cancel |
//! | 1 | `LISTENED`: somebody may be on the list for `Topic::Stop` | [`NodeRef::listen`] |
//! | 2 | `CAUSED`: the cause has been written, or is by who set this | with `SET`, and [`NodeRef::cause`] |
//! | 3 | `IN_SLAB`: the node is in a slab | its maker |
//! | 4 | `SPECIAL`: it has more parents than one, or counts polls | its maker |
//! | 5 | `TIMED`: the timers may know it | `stop/timer.rs` |
//! | 6 | `NESTED`: it is `SPECIAL`, and an ancestor is too | its maker |
//! | 8–31 | a task's lifecycle | `task/state.rs` alone |
//!
//! # Invariants
//!
//! 1. Parents are given at birth and never change, so there is no cycle.
//! 2. A node *reads set* when its own `SET` or that of any ancestor is set. `SET` is never cleared.
//! 3. `CAUSED` is set with or before `SET`, and never cleared. The thread whose read-modify-write set
//!    it writes the cause at once: its own, if it set `SET` too, else that of an ancestor which it
//!    has seen set. Who finds `CAUSED` without a cause waits for these few instructions.
//! 4. A parent knows nothing of its children: making and dropping a child touches only the
//!    parent's count, and a dropped child leaves nothing behind.
//! 5. A listener on a node's list was put there before `LISTENED` was set by its own thread.

use super::cause::{StopCause, StopReason};
use super::cause_cell::CauseCell;
use super::clock::Stamp;
use super::listeners::Listeners;
pub(crate) use super::node_ref::{Hoard, NodeRef};
use super::timer::Timer;
use crate::once::OnceArc;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::any::Any;
use std::ptr::NonNull;

/// The node's own stop flag.
pub(crate) const SET: u32 = 1;
/// Somebody may be listening for the stop.
pub(crate) const LISTENED: u32 = 1 << 1;
/// The cause has been written, or is about to be.
pub(crate) const CAUSED: u32 = 1 << 2;
/// The node is in a slab.
pub(crate) const IN_SLAB: u32 = 1 << 3;
/// A poll has to ask the node's kind.
pub(crate) const SPECIAL: u32 = 1 << 4;
/// The timers may know the node.
pub(crate) const TIMED: u32 = 1 << 5;
/// The node is `SPECIAL`, and one of its ancestors is.
pub(crate) const NESTED: u32 = 1 << 6;

/// How a node of some kind is freed, and what else setting it does.
pub(crate) struct Kind {
    /// Frees the allocation that the node is in, and gives back the parent that it held, and adds its other
    /// parents to the list.
    ///
    /// # Safety
    ///
    /// The pointer is that of a node of this kind, and the caller owned its last count, or the last
    /// one of its slab.
    pub(crate) free: unsafe fn(NonNull<Node>, &mut Vec<NodeRef>) -> Option<NodeRef>,
    /// Sets the node. True for the one call that did.
    pub(crate) raise: fn(&NodeRef, &StopCause) -> bool,
    /// Notes that somebody to whom this node was given as its own has seen it set.
    pub(crate) saw: fn(&NodeRef),
    /// The reason that a plain `set()` gives.
    pub(crate) reason: StopReason,
    /// The parents of a `SPECIAL` node besides its first.
    pub(crate) others: fn(&NodeRef) -> &[NodeRef],
    /// Hears of each poll of a `SPECIAL` node, before the poll looks at it.
    pub(crate) polled: fn(&NodeRef),
    /// A time has come that is the kind's own matter.
    #[cfg_attr(loom, expect(dead_code, reason = "no time passes in a model"))]
    pub(crate) expire: fn(&NodeRef, Timer, &StopCause),
    /// How far behind a node that stands alone its [`Side`] lies, in bytes.
    pub(crate) side: usize,
    /// What the embedder wants to find again from its nodes.
    pub(crate) embedder: &'static (dyn Any + Send + Sync),
}

impl Kind {
    /// For nodes with one parent at most.
    pub(crate) const NO_OTHERS: fn(&NodeRef) -> &[NodeRef] = |_| &[];
    /// For nodes that do not count polls.
    pub(crate) const NOT_COUNTED: fn(&NodeRef) = |_| {};
    /// For embedders that want nothing.
    pub(crate) const NO_EMBEDDER: &'static (dyn Any + Send + Sync) = &();
    /// For nodes that are only set.
    pub(crate) const NEVER_EXPIRES: fn(&NodeRef, Timer, &StopCause) = |_, _, _| {};
}

/// What a poll looks at. Its address has three bits that are always clear, which entries of the queue make use of.
#[repr(C, align(8))]
pub(crate) struct Node {
    word: AtomicU32,
    /// Of a node alone: how many references there are. Of one in a slab: how far it lies behind the
    /// head, in [`STEP`]s, which never changes.
    pub(super) count: AtomicU32,
    parent: Option<NodeRef>,
    /// For the models to see that all uses come before the end.
    #[cfg(loom)]
    pub(super) life: crate::sync::Life,
}

/// A node that stands alone, or at the start of something larger, which has a [`Side`] where the kind
/// says.
#[repr(C)]
pub(crate) struct Solo {
    node: Node,
    pub(super) kind: &'static Kind,
    /// Beside the word, which whoever sees the stop writes as well, and not on the side, which the setter is writing just then.
    pub(super) seen: Seen,
}

/// A node in a slab.
#[repr(C)]
pub(crate) struct Member {
    node: Node,
    /// Most are never stopped and never waited for.
    pub(super) apart: OnceArc<Apart>,
}

/// What a slab begins with.
#[repr(C)]
pub(crate) struct Head {
    /// How many references there are to nodes of the slab.
    pub(super) count: AtomicU32,
    pub(super) kind: &'static Kind,
}

/// What is looked at when a node is set or waited for.
pub(crate) struct Side {
    pub(super) cause: CauseCell,
    pub(super) listeners: OnceArc<Listeners>,
}

/// What a node in a slab has besides.
pub(crate) struct Apart {
    pub(super) side: Side,
    pub(super) seen: Seen,
}

impl Apart {
    pub(super) fn new() -> Apart {
        Apart {
            side: Side::new(),
            seen: Seen(AtomicU64::new(0)),
        }
    }
}

/// When a task to which the node was given first saw it set: a stamp, or zero.
pub(crate) struct Seen(AtomicU64);

impl Seen {
    pub(super) fn note(&self, now: Stamp) {
        // Relaxed: who reads the stamp has seen the bit that says that there is one (`State::note_seen`).
        let _ = self
            .0
            .compare_exchange(0, now.bits(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Option<Stamp> {
        // Relaxed: as above.
        Stamp::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Side {
    pub(crate) fn new() -> Side {
        Side {
            cause: CauseCell::new(),
            listeners: OnceArc::new(),
        }
    }
}

/// The unit of a node's distance from the head of its slab, in bytes.
pub(super) const STEP: usize = align_of::<Head>();

impl Solo {
    /// A node with `count` references, which the caller must hand out.
    pub(crate) fn new(word: u32, count: u32, kind: &'static Kind, parent: Option<NodeRef>) -> Self {
        Solo {
            node: Node {
                word: AtomicU32::new(word),
                count: AtomicU32::new(count),
                parent,
                #[cfg(loom)]
                life: crate::sync::Life::new(),
            },
            kind,
            seen: Seen(AtomicU64::new(0)),
        }
    }

    /// Gives up the parent, when the node is about to be freed.
    #[inline]
    pub(crate) fn take_parent(&mut self) -> Option<NodeRef> {
        self.node.parent.take()
    }

    /// Whether the side may have anything in it. If not, it need not be dropped.
    #[inline]
    pub(crate) fn has_side(&mut self, heard: u32) -> bool {
        // Relaxed: `&mut self` says that all that was done to the node happened before.
        self.node.word.load(Ordering::Relaxed) & (CAUSED | LISTENED | heard) != 0
    }
}

impl Member {
    /// How many steps a node lies behind the head of its slab that lies so many bytes behind it.
    ///
    /// # Panics
    ///
    /// If the distance is too far, or not one at which a node can lie.
    pub(crate) fn steps(distance: usize) -> u32 {
        assert!(distance % STEP == 0 && distance >= size_of::<Head>());
        u32::try_from(distance / STEP).expect("a slab is small")
    }

    /// A node that will lie so many [`steps`](Self::steps) behind the head of its slab. Its references are counted there.
    pub(crate) fn new(word: u32, steps: u32, parent: Option<NodeRef>) -> Self {
        Member {
            node: Node {
                word: AtomicU32::new(word | IN_SLAB),
                count: AtomicU32::new(steps),
                parent,
                #[cfg(loom)]
                life: crate::sync::Life::new(),
            },
            apart: OnceArc::new(),
        }
    }

    /// Gives up the parent, when the node is about to be freed.
    pub(crate) fn take_parent(&mut self) -> Option<NodeRef> {
        self.node.parent.take()
    }
}

impl Head {
    /// A head that counts `count` references, which the caller must hand out.
    pub(crate) fn new(count: u32, kind: &'static Kind) -> Self {
        Head {
            count: AtomicU32::new(count),
            kind,
        }
    }
}

impl Node {
    #[inline]
    pub(crate) fn parent(&self) -> Option<&NodeRef> {
        self.parent.as_ref()
    }

    /// The atomic word, for `task/state.rs`, which owns its upper bits.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Whether the node's own flag is set.
    pub(crate) fn is_set_itself(&self) -> bool {
        // Relaxed: it says nothing about other memory.
        self.word.load(Ordering::Relaxed) & SET != 0
    }

    /// Whether the node has several parents, or counts polls.
    pub(crate) fn is_special(&self) -> bool {
        // Relaxed: the bit was written before the node was shared, and stays.
        self.word.load(Ordering::Relaxed) & SPECIAL != 0
    }

    /// Makes what came before the set visible to the thread that has just seen it.
    #[cold]
    pub(super) fn confirm(&self) -> bool {
        // Acquire: partner is the Release half of the RMW that set `SET`. The bit is never cleared,
        // so the answer is the same; later RMWs on the word continue its release sequence.
        self.word.load(Ordering::Acquire) & SET != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::any::any;
    use super::*;

    static KIND: Kind = Kind {
        free: |_, _| None,
        raise: |_, _| false,
        saw: |_| {},
        reason: StopReason::Requested,
        others: Kind::NO_OTHERS,
        polled: Kind::NOT_COUNTED,
        expire: Kind::NEVER_EXPIRES,
        side: 0,
        embedder: Kind::NO_EMBEDDER,
    };

    #[test]
    fn a_node_that_was_neither_set_nor_waited_for_has_nothing_on_its_side() {
        let has_side = |word, heard| Solo::new(word, 1, &KIND, None).has_side(heard);
        let heard = 1 << 8;
        assert!(!has_side(0, heard) && !has_side(TIMED | SPECIAL, heard));
        assert!(!has_side(heard, 0));
        for word in [CAUSED, LISTENED, heard] {
            assert!(has_side(word, heard) && has_side(word | TIMED, heard));
        }
    }

    #[test]
    fn a_node_with_several_parents_is_special() {
        let [one, other] = [(); 2].map(|()| NodeRef::plain(None));
        assert!(!one.is_special());
        assert!(!NodeRef::plain(Some(one.clone())).is_special());
        assert!(any(one, vec![other]).is_special());
    }
}

//! References in store. A hoard is one thread's own; of the node it touches the count alone.
#![allow(
    unsafe_code,
    reason = "a reference that is taken takes over one of the counts in store"
)]

use super::NodeRef;
use crate::sync::Ordering;

/// References to one node that are not in use: they are taken and given back without touching its
/// count, which is corrected by the dozen.
///
/// Invariant 7: it owns `spare` of the node's counts besides the one that `node` owns.
pub(crate) struct Hoard {
    node: NodeRef,
    spare: u32,
}

/// How many counts are added at once, and how many above that are kept.
pub(super) const DOZENS: u32 = 256;

impl Hoard {
    pub(crate) fn new(node: NodeRef) -> Hoard {
        Hoard { node, spare: 0 }
    }

    pub(crate) fn is_of(&self, node: &NodeRef) -> bool {
        self.node.same(node)
    }

    #[inline]
    pub(crate) fn take(&mut self) -> NodeRef {
        if self.spare == 0 {
            self.node.add_references(DOZENS);
            self.spare = DOZENS;
        }
        self.spare -= 1;
        // SAFETY: by invariant 7 we own the count that the new reference takes over.
        unsafe { NodeRef::from_raw(self.node.0) }
    }

    /// Takes a reference to the same node into store.
    #[inline]
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
        // Relaxed: the count of `node` is left, so nothing is to be freed; and what this thread did with the node comes
        // before it gives up that one.
        self.node.references().fetch_sub(counts, Ordering::Relaxed);
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        self.release(self.spare);
    }
}

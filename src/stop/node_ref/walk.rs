//! The poll: a walk from a node to its ancestors. Any thread may make it at any time; of a node that is not set and has nothing
//! special it writes nothing.

use super::NodeRef;
use crate::stop::node::{NESTED, Node, SET, SPECIAL};
use crate::sync::Ordering;
use std::collections::BTreeSet;
use std::iter;
use std::ptr::NonNull;

impl NodeRef {
    /// This node and its ancestors, each once: after one of which it is a parent, the first
    /// parents first. Always in the same order.
    pub(crate) fn chain(&self) -> Chain<'_> {
        Chain {
            next: Some(self),
            others: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// Whether the node or an ancestor is set. When it says true, everything before the `set` is
    /// visible.
    #[inline]
    pub(crate) fn reads_set(&self) -> bool {
        self.look::<false>()
    }

    /// As [`reads_set`](Self::reads_set), on behalf of the user's code: this is the poll. One relaxed load
    /// for this node and one for each ancestor, no write.
    #[inline]
    pub(crate) fn poll(&self) -> bool {
        self.look::<true>()
    }

    #[inline]
    fn look<const POLL: bool>(&self) -> bool {
        let mut node: &Node = self;
        loop {
            // Relaxed: an unset event says nothing about other memory. See `confirm` for a set one.
            if node.word().load(Ordering::Relaxed) & (SET | SPECIAL) != 0 {
                // From the start again, so that this loop has nothing to remember.
                return self.look_closely(POLL);
            }
            match node.parent() {
                Some(parent) => node = parent,
                None => return false,
            }
        }
    }

    /// The walk again, when there is something on the way.
    #[cold]
    #[inline(never)]
    fn look_closely(&self, poll: bool) -> bool {
        debug_assert!(
            iter::successors(Some(self), |node| node.parent())
                .any(|node| node.is_set_itself() || node.is_special()),
            "there is nothing on the way"
        );
        let mut node = self;
        loop {
            // Relaxed: the bits were written before the node was shared, and stay.
            let word = node.word().load(Ordering::Relaxed);
            if word & NESTED != 0 {
                // There may be many ways to one node: with a list of those that were looked at.
                return node.chain().any(|node| node.look_at(poll));
            }
            if word & SPECIAL != 0 {
                let kind = node.kind();
                if poll {
                    // It may set the node.
                    (kind.polled)(node);
                }
                // None of their ancestors is special.
                let mut others = (kind.others)(node).iter();
                if others.any(|other| other.chain().any(|node| node.confirm())) {
                    return true;
                }
            }
            if node.confirm() {
                return true;
            }
            match node.parent() {
                Some(parent) => node = parent,
                None => return false,
            }
        }
    }

    /// One step of the walk.
    fn look_at(&self, poll: bool) -> bool {
        if poll {
            (self.kind().polled)(self);
        }
        self.confirm()
    }
}

/// See [`NodeRef::chain`].
pub(crate) struct Chain<'a> {
    next: Option<&'a NodeRef>,
    others: Vec<&'a NodeRef>,
    /// The nodes that were found, from the first one with several parents on: before that there is one way only.
    known: BTreeSet<NonNull<Node>>,
}

impl Chain<'_> {
    /// Goes on beside that node, which it has just come to.
    pub(super) fn leave_out_above(&mut self, node: &NodeRef) {
        self.next = None;
        if node.is_special() {
            let above = (node.kind().others)(node).len();
            self.others.truncate(self.others.len() - above);
        }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = &'a NodeRef;

    fn next(&mut self) -> Option<&'a NodeRef> {
        loop {
            let node = self.next.take().or_else(|| self.others.pop())?;
            if node.is_special() || !self.known.is_empty() {
                if !self.known.insert(node.as_ptr()) {
                    continue;
                }
                if node.is_special() {
                    self.others.extend((node.kind().others)(node).iter().rev());
                }
            }
            self.next = node.parent();
            return Some(node);
        }
    }
}

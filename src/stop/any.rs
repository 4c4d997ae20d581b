//! Events with more parents than one.
#![allow(unsafe_code, reason = "a node with more behind it")]

use super::cause::StopReason;
use super::node::{Kind, NESTED, Node, NodeRef, SPECIAL, Side, Solo};
use std::mem::offset_of;
use std::ptr::NonNull;

/// A node with parents besides its first.
#[repr(C)]
struct Any {
    node: Solo,
    others: Box<[NodeRef]>,
    side: Side,
}

static ANY: Kind = Kind {
    free: free_any,
    raise: |node, cause| node.raise(cause),
    saw: |_| {},
    reason: StopReason::Requested,
    others,
    polled: Kind::NOT_COUNTED,
    expire: Kind::NEVER_EXPIRES,
    side: offset_of!(Any, side),
    embedder: Kind::NO_EMBEDDER,
};

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`any`].
unsafe fn free_any(node: NonNull<Node>, others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    // SAFETY: such a node came from a `Box<Any>` in `any`, and the caller vouches that nobody else
    // points to it any more.
    let mut any = unsafe { Box::from_raw(node.cast::<Any>().as_ptr()) };
    others.extend(std::mem::take(&mut any.others));
    any.node.take_parent()
}

fn others(node: &NodeRef) -> &[NodeRef] {
    // SAFETY: nodes of this kind, which alone names this function, are made by `any`, with a pointer
    // to the whole `Any`; it lives as long as `node` is borrowed, and is only ever shared.
    let any = unsafe { node.as_ptr().cast::<Any>().as_ref() };
    &any.others
}

/// The first word of a node with these parents, the others besides its first.
pub(crate) fn word_of(first: &NodeRef, others: &[NodeRef]) -> u32 {
    if others.is_empty() {
        return 0;
    }
    let mut parents = others.iter().chain([first]);
    let is_nested = parents.any(|parent| parent.chain().any(|node| node.is_special()));
    SPECIAL | if is_nested { NESTED } else { 0 }
}

/// A node that is set when any of these is.
pub(crate) fn any(first: NodeRef, others: Vec<NodeRef>) -> NodeRef {
    if others.is_empty() {
        return NodeRef::plain(Some(first));
    }
    let word = word_of(&first, &others);
    let node = Box::new(Any {
        node: Solo::new(word, 1, &ANY, Some(first)),
        others: others.into(),
        side: Side::new(),
    });
    // SAFETY: the pointer is that of a whole `Box<Any>`, which `ANY.free` gives back, with a `Side` where
    // the kind says; the one count that the node was born with is this reference's; an `Any` is `Send`
    // and `Sync`.
    unsafe { NodeRef::from_raw(NonNull::from(Box::leak(node)).cast()) }
}

//! Blocking until an event is set.
//!
//! A waiter puts itself on the list of its node and of every ancestor, since a parent knows nothing
//! of its children (invariant 4 of the node). It looks at each node in the same atomic step in which
//! it says that it listens, so a set that comes before, between or after is never lost.

use super::listeners::{Listen, Topic};
use super::node::{LISTENED, NodeRef, SET};
use super::parker::Parker;
use crate::sync::Arc;
use std::time::Instant;

/// Blocks until `node` reads set, or until `deadline`. Says whether it reads set.
pub(crate) fn until_set(node: &NodeRef, deadline: Option<Instant>) -> bool {
    if node.reads_set() {
        return true;
    }
    let parker = Arc::new(Parker::new());
    let heard = Registered::on_chain(node, &parker);
    if heard.is_some() {
        while !node.reads_set() && parker.park_until(deadline) {}
    }
    drop(heard);
    node.reads_set()
}

/// Blocks until `deadline`, and for ever if there is none. Always false.
pub(crate) fn never(deadline: Option<Instant>) -> bool {
    let parker = Parker::new();
    while parker.park_until(deadline) {}
    false
}

/// A listener on the list of each node of a chain, until it is dropped.
struct Registered<'a> {
    places: Vec<(&'a NodeRef, super::listeners::Key)>,
}

impl<'a> Registered<'a> {
    /// `None` if some node of the chain was set already.
    fn on_chain(node: &'a NodeRef, parker: &Arc<Parker>) -> Option<Self> {
        let mut registered = Registered { places: Vec::new() };
        for place in node.chain() {
            let listener: Arc<dyn Listen> = parker.clone();
            let key = place.listen(Topic::Stop, LISTENED, |word| word & SET != 0, listener)?;
            registered.places.push((place, key));
        }
        Some(registered)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        for (node, key) in &self.places {
            // Gone already when that node was the one that was set.
            let _ = node.unlisten(*key);
        }
    }
}

//! Blocking until an event is set, and listening for it on every node that could set it.
//!
//! A listener is put on the list of the node and of every ancestor, since a parent knows nothing of
//! its children (invariant 4 of the node). It looks at each node in the same atomic step in which it
//! says that it listens, so a set that comes before, between or after is never lost.

use super::listeners::{Key, Listen, Topic};
use super::node::{LISTENED, NodeRef, SET};
use super::parker::Parker;
use crate::sync::Arc;
use std::fmt;
use std::time::Instant;

/// Blocks until `node` reads set, or until `deadline`. Says whether it reads set.
pub(crate) fn until_set(node: &NodeRef, deadline: Option<Instant>) -> bool {
    if node.reads_set() {
        return true;
    }
    let parker = Arc::new(Parker::new());
    let registration = Registration::on_chain(node, &(parker.clone() as Arc<dyn Listen>));
    if registration.is_some() {
        while !node.reads_set() && parker.park_until(deadline) {}
    }
    drop(registration);
    node.reads_set()
}

/// Blocks until `deadline`, and for ever if there is none. Always false.
pub(crate) fn never(deadline: Option<Instant>) -> bool {
    let parker = Parker::new();
    while parker.park_until(deadline) {}
    false
}

/// A listener on the list of each node of a chain, until this is dropped.
///
/// It hears once for each node of the chain that is set, so it must not mind hearing again.
pub(crate) struct Registration {
    places: Vec<(NodeRef, Key)>,
}

impl Registration {
    /// `None` if some node of the chain was set already.
    pub(crate) fn on_chain(node: &NodeRef, listener: &Arc<dyn Listen>) -> Option<Self> {
        let mut registration = Registration { places: Vec::new() };
        for place in node.chain() {
            let happened = |word| word & SET != 0;
            let key = place.listen(Topic::Stop, LISTENED, happened, Arc::clone(listener))?;
            registration.places.push((place.clone(), key));
        }
        Some(registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for (node, key) in &self.places {
            // Gone already when that node was the one that was set.
            let _ = node.unlisten(*key);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("nodes", &self.places.len())
            .finish()
    }
}

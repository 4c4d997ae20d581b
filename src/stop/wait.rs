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
    // Who waits has polled.
    if node.poll() {
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
    node: NodeRef,
    /// Its place on the list of the node, and then of the parent: few chains are longer.
    keys: [Option<Key>; 2],
    /// Its places further up.
    more: Vec<Key>,
}

impl Registration {
    /// `None` if some node of the chain was set already.
    pub(crate) fn on_chain(node: &NodeRef, listener: &Arc<dyn Listen>) -> Option<Self> {
        Registration::on_some(node, listener, usize::MAX)
    }

    /// On so many nodes of the chain.
    fn on_some(node: &NodeRef, listener: &Arc<dyn Listen>, most: usize) -> Option<Self> {
        let mut registration = Registration {
            node: node.clone(),
            keys: [None; 2],
            more: Vec::new(),
        };
        for (level, place) in node.chain().take(most).enumerate() {
            let happened = |word| word & SET != 0;
            let key = place.listen(Topic::Stop, LISTENED, happened, Arc::clone(listener))?;
            match registration.keys.get_mut(level) {
                Some(room) => *room = Some(key),
                None => registration.more.push(key),
            }
        }
        Some(registration)
    }

    /// As [`on_chain`](Self::on_chain), but not on the first node for which `end` says so, nor further up;
    /// if a node before that has several parents, on the whole chain.
    pub(crate) fn on_chain_to(
        node: &NodeRef,
        listener: &Arc<dyn Listen>,
        end: impl Fn(&NodeRef) -> bool,
    ) -> Option<Self> {
        let level = node.chain().position(end).unwrap_or(usize::MAX);
        let is_plain = !node.chain().take(level).any(|place| place.is_special());
        let most = if is_plain { level } else { usize::MAX };
        Registration::on_some(node, listener, most)
    }

    fn places(&self) -> impl Iterator<Item = (&NodeRef, Key)> {
        let keys = self.keys.iter().flatten().chain(&self.more).copied();
        self.node.chain().zip(keys)
    }

    /// Leaves the listener where it is for as long as there is the first node.
    pub(crate) fn detach(mut self) {
        let above = self.places().skip(1).map(|(node, key)| Place {
            node: node.clone(),
            key,
        });
        let above: Vec<_> = above.collect();
        self.keys = [None; 2];
        self.more.clear();
        self.node.keep(above);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for (node, key) in self.places() {
            take_off(node, key);
        }
    }
}

fn take_off(node: &NodeRef, key: Key) {
    // Whoever sets a node takes its list.
    if !node.is_set_itself() {
        let _ = node.unlisten(key);
    }
}

/// A listener on the list of one node, until this is dropped.
pub(super) struct Place {
    node: NodeRef,
    key: Key,
}

impl Drop for Place {
    fn drop(&mut self) {
        take_off(&self.node, self.key);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("nodes", &self.places().count())
            .finish()
    }
}

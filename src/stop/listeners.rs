//! Those who want to hear of something that happens once to a node: its stop, a task's start, its
//! end.
//!
//! The list is made when the first listener comes, so a node that nobody listens to carries one
//! empty word. The owner of the list keeps, in its own atomic word, a bit that says "somebody
//! listens"; listeners add themselves first and set the bit second, and whoever makes the thing
//! happen reads the bit in the same atomic step. That is what makes a listener hear exactly once;
//! see [`NodeRef::listen`](super::node::NodeRef::listen).

use crate::sync::{Arc, Mutex};
use std::collections::BTreeMap;
use std::fmt;

/// One who hears. `notify` runs under no lock of ours and must not unwind.
pub(crate) trait Listen: Send + Sync {
    fn notify(&self);

    /// What is left to do, and may take long, once everyone has been notified.
    fn afterwards(&self) {}
}

/// What a listener wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The stop event was set.
    Stop,
    /// The task began or ended.
    Started,
    /// The task ended.
    Done,
}

/// Names one listener of one list, for as long as it is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

pub(crate) struct Listeners {
    inner: Mutex<Inner>,
}

struct Inner {
    next: u64,
    /// In the order in which they came.
    entries: BTreeMap<Key, (Topic, Arc<dyn Listen>)>,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Listeners {
            inner: Mutex::new(Inner {
                next: 0,
                entries: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn add(&self, topic: Topic, listener: Arc<dyn Listen>) -> Key {
        let mut inner = self.inner.lock();
        let key = Key(inner.next);
        inner.next += 1;
        inner.entries.insert(key, (topic, listener));
        key
    }

    /// Says whether the listener was still there, and so has not heard and never will.
    pub(crate) fn remove(&self, key: Key) -> bool {
        let removed = self.inner.lock().entries.remove(&key);
        // The listener's own drop runs here, after the lock was let go.
        removed.is_some()
    }

    /// Takes those of the topics off the list and tells them, in the order in which they came.
    pub(crate) fn notify(&self, topics: &[Topic]) {
        let heard: Vec<_> = {
            let mut inner = self.inner.lock();
            if inner
                .entries
                .values()
                .all(|(topic, _)| topics.contains(topic))
            {
                std::mem::take(&mut inner.entries).into_values().collect()
            } else {
                let keys: Vec<_> = inner
                    .entries
                    .iter()
                    .filter(|(_, (topic, _))| topics.contains(topic))
                    .map(|(key, _)| *key)
                    .collect();
                keys.iter()
                    .filter_map(|key| inner.entries.remove(key))
                    .collect()
            }
        };
        for (_, listener) in &heard {
            listener.notify();
        }
        for (_, listener) in heard {
            listener.afterwards();
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No lock is taken to print.
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

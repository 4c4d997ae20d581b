//! Those who want to hear of something that happens once to a node: its stop, a task's start, its
//! end.
//!
//! The list is made when the first listener comes, so a node that nobody listens to carries one
//! empty word. The owner of the list keeps, in its own atomic word, a bit that says "somebody
//! listens"; listeners add themselves first and set the bit second, and whoever makes the thing
//! happen reads the bit in the same atomic step. That is what makes a listener hear exactly once;
//! see [`NodeRef::listen`](super::node::NodeRef::listen).

use super::ambient::contained;
use super::wait::Place;
use crate::sync::{Arc, Mutex};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::task::Waker;

/// One who hears. `notify` runs under no lock of ours and must not unwind.
pub(crate) trait Listen: Send + Sync {
    fn notify(&self);

    /// What is left to do, and may take long, once everyone has been notified.
    fn afterwards(&self) {}

    /// Whether `notify` calls code of the user's, which may take long.
    fn is_code(&self) -> bool {
        false
    }
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
    /// The first one, if it came when there was nobody. Mostly there is one listener, and it has a
    /// place without an allocation.
    first: Option<(Key, Entry)>,
    /// The others, in the order in which they came, and all later than the first.
    others: BTreeMap<Key, Entry>,
    /// Places of the same listeners on the lists of ancestors, for as long as there is this list.
    above: Vec<Place>,
    /// Of the one future that waits for a task's end: it is woken last.
    waker: Option<Waker>,
}

type Entry = (Topic, Arc<dyn Listen>);

impl Inner {
    fn remove(&mut self, key: Key) -> Option<Entry> {
        match self.first.take_if(|(first, _)| *first == key) {
            Some((_, entry)) => Some(entry),
            None => self.others.remove(&key),
        }
    }
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Listeners {
            inner: Mutex::new(Inner {
                next: 0,
                first: None,
                others: BTreeMap::new(),
                above: Vec::new(),
                waker: None,
            }),
        }
    }

    pub(crate) fn add(&self, topic: Topic, listener: Arc<dyn Listen>) -> Key {
        let mut inner = self.inner.lock();
        let key = Key(inner.next);
        inner.next += 1;
        let entry = (topic, listener);
        if inner.first.is_none() && inner.others.is_empty() {
            inner.first = Some((key, entry));
        } else {
            inner.others.insert(key, entry);
        }
        key
    }

    pub(super) fn keep(&self, mut above: Vec<Place>) {
        self.inner.lock().above.append(&mut above);
    }

    /// Keeps a waker in place of the one that was there.
    pub(super) fn keep_waker(&self, waker: Option<Waker>) {
        let stale = mem::replace(&mut self.inner.lock().waker, waker);
        // Wakers are foreign code: the lock was let go.
        contained(|| drop(stale));
    }

    /// Says whether the listener was still there, and so has not heard and never will.
    pub(crate) fn remove(&self, key: Key) -> bool {
        let removed = self.inner.lock().remove(key);
        // The listener's own drop runs here, after the lock was let go.
        removed.is_some()
    }

    /// Takes those of the topics off the list and tells them, in the order in which they came, but for callbacks, which come later.
    pub(crate) fn notify(&self, topics: &[Topic]) {
        let hears = |entry: &Entry| topics.contains(&entry.0);
        let (first, others, waker) = {
            let mut inner = self.inner.lock();
            let first = inner.first.take_if(|(_, entry)| hears(entry));
            let others = if inner.others.values().all(hears) {
                mem::take(&mut inner.others)
            } else {
                let keys = inner.others.iter().filter(|(_, entry)| hears(entry));
                let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
                let mut taken = BTreeMap::new();
                for key in keys {
                    taken.extend(inner.others.remove_entry(&key));
                }
                taken
            };
            let done = topics.contains(&Topic::Done);
            (first, others, inner.waker.take_if(|_| done))
        };
        let first = first.map(|(_, entry)| entry);
        // Those who wait do not wait for the user's code.
        for is_code in [false, true] {
            let all = first.iter().chain(others.values());
            for (_, listener) in all.filter(|(_, listener)| listener.is_code() == is_code) {
                listener.notify();
            }
        }
        for (_, listener) in first.iter().chain(others.values()) {
            listener.afterwards();
        }
        if let Some(waker) = waker {
            contained(|| waker.wake());
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No lock is taken to print.
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

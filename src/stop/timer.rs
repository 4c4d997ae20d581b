//! Deadlines: one thread for the process, which sleeps until the earliest, and for good when there is
//! none.
//!
//! # What keeps what alive
//!
//! The timers hold no count of a node: an event that is dropped leaves nothing here. They hold its address,
//! and a node that has the bit `TIMED` is taken off the list, under the lock, before it is freed. So an address on the list
//! may be looked at under the lock; whether the node is still in use is told by its count, and only if
//! it is does the thread get a count of its own.
//!
//! # Whose code runs on the timer thread
//!
//! Callbacks, as on any thread that sets an event. What pending tasks had captured is not dropped
//! here, but left to the pool ([`on_timer_thread`]).
#![allow(
    unsafe_code,
    reason = "nodes are known by their address until they are freed"
)]

use super::ambient::contained;
use super::cause::{StopCause, StopReason};
use super::node::{Node, NodeRef, TIMED};
use crate::sync::{Condvar, Mutex, Ordering, wait_deadline};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::ptr::NonNull;
use std::thread;
use std::time::Instant;

/// What happens when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The event is set.
    Stop,
    /// A task that has not begun never will.
    Start,
    /// A task is cancelled, unless it has ended.
    Cancel,
}

/// Invariant: the node of an entry has not been freed, and is not while the lock is held.
struct Entry {
    node: NonNull<Node>,
    timer: Timer,
    location: &'static Location<'static>,
}

// SAFETY: the node is touched under the lock, by the invariant while it is there, and nodes are `Sync`.
unsafe impl Send for Entry {}

/// When, and which of those at the same instant.
type Key = (Instant, u64);

struct Timers {
    inner: Mutex<Inner>,
    /// There is an earlier deadline than before.
    earlier: Condvar,
}

struct Inner {
    entries: BTreeMap<Key, Entry>,
    /// The key of each node's timers, by its address.
    keys: BTreeMap<(usize, Timer), Key>,
    next: u64,
    runs: bool,
}

impl Inner {
    fn start(&mut self) {
        if !self.runs {
            thread::Builder::new()
                .name("stoppable-timer".into())
                .spawn(run)
                .expect("the operating system refused the timer thread");
            self.runs = true;
        }
    }
}

/// Starts the timer thread, for what must not fail later.
///
/// # Panics
///
/// If the operating system refuses it.
pub(crate) fn start() {
    TIMERS.inner.lock().start();
}

static TIMERS: Timers = Timers {
    inner: Mutex::new(Inner {
        entries: BTreeMap::new(),
        keys: BTreeMap::new(),
        next: 0,
        runs: false,
    }),
    earlier: Condvar::new(),
};

thread_local! {
    static ON_TIMER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the timer thread, which is not to run any code of the user's but callbacks.
pub(crate) fn on_timer_thread() -> bool {
    ON_TIMER_THREAD.try_with(Cell::get).unwrap_or(false)
}

/// Sets a timer of a node. Of several of the same sort, the earliest stays.
///
/// # Panics
///
/// If there is no timer thread yet, and the operating system refuses one.
pub(super) fn set(node: &NodeRef, timer: Timer, at: Instant, location: &'static Location<'static>) {
    // Relaxed: the lock orders it. Before the entry: who finds the node unused sees the bit.
    node.word().fetch_or(TIMED, Ordering::Relaxed);
    let mut inner = TIMERS.inner.lock();
    inner.start();
    let place = (node.as_ptr().addr().get(), timer);
    if let Some(known) = inner.keys.get(&place).copied() {
        if known.0 <= at {
            return;
        }
        inner.entries.remove(&known);
    }
    let key = (at, inner.next);
    inner.next += 1;
    inner.keys.insert(place, key);
    let entry = Entry {
        node: node.as_ptr(),
        timer,
        location,
    };
    inner.entries.insert(key, entry);
    if inner
        .entries
        .first_key_value()
        .is_some_and(|(first, _)| *first == key)
    {
        TIMERS.earlier.notify_one();
    }
}

/// Takes a timer of a node off the list.
pub(super) fn forget(node: NonNull<Node>, timer: Timer) {
    let mut inner = TIMERS.inner.lock();
    if let Some(key) = inner.keys.remove(&(node.addr().get(), timer)) {
        inner.entries.remove(&key);
    }
}

/// The timer thread.
fn run() {
    ON_TIMER_THREAD.with(|it| it.set(true));
    let mut inner = TIMERS.inner.lock();
    loop {
        let first = inner.entries.first_key_value().map(|(key, _)| *key);
        let Some(key) = first.filter(|(at, _)| *at <= Instant::now()) else {
            // Woken early, it looks again.
            wait_deadline(&TIMERS.earlier, &mut inner, first.map(|(at, _)| at));
            continue;
        };
        let Some(entry) = inner.entries.remove(&key) else {
            continue;
        };
        inner.keys.remove(&(entry.node.addr().get(), entry.timer));
        // SAFETY: by the invariant the node has not been freed, and is not while we hold the lock.
        let node = unsafe { NodeRef::revive(entry.node) };
        drop(inner);
        if let Some(node) = node {
            let cause = StopCause::at(StopReason::Deadline, entry.location);
            match entry.timer {
                Timer::Stop => {
                    node.raise_as_kind(&cause);
                }
                timer => node.expire(timer, &cause),
            }
            // The last reference may be this one, and what hangs on it is dropped here.
            contained(|| drop(node));
        }
        inner = TIMERS.inner.lock();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::without;

    /// The list is for the whole process.
    #[test]
    fn a_node_that_never_had_a_timer_is_not_looked_for_on_the_list() {
        without(TIMERS.inner.lock(), || drop(NodeRef::plain(None)));
    }
}

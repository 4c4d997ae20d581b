//! Models of the stop event: setting it against those who wait, poll, and set it too.

use super::{StopEvent, StopReason};
use crate::sync::{AtomicUsize, Ordering, large_model, model};
use loom::thread;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[test]
fn a_set_wakes_a_waiter_whenever_it_comes() {
    model(|| {
        let event = StopEvent::new();
        let setter = thread::spawn({
            let event = event.clone();
            move || assert!(event.set())
        });
        event.wait();
        assert!(event.is_set());
        setter.join().unwrap();
    });
}

#[test]
fn a_set_of_the_parent_wakes_a_waiter_on_the_child() {
    model(|| {
        let parent = StopEvent::new();
        let child = parent.child();
        let setter = thread::spawn(move || parent.set());
        child.wait();
        assert!(child.is_set());
        assert!(setter.join().unwrap());
    });
}

#[test]
fn two_waiters_are_woken_by_one_set() {
    large_model().check(|| {
        let parent = StopEvent::new();
        let child = parent.child();
        let waiter = thread::spawn(move || child.wait());
        let setter = thread::spawn({
            let parent = parent.clone();
            move || parent.set()
        });
        parent.wait();
        waiter.join().unwrap();
        setter.join().unwrap();
    });
}

#[test]
fn of_two_setters_one_wins_and_a_waiter_is_woken() {
    large_model().check(|| {
        let event = StopEvent::new();
        let wins = Arc::new(AtomicUsize::new(0));
        let setters: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|who| {
                let (event, wins) = (event.clone(), Arc::clone(&wins));
                thread::spawn(move || {
                    if event.set_with(StopReason::custom(who)) {
                        wins.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(event.reason(), Some(StopReason::custom(who)));
                    }
                    // Winner or loser: it is set when the call returns, and has its cause.
                    assert!(event.peek());
                    assert!(event.cause().is_some());
                })
            })
            .collect();
        event.wait();
        for setter in setters {
            setter.join().unwrap();
        }
        assert_eq!(wins.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn the_first_cause_that_is_seen_stays() {
    model(|| {
        let parent = StopEvent::new();
        let child = parent.child();
        let above = thread::spawn(move || parent.set_with(StopReason::custom("above")));
        let below = thread::spawn({
            let child = child.clone();
            move || child.set_with(StopReason::custom("below"))
        });
        child.wait();
        let first = child.reason();
        assert!(first.is_some());
        above.join().unwrap();
        below.join().unwrap();
        assert_eq!(child.reason(), first);
    });
}

#[test]
fn what_came_before_the_set_is_visible_to_who_sees_it() {
    model(|| {
        let event = StopEvent::new();
        let data = Arc::new(Shared(loom::cell::UnsafeCell::new(0)));
        let setter = thread::spawn({
            let (event, data) = (event.clone(), Arc::clone(&data));
            move || {
                data.write(7);
                event.set();
            }
        });
        if event.child().is_set() {
            assert_eq!(data.read(), 7);
        }
        setter.join().unwrap();
    });
}

/// A place that loom watches: a read that races with the write fails the model.
struct Shared(loom::cell::UnsafeCell<u32>);

#[allow(unsafe_code, reason = "loom checks every access")]
mod shared {
    use super::Shared;

    // SAFETY: one thread writes, before it sets the event; the other reads after it has seen it set.
    unsafe impl Sync for Shared {}
    // SAFETY: a number may be sent.
    unsafe impl Send for Shared {}

    impl Shared {
        pub(super) fn write(&self, value: u32) {
            // SAFETY: as above.
            self.0.with_mut(|it| unsafe { *it = value });
        }

        pub(super) fn read(&self) -> u32 {
            // SAFETY: as above.
            self.0.with(|it| unsafe { *it })
        }
    }
}

#[test]
fn a_chain_is_freed_once_whoever_lets_go_last() {
    model(|| {
        let parent = StopEvent::new();
        let child = parent.child();
        let other = thread::spawn({
            let child = child.clone();
            move || drop(child)
        });
        drop(parent);
        drop(child);
        other.join().unwrap();
    });
}

/// Registered before or after: it runs once.
#[test]
fn a_callback_runs_once_whenever_the_set_comes() {
    model(|| {
        let parent = StopEvent::new();
        let child = parent.child();
        let runs = Arc::new(AtomicUsize::new(0));
        let setter = thread::spawn(move || assert!(parent.set()));
        let callback = child.on_set({
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::Relaxed);
            }
        });
        setter.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert!(!callback.remove());
    });
}

/// On whatever thread it runs: that of the setter, or the one that registers it.
#[test]
fn a_callback_sees_what_came_before_the_set() {
    model(|| {
        let event = StopEvent::new();
        let data = Arc::new(Shared(loom::cell::UnsafeCell::new(0)));
        let setter = thread::spawn({
            let (event, data) = (event.clone(), Arc::clone(&data));
            move || {
                data.write(7);
                event.set();
            }
        });
        let callback = event.on_set(move || assert_eq!(data.read(), 7));
        setter.join().unwrap();
        drop(callback);
    });
}

/// The same with two setters of two nodes of the chain.
#[test]
fn a_callback_runs_once_though_two_parents_are_set() {
    model(|| {
        let (a, b) = (StopEvent::new(), StopEvent::new());
        let any = StopEvent::any([&a, &b]);
        let runs = Arc::new(AtomicUsize::new(0));
        let setter = thread::spawn(move || assert!(b.set()));
        let callback = any.on_set({
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(a.set());
        setter.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        drop(callback);
    });
}

/// `remove` says whether it was in time.
#[test]
fn a_callback_that_was_removed_in_time_never_runs() {
    model(|| {
        let event = StopEvent::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let callback = event.on_set({
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::Relaxed);
            }
        });
        let setter = thread::spawn(move || assert!(event.set()));
        let in_time = callback.remove();
        setter.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), usize::from(!in_time));
    });
}

/// What a callback works on may be taken down when the drop of its guard has returned.
#[test]
fn when_the_drop_of_a_guard_has_returned_the_callback_has_ended_or_never_runs() {
    model(|| {
        let event = StopEvent::new();
        let data = Arc::new(Shared(loom::cell::UnsafeCell::new(0)));
        let callback = event.on_set({
            let data = Arc::clone(&data);
            move || {
                thread::yield_now();
                data.write(1);
            }
        });
        let setter = thread::spawn(move || assert!(event.set()));
        drop(callback);
        // A callback that still runs, or runs later, races with this.
        let after = data.read();
        setter.join().unwrap();
        assert_eq!(data.read(), after);
    });
}

#[test]
fn a_set_of_a_later_parent_wakes_a_waiter_on_a_child_of_an_any() {
    model(|| {
        let (a, b) = (StopEvent::new(), StopEvent::new());
        let child = StopEvent::any([&a, &b]).child();
        let setter = thread::spawn(move || b.set_with(StopReason::custom("b")));
        child.wait();
        assert_eq!(child.reason(), Some(StopReason::custom("b")));
        assert!(setter.join().unwrap());
        assert!(!a.is_set());
    });
}

#[test]
fn two_setters_of_two_parents_wake_one_waiter_and_its_cause_stays() {
    model(|| {
        let (a, b) = (StopEvent::new(), StopEvent::new());
        let any = StopEvent::any([&a, &b]);
        let setters = [(a, "a"), (b, "b")].map(|(event, who)| {
            thread::spawn(move || assert!(event.set_with(StopReason::custom(who))))
        });
        any.wait();
        let first = any.reason();
        assert!(first.is_some());
        for setter in setters {
            setter.join().unwrap();
        }
        assert_eq!(any.reason(), first);
    });
}

/// Counts how often it was woken.
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_future_is_never_pending_with_nobody_to_wake_it() {
    model(|| {
        let parent = StopEvent::new();
        let mut future = parent.child().stopped();
        let counts = Arc::new(Counts(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&counts));
        let setter = thread::spawn(move || assert!(parent.set()));
        let first = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        setter.join().unwrap();
        if first == Poll::Pending {
            assert_eq!(counts.0.load(Ordering::Relaxed), 1);
        }
        let then = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        assert_eq!(then, Poll::Ready(()));
    });
}

/// The waker of the last poll that was pending is the one that counts.
#[test]
fn a_future_whose_waker_is_replaced_wakes_the_new_one_or_is_ready() {
    model(|| {
        let event = StopEvent::new();
        let mut future = event.stopped();
        let [old, new] = [(); 2].map(|()| Arc::new(Counts(AtomicUsize::new(0))));
        let mut poll = |counts: &Arc<Counts>| {
            let waker = Waker::from(Arc::clone(counts));
            Pin::new(&mut future).poll(&mut Context::from_waker(&waker))
        };
        assert_eq!(poll(&old), Poll::Pending);
        let setter = thread::spawn(move || assert!(event.set()));
        let second = poll(&new);
        setter.join().unwrap();
        if second == Poll::Pending {
            assert_eq!(new.0.load(Ordering::Relaxed), 1);
        }
    });
}

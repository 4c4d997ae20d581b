//! Models of the stop event: setting it against those who wait, poll, and set it too.

use super::{StopEvent, StopReason};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;

#[test]
fn a_set_wakes_a_waiter_whenever_it_comes() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
        let parent = StopEvent::new();
        let child = parent.child();
        let above = thread::spawn(move || parent.set_with(StopReason::custom("above")));
        let below = thread::spawn({
            let child = child.clone();
            move || child.set_with(StopReason::custom("below"))
        });
        if let Some(first) = child.reason() {
            assert_eq!(child.reason(), Some(first.clone()));
            above.join().unwrap();
            below.join().unwrap();
            assert_eq!(child.reason(), Some(first));
        }
    });
}

#[test]
fn what_came_before_the_set_is_visible_to_who_sees_it() {
    loom::model(|| {
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
    loom::model(|| {
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

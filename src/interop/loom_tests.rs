//! Models of what waits for others and for a stop at once: the condition variable and the barrier.

use super::{StopBarrier, StopCondvar};
use crate::StopEvent;
use crate::sync::{Mutex, bounded, model};
use loom::thread;
use std::sync::Arc;

/// How many items there are, and who waits for one.
type Items = Arc<(Mutex<usize>, StopCondvar)>;

fn items() -> Items {
    Arc::new((Mutex::new(0), StopCondvar::new()))
}

/// Takes one. Says whether it has, or was stopped.
fn take(items: &Items, stop: &StopEvent) -> bool {
    let (count, some) = &**items;
    let taken = some.wait_while(|| count.lock(), stop, |count| **count == 0);
    taken.map(|mut count| *count -= 1).is_ok()
}

fn put(items: &Items) {
    let (count, some) = &**items;
    *count.lock() += 1;
    some.notify_one();
}

#[test]
fn a_notification_wakes_whoever_waits_for_a_condition() {
    model(|| {
        let items = items();
        let giver = thread::spawn({
            let items = Arc::clone(&items);
            move || put(&items)
        });
        assert!(take(&items, &StopEvent::never()));
        giver.join().unwrap();
    });
}

/// A notification that finds one that is stopped as well is not lost to the other one.
#[test]
fn of_two_who_wait_for_a_condition_one_is_stopped_and_what_came_is_taken() {
    bounded(1).check(|| {
        let (items, stop) = (items(), StopEvent::new());
        let stoppable = thread::spawn({
            let (items, stop) = (Arc::clone(&items), stop.clone());
            move || take(&items, &stop)
        });
        let patient = thread::spawn({
            let items = Arc::clone(&items);
            move || take(&items, &StopEvent::never())
        });
        let setter = thread::spawn(move || stop.set());
        put(&items);
        if stoppable.join().unwrap() {
            put(&items);
        }
        assert!(patient.join().unwrap());
        assert!(setter.join().unwrap());
        assert_eq!(*items.0.lock(), 0);
    });
}

/// Of two parties one can be stopped. If it is, the other one is, too, afterwards.
#[test]
fn a_party_is_released_with_the_others_or_has_left_before() {
    model(|| {
        let barrier = Arc::new(StopBarrier::new(2));
        let (stop, alone) = (StopEvent::new(), StopEvent::new());
        let party = thread::spawn({
            let (barrier, stop, alone) = (Arc::clone(&barrier), stop.clone(), alone.clone());
            move || {
                let met = barrier.wait_or_stopped(&stop).is_ok();
                if !met {
                    alone.set();
                }
                met
            }
        });
        let setter = thread::spawn(move || stop.set());
        let met = barrier.wait_or_stopped(&alone).is_ok();
        assert_eq!(party.join().unwrap(), met);
        assert!(setter.join().unwrap());
        assert_eq!(barrier.here(), 0);
    });
}

//! Waits for a condition that a stop ends: none lost, no deadlock, the lock consistent.

use crate::common::{Gate, finishes, quiet_panic};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use stoppable::{Outcome, StopCondvar, StopEvent, StopReason, ThreadPool};

#[derive(Default)]
struct Shared {
    ready: Mutex<bool>,
    changed: StopCondvar,
}

/// Waits until it is ready, and tells when the condition was first seen to hold.
fn wait(shared: &Shared, stop: &StopEvent, waits: &Gate) -> Result<(), stoppable::Stopped> {
    let condition = |ready: &mut std::sync::MutexGuard<'_, bool>| {
        waits.open();
        !**ready
    };
    let guard = shared
        .changed
        .wait_while(|| shared.ready.lock().unwrap(), stop, condition);
    guard.map(drop)
}

#[test]
fn a_condition_that_does_not_hold_is_no_wait_even_when_stopped() {
    let shared = Shared::default();
    *shared.ready.lock().unwrap() = true;
    let stop = StopEvent::new();
    assert!(wait(&shared, &stop, &Gate::new()).is_ok());
    stop.set();
    assert!(wait(&shared, &stop, &Gate::new()).is_ok());
    *shared.ready.lock().unwrap() = false;
    assert!(wait(&shared, &stop, &Gate::new()).is_err());
    // The lock was let go.
    assert!(shared.ready.try_lock().is_ok());
}

#[test]
fn a_notification_ends_the_wait_and_so_does_a_stop() {
    finishes(|| {
        for notify in [true, false] {
            let (shared, stop, waits) = (Arc::<Shared>::default(), StopEvent::new(), Gate::new());
            let waiter = thread::spawn({
                let (shared, stop, waits) = (shared.clone(), stop.clone(), waits.clone());
                move || wait(&shared, &stop, &waits)
            });
            waits.pass();
            if notify {
                *shared.ready.lock().unwrap() = true;
                shared.changed.notify_one();
                assert!(waiter.join().unwrap().is_ok());
            } else {
                stop.set_with(StopReason::custom("enough"));
                let stopped = waiter.join().unwrap().unwrap_err();
                assert_eq!(stopped.reason(), StopReason::custom("enough"));
            }
        }
    });
}

#[test]
fn the_setter_may_hold_the_lock() {
    finishes(|| {
        let (shared, stop, waits) = (Arc::<Shared>::default(), StopEvent::new(), Gate::new());
        let waiter = thread::spawn({
            let (shared, stop, waits) = (shared.clone(), stop.clone(), waits.clone());
            move || wait(&shared, &stop, &waits)
        });
        waits.pass();
        let guard = shared.ready.lock().unwrap();
        stop.set();
        shared.changed.notify_all();
        drop(guard);
        assert!(waiter.join().unwrap().is_err());
    });
}

#[test]
fn a_stop_inside_of_the_condition_is_not_lost() {
    finishes(|| {
        // Between the look at the state and the wait, in the waiter's own hands.
        let (shared, stop) = (Shared::default(), StopEvent::new());
        let result = shared.changed.wait_while(
            || shared.ready.lock().unwrap(),
            &stop,
            |ready| {
                stop.set();
                !**ready
            },
        );
        assert!(result.is_err());
    });
}

#[test]
fn no_stop_is_lost_whenever_it_comes() {
    finishes(|| {
        for _ in 0..2_000 {
            let (shared, stop, waits) = (Arc::<Shared>::default(), StopEvent::new(), Gate::new());
            let setter = thread::spawn({
                let (stop, waits) = (stop.clone(), waits.clone());
                move || {
                    waits.pass();
                    stop.set()
                }
            });
            assert!(wait(&shared, &stop, &waits).is_err());
            assert!(setter.join().unwrap());
        }
    });
}

#[test]
fn no_item_is_lost_among_consumers_that_are_stopped() {
    finishes(|| {
        let items = Mutex::new(VecDeque::new());
        let (more, all) = (StopCondvar::new(), StopEvent::new());
        let pop = |stop: &StopEvent| {
            let items = more.wait_while(|| items.lock().unwrap(), stop, |items| items.is_empty());
            items.map(|mut items| items.pop_front().unwrap())
        };
        let taken: Vec<u32> = thread::scope(|s| {
            let consumers: Vec<_> = (0..4)
                .map(|_| {
                    s.spawn(|| {
                        let mut taken = Vec::new();
                        while !all.is_set() {
                            // Stops of its own, at any moment, take nothing away.
                            let one = all.child();
                            let racer = s.spawn({
                                let one = one.clone();
                                move || one.set()
                            });
                            taken.extend(pop(&one));
                            racer.join().unwrap();
                        }
                        taken
                    })
                })
                .collect();
            let patient = s.spawn(|| {
                let mut taken = Vec::new();
                while let Ok(item) = pop(&all) {
                    taken.push(item);
                }
                taken
            });
            for item in 0..500 {
                items.lock().unwrap().push_back(item);
                more.notify_one();
            }
            // Each notification reached one that took an item, so nobody waits beside a full queue.
            crate::common::until(|| items.lock().unwrap().is_empty());
            all.set();
            let each = consumers.into_iter().chain([patient]);
            each.flat_map(|taker| taker.join().unwrap()).collect()
        });
        let mut taken = taken;
        taken.sort_unstable();
        assert_eq!(taken, (0..500).collect::<Vec<_>>());
    });
}

#[test]
fn notify_all_wakes_all() {
    finishes(|| {
        let (shared, stop) = (Shared::default(), StopEvent::never());
        let gates: Vec<_> = (0..8).map(|_| Gate::new()).collect();
        thread::scope(|s| {
            for gate in &gates {
                s.spawn(|| wait(&shared, &stop, gate).unwrap());
            }
            for gate in &gates {
                gate.pass();
            }
            *shared.ready.lock().unwrap() = true;
            shared.changed.notify_all();
        });
        // With nobody there they do nothing.
        shared.changed.notify_one();
        shared.changed.notify_all();
    });
}

#[test]
fn a_condition_that_panics_leaves_the_lock_and_the_others() {
    finishes(|| {
        let (lock, changed) = (RwLock::new(0), StopCondvar::new());
        let stop = StopEvent::new();
        // At first, and after a wake-up.
        for panics_at in [1, 2] {
            let gate = Gate::new();
            thread::scope(|s| {
                let waiter = s.spawn(|| {
                    let mut looks = 0;
                    catch_unwind(AssertUnwindSafe(|| {
                        let take = || lock.write().unwrap_or_else(PoisonError::into_inner);
                        let guard = changed.wait_while(take, &stop, |_| {
                            looks += 1;
                            gate.open();
                            if looks == panics_at {
                                quiet_panic("the condition");
                            }
                            true
                        });
                        drop(guard);
                    }))
                });
                gate.pass();
                // The lock can be taken, and the notification goes through.
                drop(lock.write().unwrap_or_else(PoisonError::into_inner));
                changed.notify_all();
                assert!(waiter.join().unwrap().is_err());
            });
            assert!(lock.is_poisoned() && lock.try_read().is_err());
            lock.clear_poison();
            assert!(lock.try_read().is_ok());
        }
    });
}

#[test]
fn a_notification_that_reached_one_that_panics_is_passed_on() {
    finishes(|| {
        // In the lock, and in the condition.
        for in_lock in [true, false] {
            let (shared, stop) = (Shared::default(), StopEvent::never());
            let (first, second) = (Gate::new(), Gate::new());
            thread::scope(|s| {
                let panics = s.spawn(|| {
                    let (mut locks, mut looks) = (0, 0);
                    catch_unwind(AssertUnwindSafe(|| {
                        let take = || {
                            locks += 1;
                            if in_lock && locks == 2 {
                                quiet_panic("the lock");
                            }
                            shared.ready.lock().unwrap_or_else(PoisonError::into_inner)
                        };
                        let guard = shared.changed.wait_while(take, &stop, |_| {
                            looks += 1;
                            first.open();
                            if looks == 2 {
                                quiet_panic("the condition");
                            }
                            true
                        });
                        drop(guard);
                    }))
                });
                first.pass();
                // The first one is in the line when the lock can be taken.
                drop(shared.ready.lock());
                let waits = s.spawn(|| {
                    let take = || shared.ready.lock().unwrap_or_else(PoisonError::into_inner);
                    let guard = shared.changed.wait_while(take, &stop, |ready| {
                        second.open();
                        !**ready
                    });
                    assert!(guard.is_ok());
                });
                second.pass();
                *shared.ready.lock().unwrap() = true;
                shared.changed.notify_one();
                assert!(panics.join().unwrap().is_err());
                waits.join().unwrap();
            });
        }
    });
}

#[test]
fn a_task_that_waits_has_seen_its_stop_and_one_that_is_notified_has_not() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submit = |shared: &Arc<Shared>, waits: &Arc<Gate>| {
            let (shared, waits) = (shared.clone(), waits.clone());
            pool.submit(move |stop| wait(&shared, stop, &waits).is_err())
        };
        let (shared, waits) = (Arc::<Shared>::default(), Gate::new());
        let stopped = submit(&shared, &waits);
        waits.pass();
        stopped.cancel();
        assert!(matches!(
            stopped.outcome(),
            Outcome::Cancelled {
                partial: Some(true),
                ..
            }
        ));
        let notified = submit(&shared, &waits);
        *shared.ready.lock().unwrap() = true;
        shared.changed.notify_one();
        assert!(matches!(notified.outcome(), Outcome::Completed(false)));
    });
}

//! Events with several parents.

use crate::common::{DropCounter, Gate, finishes};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use stoppable::{Shutdown, StopEvent, StopReason, TaskStatus, ThreadPool};

const FAR: Duration = Duration::from_secs(3600);

fn words(text: &str) -> Option<StopReason> {
    Some(StopReason::custom(text))
}

#[test]
fn it_is_set_when_any_parent_is_and_no_sooner() {
    for which in 0..5 {
        let parents: Vec<_> = (0..5).map(|_| StopEvent::new()).collect();
        let any = StopEvent::any(&parents);
        assert!(!any.is_set() && any.cause().is_none() && any.check().is_ok());
        parents[which].set_with(StopReason::custom("parent"));
        assert!(any.is_set() && any.peek() && any.check().is_err());
        assert_eq!(any.reason(), words("parent"));
        assert_eq!(any.cause(), parents[which].cause());
        assert!(!any.set(), "it reads set already");
        for (n, parent) in parents.iter().enumerate() {
            assert_eq!(parent.is_set(), n == which);
        }
    }
}

#[test]
fn it_is_set_itself_and_leaves_its_parents_alone() {
    let (a, b) = (StopEvent::new(), StopEvent::new());
    let any = StopEvent::any([&a, &b]);
    let sibling = StopEvent::any([&a, &b]);
    assert!(any.set_with(StopReason::custom("itself")));
    assert!(any.is_set() && !a.is_set() && !b.is_set() && !sibling.is_set());
    b.set();
    assert_eq!(any.reason(), words("itself"), "the first cause stays");
    assert_eq!(sibling.reason(), Some(StopReason::Requested));
}

#[test]
fn it_is_set_when_an_ancestor_of_any_parent_is() {
    let (a, b) = (StopEvent::new(), StopEvent::new());
    let any = StopEvent::any([&a.child().child(), &b.child().child()]);
    assert!(!any.is_set());
    b.set_with(StopReason::custom("far up"));
    assert!(any.is_set() && !a.is_set());
    assert_eq!(any.reason(), words("far up"));
}

#[test]
fn of_parents_that_were_set_before_the_first_that_was_gives_the_cause() {
    let (a, b) = (StopEvent::new(), StopEvent::new());
    b.set_with(StopReason::custom("b"));
    a.set_with(StopReason::custom("a"));
    assert_eq!(StopEvent::any([&a, &b]).reason(), words("b"));
    assert_eq!(StopEvent::any([&b, &a]).reason(), words("b"));
}

#[test]
fn of_parents_that_were_set_while_nobody_looked_the_first_that_was_gives_the_cause() {
    let (a, b) = (StopEvent::new(), StopEvent::new());
    let any = StopEvent::any([&a, &b]).child();
    b.set_with(StopReason::custom("b"));
    a.set_with(StopReason::custom("a"));
    assert_eq!(any.reason(), words("b"));
}

#[test]
fn a_cause_that_was_seen_stays_though_an_earlier_parent_is_set_later() {
    let (a, b) = (StopEvent::new(), StopEvent::new());
    let any = StopEvent::any([&a, &b]);
    b.set_with(StopReason::custom("b"));
    assert_eq!(any.reason(), words("b"));
    a.set_with(StopReason::custom("a"));
    assert_eq!(any.reason(), words("b"));
}

#[test]
fn without_parents_only_set_sets_it() {
    let any = StopEvent::any([]);
    assert!(!any.is_set() && !any.wait_timeout(Duration::ZERO));
    assert!(any.set() && any.is_set());
    assert_eq!(any.reason(), Some(StopReason::Requested));
}

#[test]
fn never_among_the_parents_changes_nothing() {
    let (never, a) = (StopEvent::never(), StopEvent::new());
    let anys = [
        StopEvent::any([&never, &a]),
        StopEvent::any([&a, &never]),
        StopEvent::any([&never, &a, &never]),
    ];
    assert!(anys.iter().all(|any| !any.is_set()));
    a.set();
    assert!(anys.iter().all(StopEvent::is_set));
    let alone = StopEvent::any([&never, &never]);
    assert!(!alone.is_set());
    assert!(alone.set() && alone.is_set() && !never.is_set());
}

#[test]
fn the_same_parent_may_be_named_twice() {
    finishes(|| {
        let a = StopEvent::new();
        let any = StopEvent::any([&a, &a, &a.child()]);
        let waiter = thread::spawn({
            let any = any.clone();
            move || any.wait()
        });
        a.set();
        waiter.join().unwrap();
        assert_eq!(any.cause(), a.cause());
    });
}

#[test]
fn anys_in_children_in_anys() {
    for which in 0..4 {
        let roots: Vec<_> = (0..4).map(|_| StopEvent::new()).collect();
        let left = StopEvent::any([&roots[0], &roots[1]]).child();
        let right = StopEvent::any([&roots[2], &roots[3].child()]).child();
        let top = StopEvent::any([&left, &right]);
        let leaf = StopEvent::any([&StopEvent::new(), &top.child()]).child();
        assert!(!leaf.is_set());
        roots[which].set_with(StopReason::custom("root"));
        assert!(leaf.is_set() && top.is_set());
        assert_eq!((left.is_set(), right.is_set()), (which < 2, which > 1));
        assert_eq!(leaf.reason(), words("root"));
        assert_eq!(leaf.cause(), roots[which].cause());
    }
}

#[test]
fn under_ten_thousand_levels_and_with_a_thousand_parents() {
    finishes(|| {
        let root = StopEvent::new();
        let mut deep = root.clone();
        for _ in 0..10_000 {
            deep = deep.child();
        }
        let parents: Vec<_> = (0..1_000).map(|_| StopEvent::new()).collect();
        let wide = StopEvent::any(parents.iter().chain([&deep]));
        let mut leaf = wide.clone();
        for _ in 0..10_000 {
            leaf = leaf.child();
        }
        assert!(!leaf.is_set() && !leaf.wait_timeout(Duration::from_millis(1)));
        drop((deep, wide));
        let waiter = thread::spawn({
            let leaf = leaf.clone();
            move || leaf.wait()
        });
        root.set_with(StopReason::custom("root"));
        waiter.join().unwrap();
        assert_eq!(leaf.reason(), words("root"));
    });
}

/// Each any is the first parent of the next one.
#[test]
fn ten_thousand_nested_anys() {
    finishes(|| {
        let (other, root) = (StopEvent::new(), StopEvent::new());
        let mut any = root.clone();
        for _ in 0..10_000 {
            any = StopEvent::any([&any, &other]);
        }
        assert!(!any.is_set());
        root.set_with(StopReason::custom("root"));
        assert!(any.is_set());
        assert_eq!(any.reason(), words("root"));
    });
}

/// Each any is the last parent of the next one.
#[test]
fn ten_thousand_nested_anys_in_the_last_place() {
    finishes(|| {
        let (other, root) = (StopEvent::new(), StopEvent::new());
        let mut any = root.clone();
        for _ in 0..100_000 {
            any = StopEvent::any([&other, &any]);
        }
        assert!(!any.is_set());
        root.set_with(StopReason::custom("root"));
        assert!(any.is_set());
        assert_eq!(any.reason(), words("root"));
    });
}

/// Every waiting verb, on the any and on children of it, is woken by each parent.
#[test]
fn waiters_are_woken_by_each_parent() {
    let waits: [fn(&StopEvent); 4] = [
        StopEvent::wait,
        |any| assert!(any.wait_timeout(FAR)),
        |any| assert!(any.sleep(FAR).is_err()),
        |any| any.child().child().wait(),
    ];
    for which in 0..3 {
        for wait in waits {
            finishes(move || {
                let above = StopEvent::new();
                let parents = [StopEvent::new(), StopEvent::new(), above.child()];
                let any = StopEvent::any(&parents);
                let begun = Arc::new(Barrier::new(3));
                let waiters = [any.clone(), any.child()].map(|any| {
                    let begun = Arc::clone(&begun);
                    thread::spawn(move || {
                        begun.wait();
                        wait(&any);
                        assert!(any.is_set());
                    })
                });
                begun.wait();
                // Mostly asleep by then.
                thread::yield_now();
                match parents.get(which).filter(|_| which < 2) {
                    Some(parent) => parent.set(),
                    None => above.set(),
                };
                for waiter in waiters {
                    waiter.join().unwrap();
                }
            });
        }
    }
}

#[test]
fn parents_that_are_set_at_once_from_many_threads() {
    finishes(|| {
        for _ in 0..200 {
            let parents: Vec<_> = (0..4).map(|_| StopEvent::new()).collect();
            let any = StopEvent::any(&parents).child();
            let waiter = thread::spawn({
                let any = any.clone();
                move || {
                    any.wait();
                    any.cause().unwrap()
                }
            });
            let setters = parents.clone().into_iter().map(|parent| {
                thread::spawn(move || {
                    parent.set();
                    parent.cause().unwrap()
                })
            });
            let setters: Vec<_> = setters.collect();
            let causes: Vec<_> = setters.into_iter().map(|it| it.join().unwrap()).collect();
            let cause = waiter.join().unwrap();
            assert!(causes.contains(&cause));
            assert_eq!(any.cause(), Some(cause));
        }
    });
}

/// The parents outlive the any, and what was registered on it.
#[test]
fn a_dropped_any_leaves_nothing_behind() {
    let (a, b) = (StopEvent::new(), StopEvent::new());
    let drops = DropCounter::new();
    for _ in 0..100 {
        let any = StopEvent::any([&a, &b]);
        let token = drops.token();
        any.on_set(move || drop(token)).detach();
        assert!(!any.child().wait_timeout(Duration::from_nanos(1)));
    }
    assert_eq!(drops.count(), 100);
}

/// Its parents live for as long as it does, and no longer.
#[test]
fn it_keeps_its_parents() {
    let drops = DropCounter::new();
    let any = {
        let (a, b) = (StopEvent::new(), StopEvent::new());
        for parent in [&a, &b] {
            let token = drops.token();
            parent.on_set(move || drop(token)).detach();
        }
        StopEvent::any([&a, &b])
    };
    assert_eq!(drops.count(), 0);
    assert!(!any.is_set());
    drop(any);
    assert_eq!(drops.count(), 2);
}

/// What happens to a task that looks at an any of its own event and another one.
fn looks_at_any(own_first: bool, ask: bool) -> TaskStatus {
    finishes(move || {
        let pool = ThreadPool::new(1);
        let (other, set) = (StopEvent::new(), Gate::new());
        let task = pool.submit({
            let (other, set) = (other.clone(), Arc::clone(&set));
            move |stop| {
                let any = if own_first {
                    StopEvent::any([stop, &other])
                } else {
                    StopEvent::any([&other, stop])
                };
                set.pass();
                assert!(any.is_set() && any.check().is_err() && any.child().is_set());
                any.wait();
                assert!(any.sleep(FAR).is_err());
                assert!(stoppable::current().peek() == ask);
            }
        });
        task.wait_started();
        if ask {
            task.cancel();
        } else {
            other.set();
        }
        set.open();
        let status = task.outcome().status();
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.completed() + report.cancelled(), 1);
        status
    })
}

#[test]
fn a_task_whose_any_was_set_by_another_event_was_not_asked() {
    assert_eq!(looks_at_any(true, false), TaskStatus::Completed);
    assert_eq!(looks_at_any(false, false), TaskStatus::Completed);
}

#[test]
fn a_task_sees_its_own_stop_through_an_any() {
    assert_eq!(looks_at_any(true, true), TaskStatus::Cancelled);
    assert_eq!(looks_at_any(false, true), TaskStatus::Cancelled);
}

#[test]
fn a_task_waits_for_an_any_of_its_own_event() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let other = StopEvent::new();
        let task = pool.submit(move |stop| StopEvent::any([&other, stop]).wait());
        task.wait_started();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
    });
}

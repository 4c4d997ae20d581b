//! Events whose parents share ancestors: the ways to them double at every level, and the work must not.

use crate::common::{DropCounter, finishes};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use stoppable::{Outcome, StopEvent, StopReason, TaskStatus, ThreadPool};

/// More than could ever be walked if each way were.
const LEVELS: usize = 40;

/// The next level above one event, and how many of them make a ladder.
type Shape = (fn(&StopEvent) -> StopEvent, usize);

const SHAPES: [Shape; 4] = [
    (|event| StopEvent::any([event, &event.child()]), LEVELS),
    (|event| StopEvent::any([&event.child(), event]), LEVELS),
    (
        |event| StopEvent::any([event, &event.child()]).child(),
        LEVELS,
    ),
    (four_ways, 6),
];

fn four_ways(event: &StopEvent) -> StopEvent {
    let (a, b) = (event.child(), event.child());
    StopEvent::any([
        &StopEvent::any([&a, event]),
        &StopEvent::any([&b, event]),
        &StopEvent::new(),
    ])
}

fn ladder(root: &StopEvent, (shape, levels): Shape) -> StopEvent {
    (0..levels).fold(root.clone(), |event, _| shape(&event))
}

fn words(text: &str) -> Option<StopReason> {
    Some(StopReason::custom(text))
}

#[test]
fn a_ladder_polls_waits_and_is_set() {
    for shape in SHAPES {
        finishes(move || {
            let root = StopEvent::new();
            let top = ladder(&root, shape);
            assert!(!top.is_set() && !top.peek() && top.check().is_ok());
            assert!(top.cause().is_none() && !top.child().is_set());
            assert!(!top.wait_timeout(Duration::from_millis(1)));
            assert!(top.sleep(Duration::from_nanos(1)).is_ok());
            root.set_with(StopReason::custom("root"));
            assert!(top.is_set() && top.peek() && top.check().is_err());
            assert_eq!(top.reason(), words("root"));
            assert_eq!(top.cause(), root.cause());
            assert!(!top.set());
            top.wait();
        });
    }
}

/// The nodes are few, and a poll should look at each once.
#[test]
fn a_poll_of_four_ways_at_every_level() {
    finishes(|| {
        let root = StopEvent::new();
        let top = ladder(&root, (four_ways, 4 * LEVELS));
        assert!(!top.is_set());
        root.set();
        assert!(top.is_set());
    });
}

#[test]
fn setting_the_top_reaches_nobody_below_it() {
    for shape in SHAPES {
        finishes(move || {
            let root = StopEvent::new();
            let below = ladder(&root, shape);
            let top = shape.0(&below);
            assert!(top.child().set() && !top.is_set());
            assert!(top.set_with(StopReason::custom("top")));
            assert!(top.is_set() && !below.is_set() && !root.is_set());
            root.set();
            assert_eq!(top.reason(), words("top"), "the first cause stays");
        });
    }
}

#[test]
fn a_level_in_the_middle_reaches_the_top() {
    for shape in SHAPES {
        finishes(move || {
            let root = StopEvent::new();
            let middle = ladder(&root, shape);
            let top = ladder(&middle, shape);
            middle.set_with(StopReason::custom("middle"));
            assert!(top.is_set() && !root.is_set());
            assert_eq!(top.reason(), words("middle"));
        });
    }
}

#[test]
fn waiters_on_a_ladder_are_woken() {
    for shape in SHAPES {
        finishes(move || {
            let root = StopEvent::new();
            let top = ladder(&root, shape);
            let begin = Arc::new(Barrier::new(5));
            let waiters: Vec<_> = (0..4)
                .map(|n| {
                    let (top, begin) = (top.clone(), Arc::clone(&begin));
                    thread::spawn(move || {
                        begin.wait();
                        match n % 2 {
                            0 => top.wait(),
                            _ => top.child().wait(),
                        }
                    })
                })
                .collect();
            begin.wait();
            thread::yield_now();
            root.set();
            for waiter in waiters {
                waiter.join().unwrap();
            }
        });
    }
}

#[test]
fn callbacks_and_futures_on_a_ladder() {
    for shape in SHAPES {
        finishes(move || {
            let (ran, drops) = (Arc::new(AtomicUsize::new(0)), DropCounter::new());
            let root = StopEvent::new();
            let top = ladder(&root, shape);
            let register = || {
                let (ran, token) = (Arc::clone(&ran), drops.token());
                top.on_set(move || {
                    let _token = token;
                    ran.fetch_add(1, Ordering::SeqCst);
                })
            };
            let kept = register();
            assert!(register().remove());
            drop(register());
            register().detach();
            let mut future = top.stopped();
            let mut context = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut future).poll(&mut context).is_pending());
            drop(top.stopped());
            assert_eq!(drops.count(), 2);
            root.set();
            assert_eq!((ran.load(Ordering::SeqCst), drops.count()), (2, 4));
            assert!(Pin::new(&mut future).poll(&mut context).is_ready());
            assert!(!kept.remove());
        });
    }
}

#[test]
fn a_dropped_ladder_leaves_nothing() {
    for shape in SHAPES {
        finishes(move || {
            let drops = DropCounter::new();
            let root = StopEvent::new();
            for _ in 0..3 {
                let top = ladder(&root, shape);
                let token = drops.token();
                top.on_set(move || drop(token)).detach();
                assert!(!top.wait_timeout(Duration::from_nanos(1)));
            }
            assert_eq!(drops.count(), 3);
            assert!(root.set());
        });
    }
}

/// Nested work, of which each level puts a limit of its own under the surrounding event.
#[test]
fn tasks_under_ladders_see_their_stop_through_them() {
    for shape in SHAPES {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let root = StopEvent::new();
            let top = ladder(&root, shape);
            let task = pool.task().stop_with(&top).submit(move |stop| {
                ladder(stop, shape).wait();
                7
            });
            task.wait_started();
            root.set_with(StopReason::custom("root"));
            let Outcome::Cancelled { partial, cause } = task.outcome() else {
                panic!("it saw its stop");
            };
            assert_eq!((partial, Some(cause.reason)), (Some(7), words("root")));
            let late = pool.task().stop_with(&top).submit(|_| ());
            assert_eq!(late.outcome().status(), TaskStatus::NeverStarted);
        });
    }
}

#[test]
fn ladders_that_are_set_at_every_level_at_once() {
    finishes(|| {
        for _ in 0..3 {
            let root = StopEvent::new();
            let mut levels = vec![root];
            for n in 0..LEVELS {
                levels.push(SHAPES[n % 3].0(levels.last().unwrap()));
            }
            let top = levels.last().unwrap().clone();
            let ran = Arc::new(AtomicUsize::new(0));
            let callback = top.on_set({
                let ran = Arc::clone(&ran);
                move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                }
            });
            let begin = Arc::new(Barrier::new(2));
            let halves = levels.split_off(LEVELS / 2);
            let setters = [levels, halves].map(|events| {
                let begin = Arc::clone(&begin);
                thread::spawn(move || {
                    begin.wait();
                    for event in &events {
                        event.set();
                    }
                    assert!(events.iter().all(StopEvent::is_set));
                })
            });
            for setter in setters {
                setter.join().unwrap();
            }
            assert!(top.is_set() && !callback.remove());
            assert_eq!(ran.load(Ordering::SeqCst), 1);
        }
    });
}

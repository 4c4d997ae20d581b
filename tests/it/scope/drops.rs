//! Nothing of a scope is alive when it has returned.

use crate::common::{DropCounter, Gate, Stuck, finishes};
use std::mem;
use stoppable::{Stopped, ThreadPool};

#[test]
fn closures_and_unclaimed_values_are_dropped_before_it_returns() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            for _ in 0..200 {
                let (captures, values) = (DropCounter::new(), DropCounter::new());
                let all = pool.scope(|s| {
                    let mut kept = Vec::new();
                    for n in 0..10 {
                        let (capture, value) = (captures.token(), values.token());
                        let task = s.submit(move |_| {
                            let _capture = capture;
                            value
                        });
                        if n % 2 == 0 {
                            kept.push(task);
                        }
                    }
                    // Dropped before and after their tasks have ended, unclaimed.
                    kept.truncate(3);
                });
                assert!(all.is_ok());
                assert_eq!((captures.count(), values.count()), (10, 10));
            }
        }
    });
}

#[test]
fn so_are_those_of_tasks_that_never_started() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let captures = DropCounter::new();
        let stopped = stuck.pool.scope(|s| {
            for n in 0..9 {
                let token = captures.token();
                let task = s.submit(move |_| token);
                if n % 3 == 0 {
                    task.cancel();
                    assert_eq!(captures.count(), n / 3 + 1);
                }
            }
            s.cancel();
            // At once, by who cancels, while the worker is stuck.
            assert_eq!(captures.count(), 9);
            let token = captures.token();
            s.submit(move |_| token);
            assert_eq!(captures.count(), 10);
        });
        assert!(stopped.is_err());
    });
}

/// The value belongs to the handle, which is in another task's closure, or in its result.
#[test]
fn values_whose_handles_moved_into_other_tasks() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            for _ in 0..200 {
                let values = DropCounter::new();
                let all = pool.scope(|s| {
                    let first = s.submit(|_| values.token());
                    let second = s.submit(|_| (first, values.token()));
                    s.submit(|_| drop(second.join()));
                    let third = s.submit(|_| values.token());
                    let fourth = s.submit(move |_| third);
                    s.submit(move |_| fourth);
                });
                assert!(all.is_ok());
                assert_eq!(values.count(), 3);
            }
        }
    });
}

/// As above, but the task that has the handle never starts.
#[test]
fn values_whose_handles_were_captured_by_a_task_that_never_starts() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for _ in 0..200 {
            let values = DropCounter::new();
            let stopped = pool.scope(|s| {
                let gate = Gate::new();
                let first = s.submit(|_| values.token());
                first.wait();
                let blocker = gate.clone();
                let running = s.submit(move |_| blocker.pass());
                let never = s.submit(move |_| drop(first));
                never.cancel();
                gate.open();
                running.join().unwrap();
            });
            assert!(stopped.is_err());
            assert_eq!(values.count(), 1);
        }
    });
}

#[test]
fn a_handle_that_is_forgotten_leaks_its_value_and_nothing_else() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (captures, values) = (DropCounter::new(), DropCounter::new());
        let text = String::from("borrowed");
        let all = pool.scope(|s| {
            for _ in 0..3 {
                let (capture, value) = (captures.token(), values.token());
                let (captures, values, text) = (&captures, &values, &text);
                mem::forget(s.submit(move |_| {
                    assert_eq!(text.len(), 8);
                    drop(capture);
                    value
                }));
                s.submit(move |_| (captures.token(), values.token()));
            }
        });
        assert!(all.is_ok());
        drop(text);
        assert_eq!((captures.count(), values.count()), (6, 3));
        let text = String::from("borrowed");
        let stopped = pool.try_scope(|s| {
            mem::forget(s.submit(|_| Ok::<_, Stopped>(text.len())));
            s.cancel();
            mem::forget(s.submit(|_| Ok::<_, Stopped>(text.len())));
            Ok(())
        });
        assert!(stopped.is_err());
        drop((text, pool));
    });
}

/// A destructor of a value may still use the scope.
#[test]
fn a_value_submits_to_the_scope_when_it_is_dropped() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            for _ in 0..100 {
                let drops = DropCounter::new();
                let all = pool.scope(|s| {
                    for _ in 0..3 {
                        s.submit(|_| {
                            crate::common::OnDrop(|| {
                                let token = drops.token();
                                s.submit(move |_| drop(token));
                            })
                        });
                    }
                });
                assert!(all.is_ok());
                assert_eq!(drops.count(), 3);
            }
        }
    });
}

#[test]
fn errors_that_came_later_are_dropped() {
    #[derive(Debug)]
    struct Failure {
        _token: Option<crate::common::Token>,
    }
    impl From<Stopped> for Failure {
        fn from(_: Stopped) -> Self {
            Failure { _token: None }
        }
    }
    finishes(|| {
        let pool = ThreadPool::new(2);
        let errors = DropCounter::new();
        let failed = pool.try_scope(|s| {
            for _ in 0..100 {
                s.submit(|_| -> Result<(), Failure> {
                    Err(Failure {
                        _token: Some(errors.token()),
                    })
                });
            }
            Ok(())
        });
        // All that were made but the one that is told of.
        let left = failed.unwrap_err();
        let made = errors.count() + 1;
        drop(left);
        assert_eq!(errors.count(), made);
        // Of a race: the winner's value is told of, the losers' values and errors are not.
        let won = pool.race((0..100).map(|n| {
            let errors = &errors;
            move |_: &stoppable::StopEvent| {
                let token = Some(errors.token());
                if n % 2 == 0 {
                    Ok(token)
                } else {
                    Err(Failure { _token: token })
                }
            }
        }));
        let before = errors.count();
        assert!(won.unwrap().is_some());
        assert_eq!(errors.count(), before + 1);
    });
}

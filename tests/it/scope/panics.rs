//! Panics in scopes: they stop the siblings, and are re-raised when all have ended.

use super::{panic_of, text_of};
use crate::common::{DropCounter, Gate, OnDrop, finishes, poll, quiet_panic};
use std::panic::{panic_any, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use stoppable::{Outcome, Shutdown, StopReason, Stopped, TaskStatus, ThreadPool};

#[test]
fn a_panic_in_the_body_waits_for_the_tasks_and_goes_on() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (ended, started) = (AtomicBool::new(false), Gate::new());
            let text = text_of(|| {
                pool.scope(|s| -> () {
                    s.submit(|stop| {
                        started.open();
                        poll(stop);
                        assert_eq!(stop.reason(), Some(StopReason::SiblingFailed));
                        ended.store(true, Ordering::SeqCst);
                    });
                    started.pass();
                    quiet_panic("in the body")
                })
            });
            assert_eq!(text, "in the body");
            assert!(ended.into_inner());
            assert_eq!(pool.shutdown(Shutdown::Drain).cancelled(), 1);
        }
    });
}

#[test]
fn a_panic_in_a_task_stops_the_others_and_is_re_raised() {
    finishes(|| {
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads);
            let started = Gate::new();
            let line = line!() + 2;
            let text = text_of(|| {
                pool.scope(|s| {
                    if threads > 1 {
                        s.submit(|stop| {
                            started.open();
                            poll(stop);
                            let cause = stop.cause().unwrap();
                            assert_eq!(cause.reason, StopReason::SiblingFailed);
                            assert_eq!(cause.location.line(), line);
                        });
                        started.pass();
                    }
                    s.submit(|_| quiet_panic("in a task"));
                    // The body hears of it, and its result does not matter.
                    poll(&s.stop_event());
                })
            });
            assert_eq!(text, "in a task");
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!(report.panicked(), 1);
            assert_eq!(report.cancelled(), threads as u64 / 2);
        }
    });
}

#[test]
fn pending_siblings_never_start() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (gate, drops, ran) = (Gate::new(), DropCounter::new(), AtomicBool::new(false));
        let text = text_of(|| {
            pool.scope(|s| {
                s.submit(|_| {
                    gate.pass();
                    quiet_panic("the first")
                });
                for _ in 0..100 {
                    let token = drops.token();
                    let ran = &ran;
                    s.submit(move |_| {
                        let _token = token;
                        ran.store(true, Ordering::SeqCst);
                    });
                }
                gate.open();
            })
        });
        assert_eq!(text, "the first");
        assert!(!ran.into_inner());
        assert_eq!(drops.count(), 100);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.panicked(), report.never_started()), (1, 100));
    });
}

/// Whichever came first.
#[test]
fn a_panic_in_the_body_and_in_a_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let text = text_of(|| {
            pool.scope(|s| -> () {
                s.submit(|_| quiet_panic("the task's")).wait();
                quiet_panic("the body's")
            })
        });
        assert_eq!(text, "the task's");
        let started = Gate::new();
        let text = text_of(|| {
            pool.scope(|s| -> () {
                s.submit(|stop| {
                    started.open();
                    poll(stop);
                    quiet_panic("the task's")
                });
                started.pass();
                quiet_panic("the body's")
            })
        });
        assert_eq!(text, "the body's");
    });
}

/// Payloads that are no text, the first of many, and what is left of the others.
#[test]
fn payloads_of_any_type_are_re_raised_once() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let payload = panic_of(|| pool.scope(|s| drop(s.submit(|_| panic_any(1_234_u64)))));
        assert_eq!(payload.downcast_ref(), Some(&1_234_u64));
        let owned = String::from("owned ") + "text";
        let payload =
            panic_of(|| pool.scope(|s| drop(s.submit(|_| resume_unwind(Box::new(owned.clone()))))));
        assert_eq!(payload.downcast_ref(), Some(&owned));
        // As the payload of the scope, and those that came too late.
        let drops = DropCounter::new();
        let payload = panic_of(|| {
            pool.scope(|s| {
                let gate = Gate::new();
                for _ in 0..3 {
                    let (gate, token) = (gate.clone(), drops.token());
                    s.submit(move |stop| {
                        gate.pass();
                        let _ = stop.peek();
                        panic_any(token)
                    });
                }
                gate.open();
            })
        });
        assert_eq!(drops.count(), 2);
        drop(payload);
        assert_eq!(drops.count(), 3);
    });
}

/// The scope has the payload; a handle has a copy of a text.
#[test]
fn a_handle_tells_of_the_panic_too() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let text = text_of(|| {
            pool.scope(|s| {
                let task = s.submit(|_| quiet_panic("told twice"));
                let error = task.join().unwrap_err();
                assert!(error.is_panicked() && error.to_string().contains("told twice"));
                let copy = error.into_panic().unwrap();
                assert_eq!(copy.downcast_ref(), Some(&"told twice"));
            })
        });
        assert_eq!(text, "told twice");
        let payload = panic_of(|| {
            pool.scope(|s| {
                let task = s.submit(|_| panic_any(7_u8));
                let Outcome::Panicked(copy) = task.outcome() else {
                    panic!("it panicked");
                };
                assert!(copy.downcast_ref::<u8>().is_none());
            })
        });
        assert_eq!(payload.downcast_ref(), Some(&7_u8));
    });
}

/// What the closure captured is dropped as part of the task.
#[test]
fn a_destructor_of_a_capture_that_panics_makes_the_task_panic() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let text = text_of(|| {
            pool.scope(|s| {
                let bomb = OnDrop(|| quiet_panic("a bomb"));
                s.submit(move |_| {
                    let _bomb = &bomb;
                });
            })
        });
        assert_eq!(text, "a bomb");
        // One that never starts, and a value that nobody fetches: nobody is there to tell.
        let stopped = pool.scope(|s| {
            s.cancel();
            let bomb = OnDrop(|| quiet_panic("a bomb"));
            s.submit(move |_| drop(bomb));
        });
        assert!(stopped.is_err());
        let all = pool.scope(|s| drop(s.submit(|_| OnDrop(|| quiet_panic("a bomb")))));
        assert!(all.is_ok());
        assert_eq!(pool.submit(|_| 1).join().unwrap(), 1);
    });
}

/// What the body returned, in a scope that has failed.
#[test]
fn a_bomb_that_the_body_returned_is_contained() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let stopped = pool.scope(|s| {
            s.cancel();
            s.submit(|_| ());
            OnDrop(|| quiet_panic("a bomb"))
        });
        assert!(stopped.is_err());
        let text = text_of(|| {
            pool.scope(|s| {
                s.submit(|_| quiet_panic("the task's"));
                OnDrop(|| quiet_panic("a bomb"))
            })
        });
        assert_eq!(text, "the task's");
    });
}

/// Up through all of them, and each is left when its tasks have ended.
#[test]
fn a_panic_goes_up_through_nested_scopes() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let ended = DropCounter::new();
            let text = text_of(|| {
                pool.scope(|s| {
                    let _outer = ended.token();
                    s.submit(|_| {
                        let _middle = ended.token();
                        let all = submitter.scope(|s| {
                            let _inner = ended.token();
                            s.submit(|_| quiet_panic("deep down"));
                        });
                        drop(all);
                        unreachable!("it was re-raised");
                    });
                })
            });
            assert_eq!((text, ended.count()), ("deep down", 3));
            assert_eq!(pool.shutdown(Shutdown::Drain).panicked(), 2);
        }
    });
}

#[test]
fn in_a_task_of_the_pool_it_reaches_the_joiner_and_the_worker_lives() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let _ = submitter.scope(|s| drop(s.submit(|_| quiet_panic("inside"))));
        });
        let payload = outer.join().unwrap_err().into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"inside"));
        for _ in 0..1_000 {
            let payload = panic_of(|| pool.scope(|s| drop(s.submit(|_| quiet_panic("again")))));
            assert_eq!(payload.downcast_ref(), Some(&"again"));
        }
        assert_eq!(pool.scope(|s| s.submit(|_| 1).join().unwrap()), Ok(1));
    });
}

/// A stop that was asked for before does not hide it.
#[test]
fn a_panic_beats_a_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let started = Gate::new();
        let text = text_of(|| {
            pool.scope(|s| {
                let task = s.submit(|stop| {
                    started.open();
                    poll(stop);
                    quiet_panic("on the way out")
                });
                started.pass();
                s.cancel();
                task.wait();
                assert_eq!(task.status(), TaskStatus::Panicked);
            })
        });
        assert_eq!(text, "on the way out");
    });
}

/// The body swallows the panic of a task's join: the scope tells all the same.
#[test]
fn a_panic_cannot_be_swallowed_by_the_body() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let text =
            text_of(|| pool.scope(|s| s.submit(|_| quiet_panic("told")).join().unwrap_or(())));
        assert_eq!(text, "told");
        let text = text_of(|| {
            pool.try_scope(|s| {
                let task = s.submit(|_| -> Result<(), Stopped> { quiet_panic("told") });
                task.join().or(Ok::<_, Stopped>(()))
            })
        });
        assert_eq!(text, "told");
    });
}

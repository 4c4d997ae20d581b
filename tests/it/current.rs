//! The ambient event of the task that a thread runs, and leaving a task from deep inside.

use crate::common::{Gate, OnDrop, Stuck, finishes, poll, quiet_panic};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use stoppable::{
    Outcome, Shutdown, StopEvent, StopReason, TaskStatus, ThreadPool, current, unwind_if_stopped,
};

/// Whether `current()` is the event that can never be set.
fn is_never() -> bool {
    !current().set() && !current().peek()
}

#[test]
fn outside_of_tasks_it_is_never() {
    finishes(|| {
        assert!(is_never());
        let pool = ThreadPool::new(1);
        pool.submit(|_| assert!(!is_never())).join().unwrap();
        assert!(is_never());
        // A thread that a task starts is outside.
        let task = pool.submit(|stop| {
            stop.set();
            thread::spawn(is_never).join().unwrap()
        });
        assert!(task.outcome().into_value().unwrap());
    });
}

#[test]
fn inside_it_is_the_tasks_own_event() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                pool.submit(|stop| {
                    current().wait();
                    assert_eq!(current().cause(), stop.cause());
                    stop.reason()
                })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            task.wait_started();
            let mine = StopReason::custom(format!("for {n}"));
            task.cancel_with(mine.clone());
            assert_eq!(task.outcome().into_value(), Some(Some(mine)));
        }
    });
}

#[test]
fn a_task_inside_a_task_has_its_own_and_then_the_outer_one_is_back() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |stop| {
            let inner = submitter.clone();
            let middle = submitter.submit(move |stop| {
                let innermost = inner.submit(|_| {
                    current().set_with(StopReason::custom("innermost"));
                    current().reason()
                });
                let innermost = innermost.outcome().into_value().unwrap();
                assert!(!stop.peek() && !current().peek());
                current().set_with(StopReason::custom("middle"));
                (innermost, current().reason())
            });
            let seen = middle.join().unwrap();
            assert!(!stop.peek() && !current().peek());
            // An inner one that unwinds leaves the outer one as it was, too.
            assert!(submitter.submit(|_| quiet_panic("inner")).join().is_err());
            assert!(!current().peek());
            assert!(current().set() && stop.peek());
            seen
        });
        let outcome = outer.outcome();
        assert_eq!(
            outcome.status(),
            TaskStatus::Completed,
            "it set, and did not look"
        );
        let (innermost, middle) = outcome.into_value().unwrap();
        assert_eq!(innermost, Some(StopReason::custom("innermost")));
        assert_eq!(middle, Some(StopReason::custom("middle")));
    });
}

/// In drops of what a cancelled task had captured, of values that nobody fetched, and in hooks.
#[test]
fn in_drops_and_hooks_it_is_never() {
    finishes(|| {
        let found = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let found = Arc::clone(&found);
            move || found.lock().unwrap().push((what, is_never()))
        };
        let (start, stop, panic) = (note("start"), note("stop"), note("panic"));
        let pool = ThreadPool::builder()
            .threads(1)
            .on_thread_start(start)
            .on_thread_stop(stop)
            .on_unhandled_panic(move |_| panic())
            .build()
            .unwrap();
        let submitter = pool.submitter();
        let capture = OnDrop(note("capture"));
        let value = OnDrop(note("value"));
        let partial = OnDrop(note("partial"));
        let detached = OnDrop(note("detached"));
        let outer = pool.submit(move |_| {
            assert!(!is_never());
            // Cancelled by a task, on whose thread it is dropped.
            let task = submitter.submit(move |_| drop(capture));
            task.cancel();
            // A value that is dropped with the handle, inside the task.
            let task = submitter.submit(move |_| value);
            task.wait();
            drop(task);
            // A partial result that a join drops.
            let task = submitter.submit(move |stop| {
                stop.set();
                poll(stop);
                partial
            });
            assert!(task.join().is_err());
            drop(submitter.submit(move |_| detached));
        });
        outer.join().unwrap();
        pool.execute(|_| -> () { quiet_panic("nobody looks") })
            .unwrap();
        pool.shutdown(Shutdown::Drain);
        let found = found.lock().unwrap();
        let names: Vec<_> = found.iter().map(|(what, _)| *what).collect();
        assert_eq!(
            names,
            [
                "start", "capture", "value", "partial", "detached", "panic", "stop"
            ]
        );
        for (what, never) in found.iter() {
            assert!(never, "{what}");
        }
    });
}

#[test]
fn it_outlives_the_task_as_any_event_does() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let ambient = pool.submit(|_| current()).join().unwrap();
        assert!(!ambient.is_set());
        drop(pool);
        assert!(ambient.is_set(), "the pool's stop reaches it");
        assert_eq!(ambient.reason(), Some(StopReason::Shutdown));
    });
}

#[test]
fn unwinding_ends_the_task_as_cancelled_with_nothing() {
    finishes(|| {
        fn deep(levels: u32, dropped: &AtomicUsize) {
            let _count = OnDrop(|| {
                dropped.fetch_add(1, Ordering::SeqCst);
            });
            if levels > 0 {
                deep(levels - 1, dropped);
            } else {
                loop {
                    unwind_if_stopped();
                    thread::yield_now();
                }
            }
        }
        let pool = ThreadPool::new(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let task = pool.submit({
            let dropped = Arc::clone(&dropped);
            move |_| deep(50, &dropped)
        });
        task.wait_started();
        task.cancel_with(StopReason::custom("enough"));
        let Outcome::Cancelled { partial, cause } = task.outcome() else {
            panic!("it unwound because of its stop");
        };
        assert_eq!(
            (partial, cause.reason),
            (None, StopReason::custom("enough"))
        );
        assert_eq!(dropped.load(Ordering::SeqCst), 51, "destructors run");
        assert_eq!(pool.submit(|_| 1).join().unwrap(), 1, "the worker lives on");
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.cancelled(), report.panicked()), (1, 0));
    });
}

/// The hook hears of every panic, and it is no panic.
#[test]
fn unwinding_calls_no_panic_hook_and_no_hook_of_the_pool() {
    finishes(|| {
        let heard = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPool::builder()
            .threads(1)
            .on_unhandled_panic({
                let heard = Arc::clone(&heard);
                move |_| {
                    heard.fetch_add(1, Ordering::SeqCst);
                }
            })
            .build()
            .unwrap();
        // A hook counts for its own thread alone: other tests panic meanwhile.
        let worker = pool.submit(|_| thread::current().id()).join().unwrap();
        let before = std::panic::take_hook();
        let hook = Arc::new(AtomicUsize::new(0));
        std::panic::set_hook(Box::new({
            let hook = Arc::clone(&hook);
            move |info| {
                if thread::current().id() == worker {
                    hook.fetch_add(1, Ordering::SeqCst);
                } else {
                    before(info);
                }
            }
        }));
        pool.execute(|stop| {
            stop.set();
            unwind_if_stopped();
        })
        .unwrap();
        pool.submit(|_| ()).join().unwrap();
        assert_eq!(
            (hook.load(Ordering::SeqCst), heard.load(Ordering::SeqCst)),
            (0, 0)
        );
        pool.execute(|_| -> () { panic_any("a real one") }).unwrap();
        pool.submit(|_| ()).join().unwrap();
        assert_eq!(
            (hook.load(Ordering::SeqCst), heard.load(Ordering::SeqCst)),
            (1, 1)
        );
    });
}

#[test]
fn unwinding_does_nothing_outside_and_while_unset() {
    finishes(|| {
        unwind_if_stopped();
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| {
            unwind_if_stopped();
            // A child of its own is not what it asks about.
            let child = stop.child();
            child.set();
            unwind_if_stopped();
            stop.set();
            // Outside, on another thread.
            thread::spawn(unwind_if_stopped).join().unwrap();
            7
        });
        assert_eq!(task.join().unwrap(), 7);
        drop(pool);
        unwind_if_stopped();
    });
}

/// A drop that runs during a panic may call it.
#[test]
fn unwinding_does_nothing_while_panicking() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told) = mpsc::channel();
        let task = pool.submit(move |stop| {
            stop.set();
            let _cleanup = OnDrop(|| {
                assert!(thread::panicking());
                unwind_if_stopped();
                tell.send(()).unwrap();
            });
            quiet_panic("the first one");
        });
        let outcome = task.outcome();
        told.recv().expect("the drop went through");
        let Outcome::Panicked(payload) = outcome else {
            panic!("a real panic is a panic: {:?}", outcome.status());
        };
        assert_eq!(payload.downcast_ref(), Some(&"the first one"));
    });
}

#[test]
fn who_catches_the_unwinding_goes_on() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| {
            stop.set();
            let mut caught = 0;
            for _ in 0..3 {
                caught += usize::from(catch_unwind(AssertUnwindSafe(unwind_if_stopped)).is_err());
            }
            caught
        });
        let Outcome::Cancelled { partial, .. } = task.outcome() else {
            panic!("it saw its stop");
        };
        assert_eq!(partial, Some(3));

        // Passed on, it is still a stop.
        let task = pool.submit(|stop| {
            stop.set();
            if let Err(payload) = catch_unwind(AssertUnwindSafe(unwind_if_stopped)) {
                std::panic::resume_unwind(payload);
            }
        });
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
    });
}

/// The unwinding of one task, thrown in another that was not asked, is no stop of that one's.
#[test]
fn somebody_elses_unwinding_is_a_panic() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let task = pool.submit(|stop| {
            stop.set();
            catch_unwind(AssertUnwindSafe(unwind_if_stopped)).unwrap_err()
        });
        let payload = task.outcome().into_value().unwrap();
        let task = pool.submit(move |_| -> () { std::panic::resume_unwind(payload) });
        assert_eq!(task.outcome().status(), TaskStatus::Panicked);
    });
}

#[test]
fn an_inner_task_that_was_not_asked_is_not_unwound_by_the_outer_ones_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |stop| {
            stop.set();
            let inner = submitter.submit(|_| {
                unwind_if_stopped();
                7
            });
            inner.join().unwrap()
        });
        assert_eq!(outer.join().unwrap(), 7);
    });
}

#[test]
fn the_pools_stop_unwinds_too() {
    finishes(|| {
        let stuck = Stuck::new(1);
        stuck.release();
        let gate = Gate::new();
        let task = stuck.pool.submit({
            let gate = Arc::clone(&gate);
            move |_: &StopEvent| {
                gate.pass();
                unwind_if_stopped();
            }
        });
        task.wait_started();
        stuck.pool.stop_event().set();
        gate.open();
        let Outcome::Cancelled {
            partial: None,
            cause,
        } = task.outcome()
        else {
            panic!("its event reads as set");
        };
        assert_eq!(cause.reason, StopReason::Shutdown);
    });
}

//! A stop never looks like a full result: whatever stops a scope or a task of it.

use crate::common::{Gate, Stuck, finishes, poll};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use stoppable::{CancelOutcome, Shutdown, StopEvent, StopReason, Stopped, TaskStatus, ThreadPool};

#[test]
fn cancelling_the_scope_stops_all_of_it() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (started, gate, ran) = (Gate::new(), Gate::new(), AtomicBool::new(false));
        let mut line = 0;
        let stopped = pool.scope(|s| {
            let running = s.submit(|stop| {
                started.open();
                stop.wait();
                gate.pass();
            });
            let pending = s.submit(|_| ran.store(true, Ordering::SeqCst));
            started.pass();
            line = line!() + 1;
            assert!(s.cancel_with(StopReason::custom("enough")));
            assert!(!s.cancel());
            assert_eq!(pending.status(), TaskStatus::NeverStarted);
            let late = s.submit(|_| ran.store(true, Ordering::SeqCst));
            assert_eq!(late.status(), TaskStatus::NeverStarted);
            gate.open();
            let error = running.join().unwrap_err();
            assert_eq!(error.cause().unwrap().reason, StopReason::custom("enough"));
            7
        });
        let stopped = stopped.unwrap_err();
        let cause = stopped.cause();
        assert_eq!(cause.reason, StopReason::custom("enough"));
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        assert!(!ran.into_inner());
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.cancelled(), report.never_started()), (1, 2));
    });
}

/// A worker whose task has seen the stop and ended takes the next one out of the queue.
#[test]
fn no_task_starts_when_another_has_seen_the_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        for _ in 0..2_000 {
            let (started, seen, late) =
                (Gate::new(), AtomicBool::new(false), AtomicBool::new(false));
            let stopped = pool.scope(|s| {
                s.submit(|stop| {
                    started.open();
                    poll(stop);
                    seen.store(true, Ordering::SeqCst);
                });
                for _ in 0..4 {
                    s.submit(|_| late.fetch_or(seen.load(Ordering::SeqCst), Ordering::SeqCst));
                }
                started.pass();
                s.cancel();
            });
            assert!(stopped.is_err());
            assert!(!late.into_inner(), "it began after the stop was seen");
        }
    });
}

#[test]
fn a_stop_that_came_too_late_changes_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let all = pool.scope(|s| {
            s.submit(|_| ()).wait();
            s.cancel();
            7
        });
        assert_eq!(all, Ok(7));
        // Deaf to it.
        let (started, gate) = (Gate::new(), Gate::new());
        let all = pool.scope(|s| {
            s.submit(|_| {
                started.open();
                gate.pass();
            });
            started.pass();
            s.cancel();
            gate.open();
            8
        });
        assert_eq!(all, Ok(8));
        assert_eq!(pool.scope(|s| s.cancel()), Ok(true));
    });
}

#[test]
fn a_body_that_saw_the_stop_has_no_full_result() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let stopped = pool.scope(|s| {
            s.cancel();
            s.stop_event().is_set()
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Requested);
        assert!(pool.scope(|s| s.cancel() && s.stop_event().peek()).unwrap());
        let stopped = pool.try_scope(|s| -> Result<(), Stopped> {
            s.cancel();
            let _ = s.stop_event().check();
            Ok(())
        });
        assert!(stopped.is_err());
    });
}

/// What a child of the event is set for is its own affair.
#[test]
fn a_body_that_saw_a_child_of_the_event_was_not_stopped() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let child_was_set = pool.scope(|s| {
            let child = s.stop_event().child();
            child.set();
            child.is_set()
        });
        assert_eq!(child_was_set, Ok(true));
        // Nor if the scope is stopped later, when all has completed, and nobody looks.
        let all = pool.scope(|s| {
            let child = s.stop_event().child();
            child.set();
            assert!(child.is_set());
            s.cancel();
        });
        assert_eq!(all, Ok(()));
    });
}

#[test]
fn cancelling_one_task_is_an_error_of_the_scope_and_stops_no_other() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let count = AtomicUsize::new(0);
        let stopped = stuck.pool.scope(|s| {
            let tasks = [(); 3].map(|()| s.submit(|_| count.fetch_add(1, Ordering::SeqCst)));
            let words = StopReason::custom("this one");
            assert_eq!(tasks[1].cancel_with(words), CancelOutcome::NeverStarted);
            assert_eq!(
                tasks[1].cancel(),
                CancelOutcome::AlreadyDone(TaskStatus::NeverStarted)
            );
            stuck.release();
        });
        assert_eq!(
            stopped.unwrap_err().reason(),
            StopReason::custom("this one")
        );
        assert_eq!(count.into_inner(), 2);
        // A running one; through its canceller, its event, and its own hands.
        let started = Gate::new();
        let stopped = stuck.pool.scope(|s| {
            let task = s.submit(|stop| {
                started.open();
                poll(stop);
            });
            started.pass();
            assert_eq!(task.canceller().cancel(), CancelOutcome::Requested);
        });
        assert!(stopped.is_err());
        let stopped = stuck
            .pool
            .scope(|s| s.submit(StopEvent::wait).stop_event().set());
        assert!(stopped.is_err());
        let stopped = stuck.pool.scope(|s| {
            s.submit(|stop| stop.set() && stop.is_set());
        });
        assert!(stopped.is_err());
    });
}

#[test]
fn a_task_cancels_its_own_scope() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let stopped = pool.scope(|s| {
                s.submit(|stop| {
                    s.cancel_with(StopReason::custom("found it"));
                    poll(stop);
                });
                for _ in 0..10 {
                    s.submit(StopEvent::wait);
                }
            });
            assert_eq!(
                stopped.unwrap_err().reason(),
                StopReason::custom("found it")
            );
        }
    });
}

#[test]
fn a_deadline_in_the_scopes_event() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let round = move || {
                submitter.scope(|s| {
                    s.stop_event().set_after(Duration::from_millis(1));
                    for _ in 0..10 {
                        s.submit(StopEvent::wait);
                    }
                })
            };
            assert_eq!(round().unwrap_err().reason(), StopReason::Deadline);
            // The only worker is the one that waits; the timer leaves it what was captured.
            let inside = pool.submit(move |_| round().unwrap_err().reason());
            assert_eq!(inside.join().unwrap(), StopReason::Deadline);
        }
    });
}

#[test]
fn the_pools_event_stops_scopes() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let started = Gate::new();
        let stopped = pool.scope(|s| {
            s.submit(|stop| {
                started.open();
                stop.wait();
            });
            let pending = s.submit(|_| ());
            started.pass();
            pool.stop_event().set();
            assert!(s.stop_event().peek());
            assert_eq!(pending.status(), TaskStatus::NeverStarted);
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        // From now on nothing starts.
        let stopped = pool.scope(|s| s.submit(|_| ()).join().is_err());
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
    });
}

/// An event that the pool was built under, with either mode.
#[test]
fn an_event_above_the_pool_stops_scopes() {
    finishes(|| {
        for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
            let event = StopEvent::new();
            let stuck = Stuck::with(1, |builder| builder.stop_with(&event, mode));
            let stopped = stuck.pool.scope(|s| {
                let pending = s.submit(|_| ());
                event.set();
                assert_eq!(pending.status(), TaskStatus::NeverStarted);
                stuck.release();
            });
            assert!(stopped.is_err());
        }
    });
}

#[test]
fn cancel_pending_empties_scopes_too() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let stopped = stuck.pool.scope(|s| {
            for _ in 0..5 {
                s.submit(|_| ());
            }
            assert_eq!(stuck.pool.cancel_pending(), 5);
            stuck.release();
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Requested);
        assert_eq!(stuck.pool.scope(|s| s.submit(|_| 1).join().unwrap()), Ok(1));
    });
}

/// A stop at any moment: what is missing is never told of as a full result.
#[test]
fn a_racing_stop_leaves_a_full_result_or_an_error() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (mut full, mut stopped) = (0, 0);
            for round in 0..600 {
                let count = AtomicUsize::new(0);
                let all = std::thread::scope(|other| {
                    pool.scope(|s| {
                        let event = s.stop_event();
                        other.spawn(move || {
                            (0..round % 60).for_each(|_| std::thread::yield_now());
                            event.set()
                        });
                        for _ in 0..20 {
                            s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                        }
                    })
                });
                match all {
                    Ok(()) => full += usize::from(count.into_inner() == 20),
                    Err(_) => stopped += usize::from(count.into_inner() < 20),
                }
            }
            assert_eq!(full + stopped, 600);
        }
    });
}

/// Events and cancellers that outlive a scope touch nothing of it.
#[test]
fn what_outlives_the_scope_is_harmless() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let mut kept = Vec::new();
        let text = String::from("borrowed");
        let (mut event, mut own) = (None, None);
        let all = pool.scope(|s| {
            event = Some(s.stop_event());
            for _ in 0..3 {
                let task = s.submit(|_| text.len());
                kept.push((task.canceller(), task.stop_event()));
            }
            s.submit(|stop| own = Some(stop.clone()));
        });
        assert_eq!(all, Ok(()));
        drop(text);
        for (canceller, event) in &kept {
            assert_eq!(
                canceller.cancel(),
                CancelOutcome::AlreadyDone(TaskStatus::Completed)
            );
            assert!(event.set());
        }
        assert!(event.as_ref().unwrap().set() && own.unwrap().is_set());
        let after = event.unwrap();
        drop(pool);
        assert!(after.is_set() && kept[0].1.is_set());
    });
}

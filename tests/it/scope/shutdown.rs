//! Shutdowns while scopes are open that no task of the pool has opened.

use crate::common::{DropCounter, Gate, Stuck, finishes, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use stoppable::{Shutdown, StopReason, Stopped, TaskStatus, ThreadPool};

const MODES: [Shutdown; 3] = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll];

#[test]
fn drain_runs_what_was_submitted_and_refuses_the_rest() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let count = AtomicUsize::new(0);
        let stopped = stuck.pool.scope(|s| {
            for _ in 0..5 {
                s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
            }
            stuck.pool.begin_shutdown(Shutdown::Drain);
            let late = s.submit(|_| count.fetch_add(100, Ordering::SeqCst));
            assert_eq!(late.status(), TaskStatus::NeverStarted);
            stuck.release();
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        assert_eq!(count.into_inner(), 5);
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!((report.submitted(), report.refused()), (6, 1));
    });
}

#[test]
fn the_others_doom_what_is_pending_at_once() {
    finishes(|| {
        for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::new(1);
            let drops = DropCounter::new();
            let stopped = stuck.pool.scope(|s| {
                let pending = [(); 5].map(|()| {
                    let token = drops.token();
                    s.submit(move |_| drop(token))
                });
                stuck.pool.begin_shutdown(mode);
                for task in &pending {
                    assert_eq!(task.status(), TaskStatus::NeverStarted);
                }
                // Does not wait for the worker, which is stuck: its end drops what they captured.
            });
            assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
            assert_eq!(drops.count(), 5);
        }
    });
}

/// A task that runs is not disturbed by `CancelPending`, and may not submit to such a scope any more.
#[test]
fn cancel_pending_ends_scopes_from_outside_with_an_error() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (started, gate) = (Gate::new(), Gate::new());
        let stopped = pool.scope(|s| {
            let running = s.submit(|stop| {
                started.open();
                gate.pass();
                s.submit(|_| ());
                stop.is_set()
            });
            started.pass();
            pool.begin_shutdown(Shutdown::CancelPending);
            gate.open();
            assert!(!running.join().unwrap());
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
    });
}

#[test]
fn stop_all_stops_running_tasks() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let started = Gate::new();
        let stopped = pool.scope(|s| {
            s.submit(|stop| {
                started.open();
                stop.wait();
            });
            started.pass();
            pool.shutdown(Shutdown::StopAll);
            7
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
    });
}

/// All modes, begun and waited for, at every moment of a scope's life: each task is counted once, the
/// borrows end in time, and there is no full result with something missing.
#[test]
fn a_shutdown_at_any_moment() {
    for mode in MODES {
        finishes(move || {
            for round in 0..300 {
                let pool = ThreadPool::new(1 + round % 2);
                let (count, drops) = (AtomicUsize::new(0), DropCounter::new());
                let mut seen = 0;
                let all = thread::scope(|other| {
                    let submitter = pool.submitter();
                    other.spawn(|| {
                        (0..round / 2 % 40).for_each(|_| thread::yield_now());
                        if round % 3 == 0 {
                            pool.begin_shutdown(mode);
                        } else {
                            pool.shutdown(mode);
                        }
                    });
                    submitter.scope(|s| {
                        for _ in 0..10 {
                            let (token, count) = (drops.token(), &count);
                            s.submit(move |_| {
                                let _token = token;
                                count.fetch_add(1, Ordering::SeqCst);
                                s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                            });
                        }
                        seen += 1;
                    })
                });
                assert_eq!((drops.count(), seen), (10, 1));
                assert_eq!(all.is_ok(), count.into_inner() == 20);
                let report = pool.shutdown(mode);
                let ended = report.completed() + report.cancelled() + report.never_started();
                assert_eq!(report.submitted(), ended);
            }
        });
    }
}

/// A submitter does not keep the pool alive.
#[test]
fn the_drop_of_the_pool_at_any_moment() {
    finishes(|| {
        for round in 0..300 {
            let pool = ThreadPool::new(1 + round % 2);
            let submitter = pool.submitter();
            let dropper = thread::spawn(move || {
                (0..round / 2 % 40).for_each(|_| thread::yield_now());
                drop(pool);
            });
            let count = AtomicUsize::new(0);
            let all = submitter.scope(|s| {
                for _ in 0..20 {
                    s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                }
            });
            assert_eq!(all.is_ok(), count.into_inner() == 20);
            dropper.join().unwrap();
            let stopped = submitter.scope(|s| drop(s.submit(|_| ())));
            assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        }
    });
}

#[test]
fn a_task_of_the_scope_drops_the_pool() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let submitter = pool.submitter();
        let (gate, ran) = (Gate::new(), AtomicUsize::new(0));
        let stopped = submitter.scope(|s| {
            s.submit(|_| {
                gate.pass();
                drop(pool);
                ran.fetch_add(1, Ordering::SeqCst)
            });
            s.submit(|_| ran.fetch_add(10, Ordering::SeqCst));
            gate.open();
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        assert_eq!(ran.into_inner(), 1);
    });
}

/// After the end: an error of the submitter's, with and without an error type of one's own.
#[test]
fn on_a_pool_that_was_shut_down() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        pool.shutdown(Shutdown::Drain);
        let stopped = pool.scope(|s| drop(s.submit(|_| ())));
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        let stopped = pool.try_scope(|s| s.submit(|_| Ok::<_, Stopped>(1)).join());
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        let stopped = pool.race([|_: &_| Ok::<_, Stopped>(1)]);
        assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        let group = pool.group();
        assert!(group.submit(|_| ()).join().unwrap_err().is_never_started());
        assert_eq!(group.wait().unwrap_err().reason(), StopReason::Shutdown);
    });
}

/// Whoever opened the scope waits for that, in the middle of it, and so drops nothing itself.
#[test]
fn a_capture_that_a_begun_shutdown_leaves_is_dropped_before_the_scopes_end() {
    finishes(|| {
        for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::new(1);
            let captured = DropCounter::new();
            let result = stuck.pool.scope(|s| {
                let token = captured.token();
                let pending = s.submit(move |_| drop(token));
                stuck.pool.begin_shutdown(mode);
                assert_eq!(pending.status(), TaskStatus::NeverStarted);
                stuck.release();
                until(|| captured.count() == 1);
            });
            assert!(result.is_err());
        }
    });
}

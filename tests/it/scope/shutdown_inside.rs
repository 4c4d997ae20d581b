//! Shutdowns while tasks of the pool are in scopes that they have opened.

use crate::common::{DropCounter, Gate, finishes, poll};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use stoppable::{Outcome, Shutdown, StopReason, Submitter, ThreadPool};

/// A task that opens a scope, submits three tasks to it, waits for the gate, and submits three more, each of which
/// submits another one.
fn six_and_three(pool: &Submitter, opened: &Gate, gate: &Gate) -> Result<usize, StopReason> {
    let count = AtomicUsize::new(0);
    let all = pool.scope(|s| {
        for _ in 0..3 {
            s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
        }
        opened.open();
        gate.pass();
        for _ in 0..3 {
            s.submit(|_| {
                count.fetch_add(1, Ordering::SeqCst);
                s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
            });
        }
    });
    let count = count.into_inner();
    all.map(|()| count).map_err(|stopped| stopped.reason())
}

#[test]
fn cancel_pending_and_drain_let_scopes_of_running_tasks_finish() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending] {
            for threads in [1, 2] {
                let pool = ThreadPool::new(threads);
                let (opened, gate) = (Gate::new(), Gate::new());
                let task = pool.submit({
                    let (submitter, opened) = (pool.submitter(), Arc::clone(&opened));
                    let gate = Arc::clone(&gate);
                    move |_| six_and_three(&submitter, &opened, &gate)
                });
                opened.pass();
                pool.begin_shutdown(mode);
                gate.open();
                assert_eq!(task.join().unwrap(), Ok(9));
                let report = pool.shutdown(mode);
                assert_eq!((report.completed(), report.submitted()), (10, 10));
            }
        }
    });
}

/// Scopes in tasks of scopes, and scopes that are opened after the shutdown began.
#[test]
fn cancel_pending_lets_nested_and_new_scopes_finish() {
    fn nest(pool: &Submitter, depth: usize, gate: &Gate, opened: &Gate) -> usize {
        if depth == 0 {
            opened.open();
            gate.pass();
            return 1;
        }
        let all = pool.scope(|s| {
            let one = s.submit(|_| nest(pool, depth - 1, gate, opened));
            let two = s.submit(|_| nest(pool, depth - 1, gate, opened));
            one.join().unwrap() + two.join().unwrap()
        });
        all.unwrap()
    }
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (opened, gate) = (Gate::new(), Gate::new());
            let task = pool.submit({
                let (submitter, opened) = (pool.submitter(), Arc::clone(&opened));
                let gate = Arc::clone(&gate);
                move |_| nest(&submitter, 6, &gate, &opened)
            });
            opened.pass();
            pool.begin_shutdown(Shutdown::CancelPending);
            gate.open();
            assert_eq!(task.join().unwrap(), 64);
            assert_eq!(pool.shutdown(Shutdown::CancelPending).never_started(), 0);
        }
    });
}

#[test]
fn cancel_pending_refuses_what_is_no_part_of_a_scope() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (opened, gate) = (Gate::new(), Gate::new());
        let task = pool.submit({
            let (submitter, opened) = (pool.submitter(), Arc::clone(&opened));
            let gate = Arc::clone(&gate);
            move |_| {
                let all = submitter.scope(|s| {
                    let pending = submitter.submit(|_| ());
                    opened.open();
                    gate.pass();
                    assert!(pending.join().unwrap_err().is_never_started());
                    let late = submitter.submit(|_| ());
                    assert!(late.join().unwrap_err().is_never_started());
                    s.submit(|_| 1).join().unwrap()
                });
                all.unwrap()
            }
        });
        opened.pass();
        pool.begin_shutdown(Shutdown::CancelPending);
        gate.open();
        assert_eq!(task.join().unwrap(), 1);
    });
}

#[test]
fn stop_all_does_not_hang_the_only_worker_in_a_scope() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (opened, gate) = (Gate::new(), Gate::new());
            let task = pool.submit({
                let (submitter, opened) = (pool.submitter(), Arc::clone(&opened));
                let gate = Arc::clone(&gate);
                move |stop| {
                    let result = six_and_three(&submitter, &opened, &gate);
                    assert!(stop.peek());
                    result
                }
            });
            opened.pass();
            pool.begin_shutdown(Shutdown::StopAll);
            gate.open();
            let Outcome::Cancelled { partial, .. } = task.outcome() else {
                panic!("it was told");
            };
            assert_eq!(partial, Some(Err(StopReason::Shutdown)));
        }
    });
}

/// What pending tasks captured is left to the worker, which is the one that waits for them.
#[test]
fn captures_that_a_shutdown_leaves_are_dropped_at_the_scopes_end() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (drops, opened, gate) = (DropCounter::new(), Gate::new(), Gate::new());
        let task = pool.submit({
            let (submitter, drops) = (pool.submitter(), drops.clone());
            let (opened, gate) = (Arc::clone(&opened), Arc::clone(&gate));
            move |_| {
                let all = submitter.scope(|s| {
                    for _ in 0..100 {
                        let token = drops.token();
                        s.submit(move |_| drop(token));
                    }
                    opened.open();
                    gate.pass();
                });
                assert_eq!(drops.count(), 100);
                all.is_err()
            }
        });
        opened.pass();
        pool.begin_shutdown(Shutdown::StopAll);
        gate.open();
        assert_eq!(task.outcome().into_value(), Some(true));
    });
}

/// The timer's thread stops a scope in whose end the only worker waits.
#[test]
fn deadlines_do_not_hang_the_only_worker_in_a_scope() {
    finishes(|| {
        for round in 0..50 {
            let pool = ThreadPool::new(1);
            let (submitter, drops) = (pool.submitter(), DropCounter::new());
            let task = pool.task().timeout(Duration::from_micros(round * 40));
            let task = task.submit({
                let drops = drops.clone();
                move |_| {
                    let all = submitter.scope(|s| {
                        for _ in 0..50 {
                            let token = drops.token();
                            s.submit(move |stop| {
                                let _token = token;
                                poll(stop);
                            });
                        }
                    });
                    assert_eq!(drops.count(), 50);
                    all.unwrap_err().reason()
                }
            });
            let reason = task.outcome().into_value();
            assert_eq!(reason, Some(StopReason::Deadline));
        }
    });
}

/// Each task opens a scope with three more. How many there were.
fn nest(pool: &Submitter, depth: usize, count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
    if depth > 0 {
        let all = pool.scope(|s| {
            for _ in 0..3 {
                s.submit(|_| nest(pool, depth - 1, count));
            }
        });
        // A stop is passed on by the note that this task has seen it.
        drop(all);
    }
}

fn shut_down_at_any_moment(mode: Shutdown) {
    for round in 0..200 {
        let pool = ThreadPool::new(1 + round % 2);
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            let count = AtomicUsize::new(0);
            nest(&submitter, 3, &count);
            count.into_inner()
        });
        (0..round / 2).for_each(|_| thread::yield_now());
        let report = pool.shutdown(mode);
        let ended = report.completed() + report.cancelled() + report.never_started();
        assert_eq!(report.submitted(), ended);
        match task.outcome() {
            Outcome::Completed(count) => assert_eq!(count, 40, "{mode:?}"),
            Outcome::Cancelled { .. } => assert_eq!(mode, Shutdown::StopAll),
            Outcome::NeverStarted(_) => assert_ne!(mode, Shutdown::Drain),
            Outcome::Panicked(_) => panic!("it panicked"),
        }
    }
}

#[test]
fn a_weak_shutdown_at_any_moment_of_a_nest() {
    for mode in [Shutdown::Drain, Shutdown::CancelPending] {
        finishes(move || shut_down_at_any_moment(mode));
    }
}

/// Whoever was told `Err` by a scope because of the pool's stop has not completed.
#[test]
fn a_strong_shutdown_at_any_moment_of_a_nest() {
    finishes(|| (0..20).for_each(|_| shut_down_at_any_moment(Shutdown::StopAll)));
}

/// Begun by a task inside of the scope, which is one of those that still run.
#[test]
fn a_task_of_the_scope_shuts_the_pool_down() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let (submitter, inner) = (pool.submitter(), Arc::clone(&pool));
        let task = pool.submit(move |_| {
            let all = submitter.scope(|s| {
                s.submit(|_| inner.shutdown(Shutdown::CancelPending)).wait();
                s.submit(|_| 5).join().unwrap()
            });
            all.unwrap()
        });
        assert_eq!(task.join().unwrap(), 5);
    });
}

//! Groups that are owned: used from outside of their pool.

use super::{panic_of, text_of};
use crate::common::{DropCounter, Gate, Stuck, finishes, poll, quiet_panic};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use stoppable::{Shutdown, StopEvent, StopReason, TaskStatus, ThreadPool};

#[test]
fn it_waits_for_all_and_takes_more_afterwards() {
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let group = pool.group();
            let count = Arc::new(AtomicUsize::new(0));
            group.wait().unwrap();
            for round in 1..=20 {
                for _ in 0..round {
                    let count = Arc::clone(&count);
                    drop(group.submit(move |_| count.fetch_add(1, Ordering::SeqCst)));
                }
                group.wait().unwrap();
                assert!(group.is_empty());
            }
            assert_eq!(count.load(Ordering::SeqCst), 210);
        }
    });
}

#[test]
fn its_tasks_are_joined_by_their_handles() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let group = submitter.group();
        let handles: Vec<_> = (0..100).map(|n| group.submit(move |_| n)).collect();
        let sum: u32 = handles.into_iter().map(|task| task.join().unwrap()).sum();
        assert_eq!(sum, 4_950);
        group.wait().unwrap();
    });
}

#[test]
fn len_counts_those_that_have_not_ended() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let group = stuck.pool.group();
        let tasks: Vec<_> = (0..3).map(|_| group.submit(|_| ())).collect();
        assert_eq!((group.len(), group.is_empty()), (3, false));
        assert!(format!("{group:?}").contains('3'), "{group:?}");
        tasks[1].cancel();
        assert_eq!(group.len(), 2);
        stuck.release();
        assert!(group.wait().is_err());
        assert_eq!(group.len(), 0);
    });
}

/// An error is told of once, and does not stop the others.
#[test]
fn wait_tells_only_of_tasks_that_ended_since_the_last_wait() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let group = pool.group();
        let running = group.submit(StopEvent::wait);
        running.wait_started();
        running.cancel_with(StopReason::custom("this one only"));
        let stopped = group.wait().unwrap_err();
        assert_eq!(stopped.reason(), StopReason::custom("this one only"));
        assert!(!group.stop_event().peek());
        assert_eq!(group.submit(|_| 7).join().unwrap(), 7);
        group.wait().unwrap();
        group.wait().unwrap();
    });
}

#[test]
fn once_cancelled_it_stays_so() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let group = pool.group();
        let gate = Gate::new();
        let running = group.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                stop.wait();
                gate.pass();
            }
        });
        running.wait_started();
        let pending = group.submit(|_| ());
        assert!(group.cancel_with(StopReason::custom("enough")));
        assert!(!group.cancel());
        assert_eq!(pending.status(), TaskStatus::NeverStarted);
        gate.open();
        for _ in 0..3 {
            let stopped = group.wait().unwrap_err();
            assert_eq!(stopped.reason(), StopReason::custom("enough"));
            assert_eq!(stopped.cause().location.file(), file!());
            let late = group.submit(|_| ());
            assert_eq!(late.status(), TaskStatus::NeverStarted);
            assert!(late.join().unwrap_err().is_never_started());
        }
        assert!(running.join().unwrap_err().is_cancelled());
        // The pool goes on.
        assert_eq!(pool.submit(|_| 1).join().unwrap(), 1);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.never_started(), report.cancelled()), (4, 1));
    });
}

#[test]
fn an_empty_group_that_was_cancelled_is_an_error() {
    let pool = ThreadPool::new(1);
    let group = pool.group();
    group.stop_event().set();
    assert!(group.wait().is_err());
    assert!(group.wait_timeout(Duration::ZERO).unwrap().is_err());
}

#[test]
fn drop_stops_its_tasks_and_does_not_wait() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let captured = DropCounter::new();
        let group = pool.group();
        let running = group.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                poll(stop);
                gate.pass();
            }
        });
        running.wait_started();
        let pending: Vec<_> = (0..5)
            .map(|_| {
                let token = captured.token();
                group.submit(move |_| drop(token))
            })
            .collect();
        drop(group);
        // Promptly, although the worker is stuck.
        assert_eq!(captured.count(), 5);
        for task in pending {
            let error = task.join().unwrap_err();
            assert!(error.is_never_started());
            assert_eq!(error.cause().unwrap().reason, StopReason::Dropped);
            assert_eq!(error.cause().unwrap().location.file(), file!());
        }
        assert!(!running.is_done());
        gate.open();
        assert!(running.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn wait_timeout_stops_nothing() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let group = pool.group();
        let task = group.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                gate.pass();
                stop.is_set()
            }
        });
        assert!(group.wait_timeout(Duration::ZERO).is_none());
        assert!(group.wait_timeout(Duration::from_millis(2)).is_none());
        gate.open();
        assert!(group.wait_timeout(Duration::MAX).unwrap().is_ok());
        assert!(!task.join().unwrap());
        assert!(group.wait_timeout(Duration::ZERO).unwrap().is_ok());
    });
}

#[test]
fn several_threads_wait_at_once() {
    finishes(|| {
        for _ in 0..50 {
            let pool = ThreadPool::new(2);
            let group = pool.group();
            let barrier = Barrier::new(9);
            let count = Arc::new(AtomicUsize::new(0));
            thread::scope(|threads| {
                for _ in 0..8 {
                    threads.spawn(|| {
                        barrier.wait();
                        group.wait().unwrap();
                        assert_eq!(count.load(Ordering::SeqCst), 20);
                    });
                }
                for _ in 0..20 {
                    let count = Arc::clone(&count);
                    drop(group.submit(move |_| count.fetch_add(1, Ordering::SeqCst)));
                }
                barrier.wait();
            });
        }
    });
}

#[test]
fn a_panic_stops_the_others_and_is_told_of_once() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let group = pool.group();
        let panics = group.submit({
            let gate = Arc::clone(&gate);
            move |_| {
                gate.pass();
                quiet_panic("in a group");
            }
        });
        let pending = group.submit(|_| ());
        gate.open();
        assert_eq!(text_of(|| group.wait()), "in a group");
        // From now on it is stopped.
        assert_eq!(
            group.wait().unwrap_err().reason(),
            StopReason::SiblingFailed
        );
        let error = pending.join().unwrap_err();
        assert!(error.is_never_started());
        assert_eq!(error.cause().unwrap().reason, StopReason::SiblingFailed);
        let copy = panics.join().unwrap_err().into_panic().unwrap();
        assert_eq!(copy.downcast_ref(), Some(&"in a group"));
    });
}

#[test]
fn wait_timeout_tells_of_a_panic_too() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let group = pool.group();
        drop(group.submit(|_| std::panic::panic_any(17_u8)));
        let payload = panic_of(|| group.wait_timeout(Duration::MAX));
        assert_eq!(payload.downcast_ref(), Some(&17_u8));
    });
}

#[test]
fn it_is_stopped_with_its_pool() {
    finishes(|| {
        for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::new(1);
            let group = stuck.pool.group();
            let pending = group.submit(|_| ());
            stuck.pool.begin_shutdown(mode);
            assert_eq!(pending.status(), TaskStatus::NeverStarted);
            stuck.release();
            assert_eq!(group.wait().unwrap_err().reason(), StopReason::Shutdown);
            assert!(group.submit(|_| ()).join().unwrap_err().is_never_started());
            assert!(group.wait().is_err());
        }
    });
}

#[test]
fn it_may_outlive_its_pool() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let group = pool.group();
        assert_eq!(group.submit(|_| 3).join().unwrap(), 3);
        group.wait().unwrap();
        drop(pool);
        assert!(group.submit(|_| ()).join().unwrap_err().is_never_started());
        assert_eq!(group.wait().unwrap_err().reason(), StopReason::Shutdown);
    });
}

/// As an `ExecutorService` of its own: kept in a struct, shared by threads that submit.
#[test]
fn threads_share_it() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let group = Arc::new(pool.group());
        let count = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (group, count) = (Arc::clone(&group), Arc::clone(&count));
                thread::spawn(move || {
                    for _ in 0..100 {
                        let count = Arc::clone(&count);
                        drop(group.submit(move |_| count.fetch_add(1, Ordering::SeqCst)));
                    }
                    group.wait().unwrap();
                    assert!(count.load(Ordering::SeqCst) >= 100);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 400);
    });
}

/// Tasks that end leave nothing of theirs behind in a group that lives on.
#[test]
fn it_keeps_nothing_of_tasks_that_ended() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let group = pool.group();
        let drops = DropCounter::new();
        for _ in 0..1_000 {
            let (captured, value) = (drops.token(), drops.token());
            drop(group.submit(move |_| {
                let _captured = captured;
                value
            }));
        }
        group.wait().unwrap();
        assert_eq!(drops.count(), 2_000);
    });
}

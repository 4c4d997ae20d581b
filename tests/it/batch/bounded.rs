//! Batches in a bounded queue: they wait for room some dozens at a time, and take no more than there is.

use super::{MANY, Tally, assert_report, lengthen_runs};
use crate::common::{Gate, OpenOnDrop, Stuck, finishes, quiet_panic, until};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopEvent, StopReason, TaskHandle, TaskStatus, ThreadPool,
};

fn bounded(threads: usize, room: usize) -> ThreadPool {
    let builder = ThreadPool::builder().threads(threads);
    builder.queue_capacity(room).build().unwrap()
}

fn numbers(len: usize) -> impl Iterator<Item = impl FnOnce(&StopEvent) -> usize> {
    (0..len).map(|n| move |_: &StopEvent| n)
}

#[track_caller]
fn assert_all(handles: Vec<TaskHandle<usize>>, len: usize) {
    assert_eq!(handles.len(), len);
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), n);
    }
}

#[test]
fn a_batch_larger_than_the_room_waits_and_completes() {
    finishes(|| {
        for threads in [1, 2] {
            for room in [1, 2, 3, 10, 63, 64, 65, 200] {
                let pool = bounded(threads, room);
                let begun = Arc::new(AtomicUsize::new(0));
                // What is pending, and what has been pulled and waits for as much room. (And a task that
                // has just left the queue, for each worker.)
                let most = room + room.min(64) + threads;
                let handles = pool.submit_all((0..1_000).map(|n| {
                    assert!(n <= begun.load(SeqCst) + most, "{n} in {room}");
                    let begun = Arc::clone(&begun);
                    move |_: &StopEvent| {
                        begun.fetch_add(1, SeqCst);
                        n
                    }
                }));
                assert_all(handles, 1_000);
                assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 1_000);
            }
        }
    });
}

#[test]
fn it_waits_until_there_is_room() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(5));
        thread::scope(|scope| {
            let submitting = scope.spawn(|| stuck.pool.submit_all(numbers(20)));
            until(|| stuck.pool.stats().pending == 5);
            assert!(stuck.pool.try_submit(|_| ()).unwrap_err().is_full());
            assert!(!submitting.is_finished());
            stuck.release();
            assert_all(submitting.join().unwrap(), 20);
        });
    });
}

#[test]
fn batches_of_several_threads_share_little_room() {
    finishes(|| {
        for threads in [1, 2] {
            for room in [1, 2, 7, 64] {
                let pool = bounded(threads, room);
                thread::scope(|scope| {
                    for len in [700, 701, 64] {
                        let pool = &pool;
                        scope.spawn(move || assert_all(pool.submit_all(numbers(len)), len));
                    }
                    scope.spawn(|| {
                        for n in 0..200 {
                            assert_eq!(pool.submit(move |_| n).join().unwrap(), n);
                            if let Ok(handle) = pool.try_submit(|_| ()) {
                                handle.join().unwrap();
                            }
                        }
                    });
                });
            }
        }
    });
}

#[test]
fn inside_the_pool_it_does_not_wait() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = bounded(threads, 1);
            let submitter = pool.submitter();
            let outer = pool.submit(move |_| {
                let handles = submitter.submit_all((0..MANY).map(|n| {
                    let submitter = submitter.clone();
                    move |_: &StopEvent| {
                        let inner = submitter.submit_all(numbers(n % 5));
                        assert_all(inner, n % 5);
                        n
                    }
                }));
                assert_all(handles, MANY);
            });
            outer.join().unwrap();
            // And the room that was taken over the limit has come back.
            assert_all(pool.submit_all(numbers(10)), 10);
        }
    });
}

/// What was accepted and what was refused is all that there was.
#[test]
fn a_shutdown_refuses_what_waits_for_room() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            for room in [1, 7, 50] {
                let stuck = Stuck::with(1, |builder| builder.queue_capacity(room));
                let pool = &stuck.pool;
                let captures = Tally::new(MANY);
                let (handles, accepted) = thread::scope(|scope| {
                    let submitting = scope.spawn(|| {
                        pool.submit_all((0..MANY).map(|n| {
                            let capture = captures.one(n);
                            move |_: &StopEvent| capture.number()
                        }))
                    });
                    // It takes room for a slab at once, so there may be some left.
                    until(|| pool.stats().pending > room as u64 / 2);
                    pool.begin_shutdown(mode);
                    let handles = submitting.join().unwrap();
                    (handles, pool.stats().submitted - 1)
                });
                assert!((1..=room as u64).contains(&accepted));
                assert_eq!(pool.stats().refused, MANY as u64 - accepted);
                for n in accepted as usize..MANY {
                    assert_eq!(captures.of(n), 1, "captures of refused task {n}");
                }
                let ids: Vec<_> = handles.iter().map(TaskHandle::id).collect();
                assert!(ids.is_sorted());
                stuck.release();
                let runs = mode == Shutdown::Drain;
                for (n, handle) in handles.into_iter().enumerate() {
                    match handle.outcome() {
                        Outcome::Completed(it) => {
                            assert!(it == n && runs && n < accepted as usize);
                        }
                        Outcome::NeverStarted(cause) => {
                            assert_eq!(cause.reason, StopReason::Shutdown);
                            assert!(!runs || n >= accepted as usize);
                        }
                        other => panic!("{:?}", other.status()),
                    }
                }
                let report = pool.shutdown(mode);
                captures.assert_all_once("the captures of task");
                let mut right = vec![TaskStatus::Completed];
                let ended = match runs {
                    true => TaskStatus::Completed,
                    false => TaskStatus::NeverStarted,
                };
                right.resize(1 + accepted as usize, ended);
                assert_report(&report, &right);
                assert_eq!(report.refused(), MANY as u64 - accepted);
                let refused: Vec<_> = report.refused_ids().collect();
                assert_eq!(refused, ids[accepted as usize..]);
                for id in refused {
                    assert_eq!(report.status_of(id), Some(TaskStatus::NeverStarted));
                }
            }
        }
    });
}

/// The same without a plan: whenever the shutdown comes, the sums are right.
#[test]
fn a_shutdown_that_races_a_batch_refuses_the_rest() {
    finishes(|| {
        let rounds = if cfg!(debug_assertions) { 60 } else { 400 };
        for round in 0..rounds {
            let mode = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll][round % 3];
            let pool = match round % 4 {
                0 => ThreadPool::new(2),
                _ => bounded(1 + round % 2, [1, 9, 70][round / 4 % 3]),
            };
            let captures = [Tally::new(MANY), Tally::new(MANY)];
            let handles = thread::scope(|scope| {
                let threads = captures.each_ref().map(|captures| {
                    let pool = &pool;
                    scope.spawn(move || {
                        pool.submit_all((0..MANY).map(|n| {
                            let capture = captures.one(n);
                            move |_: &StopEvent| capture.number()
                        }))
                    })
                });
                until(|| pool.stats().submitted as usize >= round % 300);
                pool.begin_shutdown(mode);
                threads.map(|thread| thread.join().unwrap())
            });
            let report = pool.shutdown(mode);
            assert_eq!(report.submitted() + report.refused(), 2 * MANY as u64);
            assert_eq!(
                report.submitted(),
                report.completed() + report.never_started()
            );
            if mode == Shutdown::Drain {
                assert_eq!(report.never_started(), 0);
            }
            let (mut completed, mut never) = (0, 0);
            for handles in handles {
                assert_eq!(handles.len(), MANY);
                let mut refused = false;
                for (n, handle) in handles.into_iter().enumerate() {
                    let is_refused = report.refused_ids().any(|id| id == handle.id());
                    assert!(is_refused || !refused, "once refused, all are");
                    refused = is_refused;
                    let status = report.status_of(handle.id());
                    let outcome = handle.outcome();
                    assert_eq!(status, Some(outcome.status()));
                    match outcome {
                        Outcome::Completed(it) => {
                            assert_eq!(it, n);
                            completed += 1;
                        }
                        _ => never += 1,
                    }
                }
            }
            assert_eq!(completed, report.completed());
            assert_eq!(never, report.never_started() + report.refused());
            for captures in captures {
                captures.assert_all_once("the captures of task");
            }
        }
    });
}

#[test]
fn cancelled_ones_give_their_room_back() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(4));
        let pool = &stuck.pool;
        let full = || pool.try_submit(|_| 9).unwrap_err().is_full();
        let handles = pool.submit_all(numbers(4));
        assert!(full());
        let mut more = Vec::new();
        for n in [2, 0] {
            assert_eq!(handles[n].cancel(), CancelOutcome::NeverStarted);
            assert_eq!(
                handles[n].cancel(),
                CancelOutcome::AlreadyDone(TaskStatus::NeverStarted)
            );
            more.push(pool.try_submit(|_| 9).unwrap());
            assert!(full());
        }
        assert!(handles[1].stop_event().set());
        more.extend(pool.submit_all(numbers(1)));
        assert!(full());
        assert_eq!(pool.cancel_pending(), 4);
        more.extend(pool.submit_all(numbers(4)));
        assert!(full());
        // Somebody who waits for room is let in.
        thread::scope(|scope| {
            let submitting = scope.spawn(|| pool.submit_all(numbers(3)));
            for handle in more.split_off(more.len() - 3) {
                assert!(!submitting.is_finished());
                drop(handle.cancel_on_drop());
            }
            more.extend(submitting.join().unwrap());
        });
        assert!(full());
        stuck.release();
        more.iter().for_each(TaskHandle::wait);
        assert_eq!(pool.stats().never_started, 3 + 4 + 3);
    });
}

/// Room that was given once comes back once, however the tasks of a batch leave the queue.
#[test]
fn room_is_neither_lost_nor_made() {
    const ROOM: usize = 5;
    finishes(|| {
        let pool = bounded(1, ROOM);
        let block = || {
            let gate = Gate::new();
            let pass = Arc::clone(&gate);
            let blocker = pool.submit(move |_| pass.pass());
            blocker.wait_started();
            OpenOnDrop(gate)
        };
        let check = || {
            let open = block();
            let handles: Vec<_> = (0..ROOM)
                .map(|_| pool.try_submit(|_| ()).unwrap())
                .collect();
            assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
            drop(open);
            for handle in handles {
                handle.join().unwrap();
            }
        };
        check();
        // Run, one by one and in long runs.
        assert_all(pool.submit_all(numbers(100)), 100);
        lengthen_runs(&pool);
        assert_all(pool.submit_all(numbers(100)), 100);
        check();
        // Cancelled, and then met by the worker.
        let open = block();
        let handles = pool.submit_all(numbers(ROOM));
        for handle in &handles[1..4] {
            handle.cancel();
            handle.cancel();
        }
        drop(open);
        handles.iter().for_each(TaskHandle::wait);
        check();
        // Emptied from outside, with some cancelled before.
        let open = block();
        let handles = pool.submit_all(numbers(ROOM));
        handles[0].cancel();
        assert_eq!(pool.cancel_pending(), ROOM - 1);
        drop(open);
        check();
        // Emptied while a worker has some in its hand.
        let open = block();
        let gate = Gate::new();
        let handles = pool.submit_all((0..ROOM).map(|n| {
            let gate = Arc::clone(&gate);
            move |_: &StopEvent| {
                if n == 1 {
                    gate.pass();
                }
            }
        }));
        drop(open);
        handles[1].wait_started();
        assert_eq!(pool.cancel_pending(), ROOM - 2);
        gate.open();
        check();
        // Submitted over the limit by a task, and run early by it.
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let mut handles = submitter.submit_all(numbers(3 * ROOM));
            handles.split_off(ROOM).into_iter().rev().for_each(|it| {
                it.join().unwrap();
            });
            handles[1].cancel();
            handles
        });
        outer.join().unwrap().iter().for_each(TaskHandle::wait);
        check();
        // Panicked.
        let panics = pool.submit_all((0..MANY).map(|_| |_: &StopEvent| quiet_panic("a task")));
        for handle in panics {
            assert!(handle.join().unwrap_err().is_panicked());
        }
        check();
        // Never submitted.
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            pool.submit_all(numbers(7).inspect(|_| quiet_panic("the iterator")))
        }));
        assert!(unwound.is_err());
        check();
    });
}

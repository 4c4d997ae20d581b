//! Scopes and groups on pools with a bounded queue.

use crate::common::{Gate, Stuck, finishes, until};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use stoppable::{Shutdown, StopReason, TaskStatus, ThreadPool};

fn pool(threads: usize) -> ThreadPool {
    let builder = ThreadPool::builder().threads(threads).queue_capacity(1);
    builder.build().unwrap()
}

#[test]
fn a_scope_outside_waits_for_room() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = pool(threads);
            let count = AtomicUsize::new(0);
            let all = pool.scope(|s| {
                for _ in 0..200 {
                    s.submit(|_| {
                        count.fetch_add(1, Ordering::SeqCst);
                        // From inside, over the limit.
                        s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                    });
                }
            });
            assert!(all.is_ok());
            assert_eq!(count.into_inner(), 400);
        }
    });
}

#[test]
fn a_scope_inside_is_let_over_the_limit() {
    finishes(|| {
        let pool = pool(1);
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            let count = AtomicUsize::new(0);
            let all = submitter.scope(|s| {
                for _ in 0..200 {
                    s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                }
            });
            all.map(|()| count.into_inner())
        });
        assert_eq!(task.join().unwrap(), Ok(200));
    });
}

/// Whatever stops the scope wakes one who waits for room to submit to it.
#[test]
fn a_blocked_submit_is_woken_by_the_scopes_stop() {
    finishes(|| {
        let stops: [fn(&stoppable::StopEvent); 2] = [
            |event| assert!(event.set_with(StopReason::custom("enough"))),
            |event| event.set_after(Duration::from_millis(1)),
        ];
        for stop in stops {
            let stuck = Stuck::with(1, |builder| builder.queue_capacity(1));
            let stopped = stuck.pool.scope(|s| {
                let first = s.submit(|_| ());
                let event = s.stop_event();
                let blocked = AtomicBool::new(true);
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let late = s.submit(|_| ());
                        assert_eq!(late.status(), TaskStatus::NeverStarted);
                        blocked.store(false, Ordering::SeqCst);
                    });
                    // Mostly long enough for it to be asleep.
                    (0..100).for_each(|_| thread::yield_now());
                    assert!(blocked.load(Ordering::SeqCst));
                    stop(&event);
                    until(|| !blocked.load(Ordering::SeqCst));
                });
                // A deadline is told of by the timer, which may not be through.
                until(|| first.is_done());
                assert_eq!(first.status(), TaskStatus::NeverStarted);
            });
            assert!(stopped.is_err());
        }
    });
}

#[test]
fn a_blocked_submit_is_woken_by_an_error_of_a_task() {
    finishes(|| {
        let pool = pool(1);
        let gate = Gate::new();
        let failed: io::Result<()> = pool.try_scope(|s| {
            s.submit(|_| {
                gate.pass();
                Err::<(), _>(io::ErrorKind::NotFound.into())
            });
            thread::scope(|threads| {
                threads.spawn(|| gate.open());
                for _ in 0..1_000 {
                    s.submit(|_| Ok(()));
                }
            });
            Ok(())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_blocked_submit_is_woken_by_a_shutdown() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::with(1, |builder| builder.queue_capacity(1));
            let stopped = stuck.pool.scope(|s| {
                s.submit(|_| ());
                thread::scope(|threads| {
                    let blocked = threads.spawn(|| s.submit(|_| ()).status());
                    (0..100).for_each(|_| thread::yield_now());
                    stuck.pool.begin_shutdown(mode);
                    assert_eq!(blocked.join().unwrap(), TaskStatus::NeverStarted);
                });
                stuck.release();
            });
            assert_eq!(stopped.unwrap_err().reason(), StopReason::Shutdown);
        }
    });
}

/// In a task of another pool: the scope is under its event.
#[test]
fn a_blocked_submit_is_woken_by_the_surrounding_tasks_stop() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(1));
        let (other, full) = (ThreadPool::new(1), Gate::new());
        let task = other.submit({
            let (submitter, full) = (stuck.pool.submitter(), Arc::clone(&full));
            move |_| {
                let all = submitter.scope(|s| {
                    s.submit(|_| ());
                    full.open();
                    s.submit(|_| ()).status()
                });
                all.is_err()
            }
        });
        full.pass();
        task.cancel();
        let outcome = task.outcome();
        assert_eq!(outcome.status(), TaskStatus::Cancelled);
        assert_eq!(outcome.into_value(), Some(true));
    });
}

/// Each task gives its room back once, however it ends.
#[test]
fn room_is_given_back_exactly() {
    finishes(|| {
        let pool = pool(1);
        let submitter = pool.submitter();
        for round in 0..100 {
            let _ = pool.scope(|s| {
                let one = s.submit(|_| ());
                if round % 2 == 0 {
                    one.cancel();
                }
                if round % 3 == 0 {
                    s.cancel();
                }
                s.submit(|_| ());
            });
            let submitter = submitter.clone();
            pool.submit(move |_| {
                let _ = submitter.scope(|s| {
                    let tasks = [(); 5].map(|()| s.submit(|_| ()));
                    tasks[round % 5].cancel();
                    if round % 4 == 0 {
                        s.cancel();
                    }
                });
            })
            .join()
            .unwrap();
        }
        let gate = Gate::new();
        let blocker = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.pass()
        });
        blocker.wait_started();
        let one = pool.try_submit(|_| ()).unwrap();
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
        gate.open();
        one.join().unwrap();
    });
}

#[test]
fn a_group_waits_for_room_and_is_woken_by_its_stop() {
    finishes(|| {
        let stuck = Stuck::with(1, |builder| builder.queue_capacity(1));
        let group = stuck.pool.group();
        let first = group.submit(|_| ());
        thread::scope(|threads| {
            let blocked = threads.spawn(|| group.submit(|_| ()).status());
            (0..100).for_each(|_| thread::yield_now());
            group.cancel();
            assert_eq!(blocked.join().unwrap(), TaskStatus::NeverStarted);
        });
        assert!(first.is_done() && group.wait().is_err());
        stuck.release();
        let group = stuck.pool.group();
        for _ in 0..100 {
            drop(group.submit(|_| ()));
        }
        group.wait().unwrap();
    });
}

//! `unwind_if_stopped` through scopes: a stop, and no panic.

use super::text_of;
use crate::common::{DropCounter, Gate, finishes, poll, quiet_panic, until};
use std::sync::Arc;
use stoppable::{
    Outcome, Shutdown, StopReason, Stopped, TaskStatus, ThreadPool, current, unwind_if_stopped,
};

#[test]
fn in_a_task_it_is_a_stop_of_that_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let stopped = pool.scope(|s| {
            let task = s.submit(|stop| -> u32 {
                stop.set_with(StopReason::custom("enough"));
                unwind_if_stopped();
                unreachable!("it unwound");
            });
            let Outcome::Cancelled {
                partial: None,
                cause,
            } = task.outcome()
            else {
                panic!("it left nothing");
            };
            assert_eq!(cause.reason, StopReason::custom("enough"));
            // The others are not stopped by that.
            assert_eq!(s.submit(|_| 1).join().unwrap(), 1);
        });
        assert_eq!(stopped.unwrap_err().reason(), StopReason::custom("enough"));
        let stopped = pool.try_scope(|s| {
            s.submit(|stop| -> Result<(), Stopped> {
                stop.set();
                unwind_if_stopped();
                Ok(())
            });
            Ok(())
        });
        assert!(stopped.is_err());
    });
}

/// Through the body to the pool: its tasks are stopped and have ended, and the surrounding task is cancelled.
#[test]
fn through_a_body_it_ends_the_surrounding_task() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (submitter, started) = (pool.submitter(), Gate::new());
            let drops = DropCounter::new();
            let task = pool.submit({
                let (started, drops) = (Arc::clone(&started), drops.clone());
                move |_| {
                    let _ = submitter.scope(|s| {
                        let token = drops.token();
                        s.submit(move |_| drop(token));
                        started.open();
                        poll_quietly();
                        unwind_if_stopped();
                        unreachable!("it unwound");
                    });
                    unreachable!("it goes on to the pool");
                }
            });
            started.pass();
            task.cancel();
            let Outcome::<()>::Cancelled { partial: None, .. } = task.outcome() else {
                panic!("it was unwound");
            };
            assert_eq!(drops.count(), 1);
            assert_eq!(pool.shutdown(Shutdown::Drain).panicked(), 0);
        }
    });
}

/// Waits until the task that runs here is to stop, without seeing it.
fn poll_quietly() {
    until(|| current().peek());
}

#[test]
fn from_a_nest_it_takes_one_scope_after_the_other() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, started) = (pool.submitter(), Gate::new());
        let ended = DropCounter::new();
        let task = pool.submit({
            let (started, ended) = (Arc::clone(&started), ended.clone());
            move |_| {
                let all = submitter.scope(|s| {
                    s.submit(|_| {
                        let _middle = ended.token();
                        let all = submitter.scope(|s| {
                            s.submit(|_| {
                                let _inner = ended.token();
                                started.open();
                                poll_quietly();
                                unwind_if_stopped();
                            });
                        });
                        assert!(all.is_err());
                        unwind_if_stopped();
                        unreachable!("this one was to stop too");
                    });
                });
                all.map_err(|stopped| stopped.reason())
            }
        });
        started.pass();
        task.cancel_with(StopReason::custom("from above"));
        let partial = task.outcome().into_value();
        assert_eq!(partial, Some(Err(StopReason::custom("from above"))));
        assert_eq!(ended.count(), 2);
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.cancelled(), report.panicked()), (3, 0));
    });
}

/// A real panic is more than that.
#[test]
fn a_panic_of_a_task_beats_it() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let task = pool.submit(move |stop| {
            let text = text_of(|| {
                submitter.scope(|s| {
                    let started = Gate::new();
                    s.submit({
                        let started = Arc::clone(&started);
                        move |stop| {
                            started.open();
                            poll(stop);
                            quiet_panic("a real one")
                        }
                    });
                    started.pass();
                    stop.set();
                    unwind_if_stopped();
                })
            });
            assert_eq!(text, "a real one");
        });
        assert_eq!(task.outcome().status(), TaskStatus::Cancelled);
    });
}

#[test]
fn in_a_body_outside_of_all_tasks_it_does_nothing() {
    let pool = ThreadPool::new(1);
    let all = pool.scope(|s| {
        s.cancel();
        unwind_if_stopped();
        1
    });
    assert_eq!(all, Ok(1));
}

/// In a race it is a loser.
#[test]
fn in_a_race_it_loses() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let won = pool.race((0..3).map(|n| {
            move |stop: &stoppable::StopEvent| {
                if n < 2 {
                    stop.set();
                    unwind_if_stopped();
                }
                Ok::<_, Stopped>(n)
            }
        }));
        assert_eq!(won, Ok(2));
    });
}

//! Scopes that end at the first error.

use super::text_of;
use crate::common::{DropCounter, Gate, finishes, poll, quiet_panic};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stoppable::{Shutdown, StopReason, Stopped, TaskStatus, ThreadPool};

#[derive(Debug, PartialEq)]
enum Failure {
    Real(u32),
    Echo(StopReason),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Failure::Echo(stopped.reason())
    }
}

#[test]
fn all_that_succeed() {
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let sum = pool.try_scope(|s| {
                let tasks: Vec<_> = (0..100).map(|n| s.submit(move |_| Ok(n))).collect();
                let mut sum = 0;
                for task in tasks {
                    assert!(format!("{task:?} {s:?}").contains("TryScope"));
                    sum += task.join()?;
                }
                Ok::<u32, Failure>(sum)
            });
            assert_eq!(sum, Ok(4_950));
        }
    });
}

/// The others stop, and what they make of that is not what is told of.
#[test]
fn the_real_error_and_no_echo() {
    finishes(|| {
        for threads in [2, 4] {
            let pool = ThreadPool::new(threads);
            let others = threads - 1;
            for _ in 0..100 {
                let started = AtomicUsize::new(0);
                let failed = pool.try_scope(|s| {
                    for _ in 0..others {
                        s.submit(|stop| {
                            started.fetch_add(1, Ordering::SeqCst);
                            stop.wait();
                            Ok(stop.check()?)
                        });
                    }
                    s.submit(|_| {
                        crate::common::until(|| started.load(Ordering::SeqCst) == others);
                        Err::<(), _>(Failure::Real(17))
                    });
                    Ok(())
                });
                assert_eq!(failed, Err(Failure::Real(17)));
            }
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!(report.cancelled(), 100 * others as u64);
        }
    });
}

#[test]
fn the_error_of_a_joined_task_is_not_lost_to_the_bodys_question_mark() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let failed = pool.try_scope(|s| {
            let bad = s.submit(|_| Err::<u32, _>(Failure::Real(3)));
            let status = bad.status();
            assert!(status == TaskStatus::Completed || !bad.is_done());
            let value = bad.join()?;
            Ok(value)
        });
        assert_eq!(failed, Err(Failure::Real(3)));
    });
}

/// The first error counts: in the order in which they came.
#[test]
fn the_bodys_error_and_a_tasks() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let failed: Result<(), _> = pool.try_scope(|s| {
            s.submit(|_| Err::<(), _>(Failure::Real(1))).wait();
            Err(Failure::Real(2))
        });
        assert_eq!(failed, Err(Failure::Real(1)));
        let started = Gate::new();
        let failed: Result<(), _> = pool.try_scope(|s| {
            s.submit(|stop| {
                started.open();
                poll(stop);
                Err::<(), _>(Failure::Real(1))
            });
            started.pass();
            Err(Failure::Real(2))
        });
        assert_eq!(failed, Err(Failure::Real(2)));
    });
}

/// A body that is left early: its tasks are stopped first, and have ended when it returns.
#[test]
fn a_body_left_by_a_question_mark_stops_its_tasks() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (drops, started) = (DropCounter::new(), Gate::new());
            let failed: io::Result<()> = pool.try_scope(|s| {
                for _ in 0..10 {
                    let token = drops.token();
                    s.submit(|stop| {
                        let _token = token;
                        started.open();
                        stop.wait();
                        assert_eq!(stop.reason(), Some(StopReason::SiblingFailed));
                        Ok(())
                    });
                }
                started.pass();
                std::fs::read("/no/such/file")?;
                unreachable!("there is no such file");
            });
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(drops.count(), 10);
        }
    });
}

#[test]
fn a_hundred_thousand_pending_siblings_are_stopped_by_the_first_error() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let gate = Gate::new();
        let (ran, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let error = submitter.try_scope(|s| {
            for _ in 0..2 {
                s.submit(|_| {
                    gate.pass();
                    failed.fetch_add(1, Ordering::SeqCst);
                    Err::<(), _>(Failure::Real(1))
                });
            }
            for _ in 0..100_000 {
                s.submit(|_| {
                    ran.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                });
            }
            gate.open();
            Ok(())
        });
        assert_eq!(error, Err(Failure::Real(1)));
        // The other worker may have been on its way.
        let ran = ran.into_inner();
        assert!(ran < 100_000, "{ran} ran");

        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.submitted(), 100_002);
        assert_eq!(report.never_started(), 100_000 - ran as u64);
    });
}

#[test]
fn panics_beat_errors() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let text = text_of(|| {
            pool.try_scope(|s| -> Result<(), _> {
                s.submit(|_| Err::<(), _>(Failure::Real(1))).wait();
                quiet_panic("the body's")
            })
        });
        assert_eq!(text, "the body's");
        let started = Gate::new();
        let text = text_of(|| {
            pool.try_scope(|s| {
                s.submit(|stop| -> Result<(), Failure> {
                    started.open();
                    poll(stop);
                    quiet_panic("the task's")
                });
                started.pass();
                Err::<(), _>(Failure::Real(2))
            })
        });
        assert_eq!(text, "the task's");
    });
}

#[test]
fn a_stop_is_an_error() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let failed = pool.try_scope(|s| {
            s.submit(|stop| -> Result<(), Failure> {
                // Says nothing of what it saw.
                let _ = stop.set_with(StopReason::custom("alone")) && stop.is_set();
                Ok(())
            });
            Ok(())
        });
        assert_eq!(failed, Err(Failure::Echo(StopReason::custom("alone"))));
        let failed = pool.try_scope(|s| {
            assert!(s.cancel_with(StopReason::custom("all")));
            let task = s.submit(|_| Ok::<(), Failure>(()));
            assert_eq!(task.status(), TaskStatus::NeverStarted);
            Ok(())
        });
        assert_eq!(failed, Err(Failure::Echo(StopReason::custom("all"))));
        // When it is too late, it is not.
        let full = pool.try_scope(|s| {
            s.submit(|_| Ok::<(), Failure>(())).join()?;
            s.cancel();
            Ok(1)
        });
        assert_eq!(full, Ok(1));
    });
}

/// The handles of one that failed, and of one that was stopped for it.
#[test]
fn joins_say_that_the_scope_was_stopped() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let failed = pool.try_scope(|s| {
            let bad = s.submit(|_| {
                gate.pass();
                Err::<(), _>(Failure::Real(5))
            });
            let never = s.submit(|_| Ok(()));
            gate.open();
            assert_eq!(
                never.join().unwrap_err().reason(),
                StopReason::SiblingFailed
            );
            assert_eq!(bad.status(), TaskStatus::Completed);
            assert_eq!(bad.join().unwrap_err().reason(), StopReason::SiblingFailed);
            Ok(())
        });
        assert_eq!(failed, Err(Failure::Real(5)));
    });
}

/// An error of an inner scope goes up through the outer ones.
#[test]
fn errors_go_up_through_nests() {
    finishes(|| {
        for threads in [1, 2, 4] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            for _ in 0..50 {
                let failed: Result<(), Failure> = pool.try_scope(|s| {
                    for n in 0..4 {
                        let submitter = &submitter;
                        s.submit(move |_| {
                            submitter.try_scope(|s| {
                                for k in 0..4 {
                                    s.submit(move |stop| {
                                        if (n, k) == (2, 1) {
                                            return Err(Failure::Real(21));
                                        }
                                        stop.wait_timeout(std::time::Duration::ZERO);
                                        Ok(stop.check()?)
                                    });
                                }
                                Ok(())
                            })
                        });
                    }
                    Ok(())
                });
                assert_eq!(failed, Err(Failure::Real(21)));
            }
        }
    });
}

/// A surrounding task that is stopped: the error is what `E` makes of that, and the task has seen it.
#[test]
fn inside_a_task_that_is_stopped() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, started) = (pool.submitter(), Gate::new());
        let task = pool.submit({
            let started = Arc::clone(&started);
            move |_| {
                submitter.try_scope(|s| {
                    s.submit(|stop| -> Result<(), Failure> {
                        started.open();
                        stop.wait();
                        Ok(())
                    });
                    Ok(())
                })
            }
        });
        started.pass();
        task.cancel();
        let outcome = task.outcome();
        assert_eq!(outcome.status(), TaskStatus::Cancelled);
        let echo = Err(Failure::Echo(StopReason::Requested));
        assert_eq!(outcome.into_value(), Some(echo));
    });
}

//! Races: the first success counts.

use super::text_of;
use crate::common::{DropCounter, Gate, finishes, poll, quiet_panic};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use stoppable::{Outcome, Shutdown, StopEvent, StopReason, Stopped, TaskStatus, ThreadPool};

type Closure<'a, T, E> = Box<dyn FnOnce(&StopEvent) -> Result<T, E> + Send + 'a>;

#[test]
fn the_first_success_wins_and_the_others_are_stopped() {
    finishes(|| {
        for threads in [3, 4] {
            let pool = ThreadPool::new(threads);
            let running = AtomicUsize::new(0);
            let (running, text) = (&running, String::from("borrowed"));
            let won = pool.race((0..3).map(|n| {
                let text = &text;
                move |stop: &StopEvent| {
                    running.fetch_add(1, Ordering::SeqCst);
                    crate::common::until(|| running.load(Ordering::SeqCst) == 3);
                    if n != 1 {
                        stop.wait();
                        assert_eq!(stop.reason(), Some(StopReason::SiblingFailed));
                        stop.check()?;
                    }
                    Ok::<_, Stopped>((n, text.len()))
                }
            }));
            assert_eq!(won, Ok((1, 8)));
            assert_eq!(pool.shutdown(Shutdown::Drain).cancelled(), 2);
        }
    });
}

#[test]
fn those_that_are_pending_never_start() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (gate, ran) = (Gate::new(), AtomicUsize::new(0));
        let (first, rest) = (&gate, &ran);
        let mut closures: Vec<Closure<'_, _, Stopped>> = vec![Box::new(|_| {
            first.pass();
            Ok(0)
        })];
        for _ in 0..100 {
            closures.push(Box::new(|_| Ok(rest.fetch_add(1, Ordering::SeqCst))));
        }
        let opens = iter::once_with(|| {
            gate.open();
            Box::new(|_: &StopEvent| Ok(7_usize)) as Closure<'_, _, _>
        });
        assert_eq!(pool.race(closures.into_iter().chain(opens)), Ok(0));
        assert_eq!(ran.into_inner(), 0);
    });
}

#[test]
fn if_none_succeeds_the_first_error() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        // They end in this order, on one worker.
        let lost = pool.race((0..10).map(|n| move |_: &StopEvent| Err::<(), _>(Echo::Real(n))));
        assert_eq!(lost, Err(Echo::Real(0)));
        // One of many succeeds.
        let won = pool.race((0..10).map(|n| {
            move |_: &StopEvent| {
                if n == 8 { Ok(n) } else { Err(Echo::Real(n)) }
            }
        }));
        assert_eq!(won, Ok(8));
    });
}

#[derive(Debug, PartialEq)]
enum Echo {
    Real(u32),
    Stopped(StopReason),
}

impl From<Stopped> for Echo {
    fn from(stopped: Stopped) -> Self {
        Echo::Stopped(stopped.reason())
    }
}

#[test]
fn without_runners_it_is_an_error() {
    let pool = ThreadPool::new(1);
    let closures: [Closure<'_, (), Stopped>; 0] = [];
    let line = line!() + 1;
    let stopped = pool.race(closures).unwrap_err();
    assert!(stopped.reason().to_string().contains("without tasks"));
    assert_eq!(stopped.cause().location.line(), line);
}

#[test]
fn closures_without_end_are_taken_until_one_succeeds() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let won = pool.race((0..).map(|n: u32| {
                move |_: &StopEvent| {
                    if n == 50 { Ok(n) } else { Err(Echo::Real(n)) }
                }
            }));
            assert_eq!(won, Ok(50));
        }
    });
}

/// The only worker is the one that takes them.
#[test]
fn closures_without_end_inside_a_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            let mut taken = 0;
            // With an end, so that a failure does not eat all memory.
            let won = submitter.race(
                (0..200_000)
                    .inspect(|_| taken += 1)
                    .map(|n: u32| move |_: &StopEvent| Ok::<_, Stopped>(n)),
            );
            assert!(won.is_ok());
            taken
        });
        assert!(task.join().unwrap() < 200_000);
    });
}

#[test]
fn stopped_from_outside() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, started) = (pool.submitter(), Gate::new());
        let task = pool.submit({
            let started = Arc::clone(&started);
            move |_| {
                let started = &started;
                submitter.race((0..5).map(|_| {
                    move |stop: &StopEvent| {
                        started.open();
                        stop.wait();
                        Err::<(), _>(Echo::Real(1))
                    }
                }))
            }
        });
        started.pass();
        task.cancel();
        let Outcome::Cancelled { partial, .. } = task.outcome() else {
            panic!("it was told");
        };
        assert_eq!(partial, Some(Err(Echo::Stopped(StopReason::Requested))));
    });
}

/// Some had failed by then, but not all of them: there are more.
#[test]
fn closures_without_end_are_stopped_from_outside() {
    finishes(|| {
        for _ in 0..200 {
            let (pool, gate) = (ThreadPool::new(1), Gate::new());
            let lost = thread::scope(|threads| {
                threads.spawn(|| {
                    gate.pass();
                    pool.shutdown(Shutdown::StopAll)
                });
                let closures = (0..).map(|n: u32| {
                    if n == 10 {
                        gate.open();
                    }
                    move |_: &StopEvent| Err::<(), _>(Echo::Real(n))
                });
                pool.race(closures)
            });
            assert_eq!(lost, Err(Echo::Stopped(StopReason::Shutdown)));
        }
    });
}

/// A success counts although the race was stopped meanwhile.
#[test]
fn a_success_of_one_that_did_not_hear_of_the_stop() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, started, gate) = (pool.submitter(), Gate::new(), Gate::new());
        let task = pool.submit({
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            move |_| {
                let (started, gate) = (&started, &gate);
                submitter.race([move |_: &StopEvent| {
                    started.open();
                    gate.pass();
                    Ok::<_, Stopped>(7)
                }])
            }
        });
        started.pass();
        task.cancel();
        gate.open();
        let outcome = task.outcome();
        assert_eq!(outcome.into_value(), Some(Ok(7)));
    });
}

#[test]
fn a_panic_is_re_raised_whether_one_has_won_or_not() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let text = text_of(|| {
            pool.race([|_: &StopEvent| -> Result<(), Stopped> { quiet_panic("alone") }])
        });
        assert_eq!(text, "alone");
        let (started, values) = (Gate::new(), DropCounter::new());
        let text = text_of(|| {
            let closures: [Closure<'_, _, Stopped>; 2] = [
                Box::new(|stop| {
                    started.open();
                    poll(stop);
                    quiet_panic("a bad loser")
                }),
                Box::new(|_| {
                    started.pass();
                    Ok(values.token())
                }),
            ];
            pool.race(closures)
        });
        assert_eq!(text, "a bad loser");
        assert_eq!(values.count(), 1);
        // The iterator is the body.
        let text = text_of(|| {
            pool.race((0..10).map(|n| {
                if n == 5 {
                    quiet_panic("in the iterator");
                }
                move |stop: &StopEvent| -> Result<(), Stopped> {
                    stop.wait();
                    stop.check()
                }
            }))
        });
        assert_eq!(text, "in the iterator");
    });
}

#[test]
fn on_the_only_worker_and_nested() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            let inner = &submitter;
            submitter.race((0..5).map(|n: u32| {
                move |_: &StopEvent| {
                    inner.race((0..5).map(|k: u32| {
                        move |_: &StopEvent| {
                            if n == 3 && k == 2 {
                                Ok((n, k))
                            } else {
                                Err(Echo::Real(n))
                            }
                        }
                    }))
                }
            }))
        });
        let handle = task.canceller();
        assert_eq!(task.join().unwrap(), Ok((3, 2)));
        assert_eq!(handle.status(), TaskStatus::Completed);
    });
}

//! Joins that could never end, because the scope of the joined task waits for the one that joins.

use crate::common::{Gate, OpenOnDrop, finishes};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use stoppable::{Shutdown, Submitter, TaskError, TaskHandle, TaskId, ThreadPool};

#[track_caller]
fn assert_circle(error: &TaskError) {
    assert!(error.is_would_deadlock(), "{error}");
}

#[test]
fn a_task_of_a_scope_cannot_join_the_surrounding_task() {
    for threads in [1, 2, 3] {
        finishes(move || {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let (tell, told) = mpsc::channel::<TaskHandle<Result<bool, stoppable::Stopped>>>();
            let told = Mutex::new(told);
            let outer = pool.submit(move |_| {
                submitter.scope(|s| {
                    let inner =
                        s.submit(move |_| told.lock().unwrap().recv().unwrap().join().err());
                    inner.join().unwrap().unwrap().is_would_deadlock()
                })
            });
            let canceller = outer.canceller();
            tell.send(outer).unwrap();
            drop(tell);
            let report = pool.shutdown(Shutdown::Drain);
            assert!(canceller.is_done());
            assert_eq!((report.completed(), report.submitted()), (2, 2));
        });
    }
}

/// The surrounding task sleeps in the scope's end, its task runs on another worker.
#[test]
fn nor_from_another_worker_while_the_scope_is_ending() {
    finishes(|| {
        for _ in 0..200 {
            let pool = ThreadPool::new(2);
            let submitter = pool.submitter();
            let (tell, told) = mpsc::channel::<TaskHandle<()>>();
            let told = Mutex::new(told);
            let (say, said) = mpsc::channel();
            let started = Gate::new();
            let outer = pool.submit(move |_| {
                let all = submitter.scope(|s| {
                    s.submit(|_| {
                        started.open();
                        say.send(told.lock().unwrap().recv().unwrap().join().unwrap_err())
                            .unwrap();
                    });
                    // On the other worker, as this one is here.
                    started.pass();
                });
                all.unwrap();
            });
            tell.send(outer).unwrap();
            assert_circle(&said.recv().unwrap());
            assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 2);
        }
    });
}

/// The member joins a third task, and that one joins the surrounding task.
#[test]
fn nor_over_a_third_task() {
    finishes(|| {
        for _ in 0..200 {
            let pool = ThreadPool::new(3);
            let submitter = pool.submitter();
            let (tell, told) = mpsc::channel::<TaskHandle<()>>();
            let told = Mutex::new(told);
            let (say, said) = mpsc::channel();
            let say_third = say.clone();
            let third = pool.submit(move |_| {
                if let Err(error) = told.lock().unwrap().recv().unwrap().join() {
                    say_third.send(error).unwrap();
                }
            });
            third.wait_started();
            let outer = pool.submit(move |_| {
                let all = submitter.scope(|s| {
                    s.submit(|_| {
                        if let Err(error) = third.join() {
                            say.send(error).unwrap();
                        }
                    });
                });
                all.unwrap();
            });
            // Or the third task would run it itself.
            outer.wait_started();
            tell.send(outer).unwrap();
            assert_circle(&said.recv().unwrap());
            assert!(said.recv().is_err(), "one of them is refused");
            assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 3);
        }
    });
}

#[test]
fn nor_from_a_nested_scope() {
    finishes(|| {
        for threads in [1, 2, 4] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let (tell, told) = mpsc::channel::<TaskHandle<()>>();
            let told = Mutex::new(told);
            let (say, said) = mpsc::channel();
            let outer = pool.submit(move |_| {
                let all = submitter.scope(|s| {
                    s.submit(|_| {
                        let all = submitter.scope(|s| {
                            s.submit(|_| {
                                let error =
                                    told.lock().unwrap().recv().unwrap().join().unwrap_err();
                                say.send(error).unwrap();
                            });
                        });
                        all.unwrap();
                    });
                });
                all.unwrap();
            });
            tell.send(outer).unwrap();
            assert_circle(&said.recv().unwrap());
            assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 3);
        }
    });
}

/// The outer task joins one that it runs inside itself, and that one waits in a scope's end for a task
/// on another worker, which joins the outer one.
#[test]
fn nor_when_a_joined_task_has_opened_the_scope() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let (tell, told) = mpsc::channel::<TaskHandle<()>>();
        let told = Mutex::new(told);
        let (say, said) = mpsc::channel();
        let started = Gate::new();
        let outer = pool.submit(move |_| {
            let inner_submitter = submitter.clone();
            let blocker = Arc::new(Barrier::new(2));
            // Keeps the other worker until the outer task runs the middle one itself.
            let other = submitter.submit({
                let blocker = Arc::clone(&blocker);
                move |_| {
                    blocker.wait();
                }
            });
            let middle = submitter.submit(move |_| {
                blocker.wait();
                let all = inner_submitter.scope(|s| {
                    s.submit(|_| {
                        started.open();
                        say.send(told.lock().unwrap().recv().unwrap().join().err())
                            .unwrap();
                    });
                    started.pass();
                });
                all.unwrap();
            });
            middle.join().unwrap();
            other.join().unwrap();
        });
        tell.send(outer).unwrap();
        assert_circle(&said.recv().unwrap().unwrap());
        assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 4);
    });
}

/// Waiting for a sibling that is not stuck is no circle.
#[test]
fn siblings_may_join_each_other() {
    finishes(|| {
        for threads in [1, 2, 4] {
            let pool = ThreadPool::new(threads);
            let sum = pool.scope(|s| {
                let mut last = s.submit(|_| 0_u64);
                for n in 1..200 {
                    last = s.submit(move |_| last.join().unwrap() + n);
                }
                last.join().unwrap()
            });
            assert_eq!(sum.unwrap(), 19_900);
            let submitter = pool.submitter();
            let inside = pool.submit(move |_| {
                submitter.scope(|s| {
                    let mut last = s.submit(|_| 0_u64);
                    for n in 1..200 {
                        last = s.submit(move |_| last.join().unwrap() + n);
                    }
                    last.join().unwrap()
                })
            });
            assert_eq!(inside.join().unwrap().unwrap(), 19_900);
        }
    });
}

/// A member that joins a task outside of the scope which is not stuck.
#[test]
fn a_task_of_a_scope_may_join_others() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let outer = pool.submit(move |_| {
                let other = submitter.submit(|_| 7);
                let all = submitter.scope(|s| {
                    let joins = s.submit(move |_| other.join().unwrap());
                    joins.join().unwrap()
                });
                all.unwrap()
            });
            assert_eq!(outer.join().unwrap(), 7);
        }
    });
}

/// The surrounding task is in the middle of its scope, and joins nobody: it has to wait for its member, which joins
/// a third task, which joins it. Whoever of them closes the circle, the error names all three, in order.
#[test]
fn the_error_names_all_on_the_way_round() {
    finishes(|| {
        // Idle tasks keep workers, so that the others are in other lanes.
        for idle in [0, 1, 2] {
            let pool = ThreadPool::new(3 + idle);
            let end = Gate::new();
            let _end = OpenOnDrop(Arc::clone(&end));
            for _ in 0..idle {
                let end = Arc::clone(&end);
                pool.submit(move |_| end.pass()).wait_started();
            }
            let (tell, told) = mpsc::channel::<TaskHandle<()>>();
            let told = Mutex::new(told);
            let (say, said) = mpsc::channel();
            let say_member = say.clone();
            let third = pool.submit(move |_| {
                if let Err(error) = told.lock().unwrap().recv().unwrap().join() {
                    say.send(error).unwrap();
                }
            });
            third.wait_started();
            let mut ids = vec![third.id()];
            let (tell_id, told_id) = mpsc::channel();
            let (submitter, pass) = (pool.submitter(), Arc::clone(&end));
            let outer = pool.submit(move |_| {
                let all = submitter.scope(|s| {
                    let member = s.submit(|_| {
                        if let Err(error) = third.join() {
                            say_member.send(error).unwrap();
                        }
                    });
                    // It is here that it waits, in sight of nobody.
                    tell_id.send(member.id()).unwrap();
                    pass.pass();
                });
                all.unwrap();
            });
            ids.extend([outer.id(), told_id.recv().unwrap()]);
            tell.send(outer).unwrap();
            let error = said.recv().unwrap();
            assert_circle(&error);
            let text = error.to_string();
            let named = |ids: &[TaskId]| {
                let ids: Vec<_> = ids.iter().map(TaskId::to_string).collect();
                text.ends_with(&format!("({})", ids.join(" → ")))
            };
            let mut round = (0..3).map(|_| {
                ids.rotate_left(1);
                named(&ids)
            });
            assert!(round.any(|named| named), "{text}, not {ids:?}");
            end.open();
            assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 3 + idle as u64);
        }
    });
}

/// Who ends is found from below, in whatever lanes they are: the innermost member goes on, so the one around it
/// ends, and so on outwards.
#[test]
fn a_nest_of_scopes_that_goes_on_may_be_joined() {
    fn nest(submitter: &Submitter, depth: usize, inside: &Gate, end: &Gate) {
        if depth == 0 {
            inside.open();
            return end.pass();
        }
        let all = submitter.scope(|s| {
            s.submit(|_| nest(submitter, depth - 1, inside, end));
            // Each on a worker of its own.
            end.pass();
        });
        all.unwrap();
    }
    const DEPTH: usize = 3;

    finishes(|| {
        for _ in 0..20 {
            let pool = ThreadPool::new(DEPTH + 2);
            let (inside, end) = (Gate::new(), Gate::new());
            let _end = OpenOnDrop(Arc::clone(&end));
            let outer = pool.submit({
                let (submitter, inside, end) =
                    (pool.submitter(), Arc::clone(&inside), Arc::clone(&end));
                move |_| nest(&submitter, DEPTH, &inside, &end)
            });
            inside.pass();
            let joins = pool.submit(|_| outer.join());
            joins.wait_started();
            // Long enough for it to have asked whether that could ever end.
            (0..100).for_each(|_| thread::yield_now());
            end.open();
            joins.join().unwrap().unwrap();
        }
    });
}

//! Scopes in tasks of scopes, on pools of one thread and of more.

use crate::common::finishes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use stoppable::{Scope, Shutdown, Stopped, Submitter, ThreadPool};

/// A scope in a task of a scope in a task, and so on.
fn deep(pool: &Submitter, depth: usize) -> Result<usize, Stopped> {
    if depth == 0 {
        return Ok(0);
    }
    pool.scope(|s| s.submit(|_| deep(pool, depth - 1)).join().unwrap())?
        .map(|below| below + 1)
}

/// The same, but it is the scope's end that waits.
fn deep_at_the_end(pool: &Submitter, depth: usize, count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
    if depth > 0 {
        let all = pool.scope(|s| {
            s.submit(|_| deep_at_the_end(pool, depth - 1, count));
        });
        all.unwrap();
    }
}

fn wide(pool: &Submitter, width: usize, depth: usize, count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
    if depth > 0 {
        let all = pool.scope(|s| {
            for _ in 0..width {
                s.submit(|_| wide(pool, width, depth - 1, count));
            }
        });
        all.unwrap();
    }
}

#[test]
fn deep_nests_end_on_any_number_of_threads() {
    for threads in [1, 2, 16] {
        finishes(move || {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            assert_eq!(deep(&submitter, 500), Ok(500));
            let count = AtomicUsize::new(0);
            deep_at_the_end(&submitter, 500, &count);
            assert_eq!(count.into_inner(), 501);
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!((report.completed(), report.submitted()), (1_000, 1_000));
        });
    }
}

/// With hardly any stack: spare threads take over.
#[test]
fn a_deep_nest_does_not_overflow_a_small_stack() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::builder().threads(threads);
            let pool = pool.stack_size(256 * 1024).build().unwrap();
            let count = AtomicUsize::new(0);
            deep_at_the_end(&pool.submitter(), 300, &count);
            assert_eq!(count.into_inner(), 301);
        }
    });
}

#[test]
fn wide_nests_end_on_any_number_of_threads() {
    for threads in [1, 2, 16] {
        finishes(move || {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            for (width, depth, tasks) in [(1_000, 1, 1_001), (30, 2, 931), (3, 6, 1_093)] {
                let count = AtomicUsize::new(0);
                wide(&submitter, width, depth, &count);
                assert_eq!(count.into_inner(), tasks);
                let again = submitter.clone();
                let inside = pool.submit(move |_| {
                    let count = AtomicUsize::new(0);
                    wide(&again, width, depth, &count);
                    count.into_inner()
                });
                assert_eq!(inside.join().unwrap(), tasks);
            }
        });
    }
}

/// Within one body.
#[test]
fn a_body_opens_scopes() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let sum = pool.scope(|outer| {
                let one = outer.submit(|_| 1);
                let two = pool.scope(|inner| {
                    let two = inner.submit(|_| 2);
                    outer.submit(|_| ());
                    two.join().unwrap() + one.join().unwrap()
                });
                two.unwrap() + outer.submit(|_| 4).join().unwrap()
            });
            assert_eq!(sum, Ok(7));
        }
    });
}

/// Tasks of an inner scope submit to the outer one, and those are not waited for by the inner one's end.
#[test]
fn a_task_of_an_inner_scope_submits_to_the_outer_one() {
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            let (inner_done, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let all = pool.scope(|outer| {
                for _ in 0..20 {
                    outer.submit(|_| {
                        let all = submitter.scope(|inner| {
                            for _ in 0..5 {
                                inner.submit(|_| {
                                    outer.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                                    inner_done.fetch_add(1, Ordering::SeqCst);
                                });
                            }
                        });
                        all.unwrap();
                    });
                }
            });
            all.unwrap();
            assert_eq!((inner_done.into_inner(), count.into_inner()), (100, 100));
        }
    });
}

/// The only worker ends an inner scope: the outer's tasks, which came before, stay where they are.
#[test]
fn the_end_of_a_scope_runs_its_own_tasks_only() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let task = pool.submit(move |_| {
            let others = [(); 5].map(|()| submitter.submit(|_| ()));
            let all = submitter.scope(|outer| {
                let outers = [(); 5].map(|()| outer.submit(|_| ()));
                let all = submitter.scope(|inner| {
                    for _ in 0..5 {
                        inner.submit(|_| ());
                    }
                });
                all.unwrap();
                assert!(!outers.iter().any(stoppable::ScopedHandle::is_done));
            });
            all.unwrap();
            assert!(others.iter().all(stoppable::TaskHandle::is_pending));
        });
        task.join().unwrap();
        assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 16);
    });
}

/// A scope that ends while its tasks start and submit more.
#[test]
fn it_ends_when_its_last_task_has_whatever_they_submit() {
    fn task<'scope>(s: &'scope Scope<'scope, '_>, left: usize, count: &'scope AtomicUsize) {
        count.fetch_add(1, Ordering::SeqCst);
        if left > 0 {
            s.submit(move |_| task(s, left - 1, count));
        }
    }
    for threads in [1, 2] {
        finishes(move || {
            let pool = ThreadPool::new(threads);
            let submitter = pool.submitter();
            for before in 0..=15 {
                for after in 0..=15 {
                    let round = move |pool: &Submitter| {
                        let count = AtomicUsize::new(0);
                        let all = pool.scope(|s| {
                            for _ in 0..before {
                                s.submit(|_| task(s, after, &count));
                            }
                            if before % 3 == 2 {
                                thread::yield_now();
                            }
                        });
                        all.unwrap();
                        assert_eq!(count.into_inner(), before * (after + 1));
                    };
                    round(&submitter);
                    let inner = submitter.clone();
                    pool.submit(move |_| round(&inner)).join().unwrap();
                }
            }
        });
    }
}

/// A scope on another pool, inside a task.
#[test]
fn scopes_on_two_pools_nest() {
    finishes(|| {
        let (pool, other) = (ThreadPool::new(1), ThreadPool::new(1));
        let text = String::from("borrowed");
        let size = pool.scope(|s| {
            let size = s.submit(|_| other.scope(|s| s.submit(|_| text.len()).join().unwrap()));
            size.join().unwrap().unwrap()
        });
        assert_eq!(size, Ok(8));
        let all = pool.scope(|s| {
            for _ in 0..50 {
                s.submit(|_| {
                    let all = other.scope(|inner| {
                        for _ in 0..3 {
                            inner.submit(|_| drop(s.submit(|_| ())));
                        }
                    });
                    all.unwrap();
                });
            }
        });
        assert!(all.is_ok());
    });
}

/// While scopes wait inside, no more tasks run at once than there are threads.
#[test]
fn nests_do_not_run_more_at_once_than_there_are_threads() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let leaf = || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        };
        let leaf = &leaf;
        let all = pool.scope(|s| {
            for _ in 0..50 {
                s.submit(|_| {
                    let all = submitter.scope(|s| {
                        for _ in 0..20 {
                            s.submit(|_| leaf());
                        }
                    });
                    all.unwrap();
                });
            }
        });
        assert!(all.is_ok());
        assert!(most.into_inner() <= 2);
    });
}

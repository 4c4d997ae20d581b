//! How tasks come in, and that they run: on so many threads, no more and no fewer.

use crate::common::{DropCounter, Gate, Stuck, finishes, until};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use stoppable::{Outcome, Shutdown, StopReason, SubmitError, TaskStatus, ThreadPool};

#[test]
fn a_refused_handle_never_starts() {
    let pool = ThreadPool::new(1);
    pool.shutdown(Shutdown::Drain);
    let drops = DropCounter::new();
    let token = drops.token();
    let line = line!() + 1;
    let handle = pool.submit(move |_| drop(token));
    assert_eq!(drops.count(), 1, "its closure was dropped at once");
    assert!(handle.is_done() && !handle.is_pending() && !handle.is_running());
    assert_eq!(handle.status(), TaskStatus::NeverStarted);
    assert!(handle.stop_event().is_set());
    assert_eq!(handle.stop_event().reason(), Some(StopReason::Shutdown));
    handle.wait();
    handle.wait_started();
    let Outcome::NeverStarted(cause) = handle.outcome() else {
        panic!("it was refused");
    };
    assert_eq!(cause.reason, StopReason::Shutdown);
    assert_eq!(
        (cause.location.file(), cause.location.line()),
        (file!(), line)
    );
    let named = pool.task().name("late").submit(|_| ());
    let error = named.join().unwrap_err();
    assert!(error.is_never_started());
    assert_eq!(error.name(), Some("late"));
    assert!(
        error
            .to_string()
            .starts_with("task #1 \"late\" never started: shut down at")
    );
    assert_eq!((pool.stats().submitted, pool.stats().refused), (0, 2));
}

#[test]
fn a_refused_closure_comes_back_and_has_not_run() {
    let pool = ThreadPool::new(1);
    let submitter = pool.submitter();
    pool.shutdown(Shutdown::StopAll);
    let runs = Arc::new(AtomicUsize::new(0));
    let closure = || {
        let runs = Arc::clone(&runs);
        move |_: &stoppable::StopEvent| runs.fetch_add(1, SeqCst)
    };
    fn check<F>(error: SubmitError<F>) -> F {
        assert!(error.is_shut_down() && !error.is_full());
        assert_eq!(error.to_string(), "the pool has been shut down");
        assert_eq!(format!("{error:?}"), "ShutDown(..)");
        error.into_inner()
    }
    let mut back = vec![
        check(pool.try_submit(closure()).map(|_| ()).unwrap_err()),
        check(pool.execute(closure()).unwrap_err()),
        check(pool.task().try_submit(closure()).map(|_| ()).unwrap_err()),
        check(pool.task().execute(closure()).unwrap_err()),
        check(submitter.try_submit(closure()).map(|_| ()).unwrap_err()),
        check(submitter.execute(closure()).unwrap_err()),
    ];
    assert_eq!(runs.load(SeqCst), 0);
    assert_eq!(Arc::strong_count(&runs), 7, "all six are here");
    assert_eq!(pool.stats().refused, 6);
    // Any of them can still be run.
    let other = ThreadPool::new(1);
    other.submit(back.pop().unwrap()).join().unwrap();
    assert_eq!(runs.load(SeqCst), 1);
}

#[test]
fn execute_runs_and_drops_the_result_on_the_worker() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        let token = drops.token();
        let first = pool.execute(move |_| token).unwrap();
        let second = pool.submitter().execute(|_| ()).unwrap();
        let named = pool
            .task()
            .name("named")
            .execute(stoppable::StopEvent::wait)
            .unwrap();
        assert_eq!(
            [first, second, named].map(stoppable::TaskId::as_u64),
            [0, 1, 2]
        );
        until(|| drops.count() == 1);
        until(|| pool.stats().running == 1 && pool.stats().pending == 0);
        let report = pool.shutdown(Shutdown::StopAll);
        assert_eq!(report.status_of(first), Some(TaskStatus::Completed));
        assert_eq!(report.status_of(named), Some(TaskStatus::Cancelled));
        assert_eq!(report.details().next().unwrap().name(), Some("named"));
    });
}

#[test]
fn tasks_have_ids_and_names() {
    let pool = ThreadPool::new(2);
    let plain = pool.submit(|_| ());
    let named = pool.task().name(String::from("owned")).submit(|_| ());
    let tried = pool.task().name("tried").try_submit(|_| ()).unwrap();
    let through = pool.submitter().task().name("through").submit(|_| ());
    assert_eq!((plain.id().as_u64(), plain.name()), (0, None));
    assert_eq!((named.id().as_u64(), named.name()), (1, Some("owned")));
    assert_eq!((tried.id().as_u64(), tried.name()), (2, Some("tried")));
    assert_eq!(
        (through.id().as_u64(), through.name()),
        (3, Some("through"))
    );
    assert_eq!(named.canceller().name(), Some("owned"));
    assert_eq!(plain.id().to_string(), "#0");
}

#[test]
fn ids_rise_in_each_thread_and_are_never_reused() {
    let pool = ThreadPool::new(2);
    let mut all: Vec<u64> = thread::scope(|scope| {
        let submitters: Vec<_> = (0..3)
            .map(|n| {
                let pool = &pool;
                scope.spawn(move || {
                    let ids: Vec<_> = (0..1_000)
                        .map(|k| {
                            let handle = pool.submit(|_| ());
                            if k % 3 == n {
                                handle.cancel();
                            }
                            handle.id().as_u64()
                        })
                        .collect();
                    assert!(ids.is_sorted());
                    ids
                })
            })
            .collect();
        let ids = submitters.into_iter().flat_map(|s| s.join().unwrap());
        ids.collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..3_000).collect::<Vec<_>>());
}

#[test]
fn a_submitter_does_not_keep_the_pool_alive() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let clone = submitter.clone();
        assert_eq!(submitter.submit(|_| 1).join().unwrap(), 1);
        assert_eq!(clone.try_submit(|_| 2).unwrap().join().unwrap(), 2);
        drop(pool);
        assert!(
            submitter
                .submit(|_| ())
                .join()
                .unwrap_err()
                .is_never_started()
        );
        assert!(clone.try_submit(|_| ()).unwrap_err().is_shut_down());
        assert!(
            thread::spawn(move || clone.execute(|_| ()).is_err())
                .join()
                .unwrap()
        );
        // Nor does what a submitter captures keep itself alive in a circle.
        let pool = ThreadPool::new(1);
        let canary = Arc::new(());
        let gate = Gate::new();
        let held = (pool.submitter(), Arc::clone(&canary), Arc::clone(&gate));
        drop(pool.submit(move |_| {
            let (_submitter, _canary, gate) = held;
            gate.pass();
        }));
        let held = (pool.submitter(), Arc::clone(&canary));
        drop(pool.submit(move |_| drop(held)));
        gate.open();
        drop(pool);
        assert_eq!(Arc::strong_count(&canary), 1);
    });
}

/// What was written before the submit is seen by the task, and what the task wrote by its joiner,
/// without any ordering of the data's own.
#[test]
fn submit_happens_before_the_run_and_the_run_before_the_join() {
    const ROUNDS: usize = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    let pool = ThreadPool::new(2);
    let cells: Arc<Vec<AtomicUsize>> = Arc::new((0..2).map(|_| AtomicUsize::new(0)).collect());
    for round in 1..=ROUNDS {
        cells[0].store(round, Relaxed);
        let shared = Arc::clone(&cells);
        let handle = pool.submit(move |_| {
            let seen = shared[0].load(Relaxed);
            shared[1].store(round, Relaxed);
            seen
        });
        let seen = match round % 4 {
            0 => handle.join().unwrap(),
            1 => {
                until(|| handle.is_done());
                assert_eq!(cells[1].load(Relaxed), round);
                handle.try_join().unwrap().unwrap()
            }
            2 => {
                handle.wait();
                assert_eq!(cells[1].load(Relaxed), round);
                handle.outcome().completed().unwrap()
            }
            _ => {
                assert!(handle.wait_timeout(std::time::Duration::MAX));
                handle.outcome().into_value().unwrap()
            }
        };
        assert_eq!(seen, round);
        assert_eq!(cells[1].load(Relaxed), round);
    }
}

#[test]
fn never_more_than_so_many_threads_run() {
    finishes(|| {
        for threads in [1, 2, 5] {
            let pool = ThreadPool::new(threads);
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            for _ in 0..2_000 {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                drop(pool.submit(move |_| {
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, SeqCst);
                }));
            }
            pool.shutdown(Shutdown::Drain);
            assert!((1..=threads).contains(&most.load(SeqCst)));
        }
    });
}

/// Under load all of them run: a barrier that needs every one is passed again and again, however
/// the tasks came in.
#[test]
fn under_load_exactly_so_many_threads_run() {
    finishes(|| {
        for threads in [2, 4, 7] {
            let pool = ThreadPool::new(threads);
            let barrier = Arc::new(Barrier::new(threads));
            let rounds = if cfg!(debug_assertions) { 100 } else { 1_000 };
            for round in 0..rounds {
                let handles: Vec<_> = (0..threads)
                    .map(|n| {
                        // Some come one by one, some to workers that have gone to sleep.
                        (0..(round * n) % 50).for_each(|_| thread::yield_now());
                        let barrier = Arc::clone(&barrier);
                        pool.submit(move |_| barrier.wait().is_leader())
                    })
                    .collect();
                let leaders = handles.into_iter().map(|h| h.join().unwrap());
                assert_eq!(leaders.filter(|leads| *leads).count(), 1);
            }
        }
    });
}

/// All tasks are there before any worker looks, and one wake-up must lead to the next.
#[test]
fn a_burst_wakes_as_many_workers_as_it_needs() {
    finishes(|| {
        const THREADS: usize = 4;
        for round in 0..200 {
            let pool = ThreadPool::new(THREADS);
            if round % 2 == 0 {
                // Let them go to sleep: after a task each has looked for a while in vain.
                pool.submit(|_| ()).join().unwrap();
                (0..50).for_each(|_| thread::yield_now());
            }
            let barrier = Arc::new(Barrier::new(THREADS));
            let submitter = pool.submitter();
            // By one of its own workers, which then takes part.
            let inner = Arc::clone(&barrier);
            drop(pool.submit(move |_| {
                for _ in 1..THREADS {
                    let barrier = Arc::clone(&inner);
                    submitter.execute(move |_| barrier.wait()).unwrap();
                }
                inner.wait();
            }));
            let completed = pool.shutdown(Shutdown::Drain).completed();
            assert_eq!(completed, (THREADS + 1 - round % 2) as u64);
        }
    });
}

/// A task that comes in while the worker goes to sleep.
#[test]
fn a_submit_that_races_a_worker_going_to_sleep_is_not_stranded() {
    finishes(|| {
        let rounds: u32 = if cfg!(debug_assertions) {
            20_000
        } else {
            300_000
        };
        let pool = ThreadPool::new(1);
        for round in 0..rounds {
            let handle = pool.submit(|_| ());
            // A worker looks for some microseconds before it sleeps: come at every moment of that.
            handle.wait();
            for _ in 0..round % 2_000 {
                std::hint::spin_loop();
            }
        }
        assert_eq!(pool.stats().completed, u64::from(rounds));
    });
}

/// Closures are moved, not copied: what they own may be large, and is dropped once.
#[test]
fn closures_are_moved() {
    let pool = ThreadPool::new(1);
    let drops = DropCounter::new();
    let (token, large) = (drops.token(), [7_u8; 10_000]);
    let boxed = Box::new(5_u64);
    let address = &raw const *boxed as usize;
    let handle = pool.submit(move |_| {
        let _token = token;
        (large, boxed)
    });
    let (large, boxed) = handle.join().unwrap();
    assert_eq!(&raw const *boxed as usize, address);
    assert!(large.iter().all(|byte| *byte == 7));
    assert_eq!(drops.count(), 1);
}

/// Zero-sized, and more strictly aligned than most: both come back as they were.
#[test]
fn results_of_any_layout_come_back() {
    #[repr(align(256))]
    #[derive(Debug, PartialEq)]
    struct Aligned(u8);
    let pool = ThreadPool::new(1);
    pool.submit(|_| ()).join().unwrap();
    let aligned = Aligned(9);
    let back = pool.submit(move |_| aligned).join().unwrap();
    assert_eq!(back, Aligned(9));
    assert_eq!((&raw const back).addr() % 256, 0);
    let small = Box::new(1_u8);
    assert_eq!(
        pool.submit(move |_| [*small; 4_000]).join().unwrap()[3_999],
        1
    );
}

/// The pool can be shared by reference between threads.
#[test]
fn a_pool_is_shared_by_reference() {
    let stuck = Stuck::new(1);
    let sum: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let pool = &stuck.pool;
                scope.spawn(move || {
                    let handles = [(); 10].map(|()| pool.submit(move |_| n));
                    handles.into_iter().map(|h| h.join().unwrap()).sum::<u64>()
                })
            })
            .collect();
        until(|| stuck.pool.stats().pending == 40);
        stuck.release();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(sum, 60);
}

/// Two tasks come in while the last worker that looks for one is about to sleep. It takes the
/// first; somebody has to be woken for the second, which the first one waits for.
#[test]
fn two_tasks_that_race_a_worker_going_to_sleep_both_start() {
    finishes(|| {
        let rounds: usize = if cfg!(debug_assertions) {
            20_000
        } else {
            300_000
        };
        let pool = ThreadPool::new(2);
        let barrier = Arc::new(Barrier::new(2));
        for round in 0..rounds {
            // A worker looks for some microseconds before it sleeps: come at every moment of that.
            for _ in 0..round % 2_000 {
                std::hint::spin_loop();
            }
            let handles = [(); 2].map(|()| {
                let barrier = Arc::clone(&barrier);
                pool.submit(move |_| barrier.wait())
            });
            for handle in handles {
                handle.join().unwrap();
            }
        }
    });
}

//! Tasks on rayon's pools, with our handles and events.

use crate::common::{DropCounter, Gate, OnDrop, OpenOnDrop, finishes, quiet_panic};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use stoppable::interop::rayon::{ParallelUntilStopped, SubmitExt, submit, submit_under};
use stoppable::{
    CancelOutcome, Outcome, StopEvent, StopReason, Stopped, TaskHandle, TaskStatus, current,
};

/// With so many threads, that has its panics counted where rayon would abort.
fn pool_with_panics(threads: usize) -> (ThreadPool, Arc<AtomicUsize>) {
    let panics = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.panic_handler({
        let panics = Arc::clone(&panics);
        move |_| {
            panics.fetch_add(1, Ordering::SeqCst);
        }
    });
    (pool.build().unwrap(), panics)
}

fn pool(threads: usize) -> ThreadPool {
    pool_with_panics(threads).0
}

/// Keeps the only thread of a pool until the guard is dropped.
fn occupy(pool: &ThreadPool) -> OpenOnDrop {
    let gate = Gate::new();
    let guard = OpenOnDrop(Arc::clone(&gate));
    let holder = pool.submit(move |_| gate.pass());
    holder.wait_started();
    guard
}

#[test]
fn it_runs_on_the_pools_threads() {
    finishes(|| {
        let pool = pool(1);
        let index = pool.submit(|_| rayon::current_thread_index());
        assert_eq!(index.join().unwrap(), Some(0));
        let index = submit(|_| rayon::current_thread_index());
        assert!(index.join().unwrap().is_some(), "on the global pool");
        let nested = pool.submit(|_| {
            let here = thread::current().id();
            submit(|_| thread::current().id()).join_or_run().unwrap() == here
        });
        assert!(nested.join().unwrap());
    });
}

#[test]
fn free_submits_stay_on_the_pool_of_the_thread() {
    finishes(|| {
        let pool = ThreadPoolBuilder::new().num_threads(2);
        let pool = pool.thread_name(|_| "ours".into()).build().unwrap();
        let (me, other, name) = pool
            .submit(move |_| {
                let me = thread::current().id();
                // Blocks this thread, so the other one runs it.
                let other = submit(|_| {
                    (
                        thread::current().id(),
                        thread::current().name().map(String::from),
                    )
                });
                let (other, name) = other.join().unwrap();
                (me, other, name)
            })
            .join()
            .unwrap();
        assert_eq!(name.as_deref(), Some("ours"));
        assert_ne!(me, other);
    });
}

#[test]
fn pending_ones_are_over_at_once_while_the_pool_is_busy() {
    finishes(|| {
        let pool = pool(1);
        let busy = occupy(&pool);
        let drops = DropCounter::new();
        let request = StopEvent::new();
        let [one, two, three] = [(); 3].map(|()| {
            let token = drops.token();
            pool.submit_under(&request, move |_| drop(token))
        });
        assert_eq!(one.cancel(), CancelOutcome::NeverStarted);
        assert_eq!(drops.count(), 1);
        request.set_with(StopReason::custom("request"));
        assert_eq!(drops.count(), 3);
        for (handle, reason) in [
            (one, StopReason::Requested),
            (two, StopReason::custom("request")),
            (three, StopReason::custom("request")),
        ] {
            let error = handle.join().unwrap_err();
            assert!(error.is_never_started());
            assert_eq!(error.cause().unwrap().reason, reason);
        }
        let error = pool.submit_under(&request, |_| ()).join().unwrap_err();
        assert!(error.is_never_started(), "its event was set before");
        drop(busy);
        // The shells harm nobody.
        assert_eq!(pool.submit(|_| 1).join().unwrap(), 1);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn running_ones_are_asked() {
    finishes(|| {
        let pool = pool(1);
        let request = StopEvent::new();
        let handle = pool.submit_under(&request, |stop| {
            stop.wait();
            assert!(current().peek());
            "partial"
        });
        handle.wait_started();
        request.set();
        let outcome = handle.outcome();
        assert!(
            matches!(
                outcome,
                Outcome::Cancelled {
                    partial: Some("partial"),
                    ..
                }
            ),
            "{outcome:?}"
        );
        let handle = submit_under(&request, |_| ());
        assert_eq!(handle.status(), TaskStatus::NeverStarted);
        // A stop says where it was asked for.
        let handle = pool.submit(StopEvent::wait);
        handle.wait_started();
        handle.cancel();
        let error = handle.join().unwrap_err();
        let file = error.cause().unwrap().location.file();
        assert!(file.ends_with("rayon_submit.rs"), "{file}");
    });
}

/// With rayon's own handling of panics the process would abort.
#[test]
fn panics_go_to_the_joiner_and_not_to_rayon() {
    finishes(|| {
        let (pool, panics) = pool_with_panics(1);
        let handle: TaskHandle<()> = pool.submit(|_| quiet_panic("ouch"));
        let payload = handle.join().unwrap_err().into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"ouch"));
        let bomb = || OnDrop(|| quiet_panic("in a drop"));
        // With nobody to join; in drops of captures; of values; in callbacks; inside of rayon's calls.
        drop(pool.submit::<_, ()>(|_| quiet_panic("unheard")));
        let busy = occupy(&pool);
        let captured = bomb();
        let dropped = pool.submit(move |_| drop(captured));
        drop(dropped.cancel_on_drop());
        let value = bomb();
        drop(pool.submit(move |_| value));
        pool.submit(|_| ())
            .on_done(|_| quiet_panic("in a callback"));
        let nested = pool.submit(|_| rayon::join(|| (), || quiet_panic("nested")));
        drop(busy);
        let payload = nested.join().unwrap_err().into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"nested"));
        assert_eq!(pool.submit(|_| 1).join().unwrap(), 1);
        drop(pool);
        // On the global pool nobody has a handler, so this would be the end.
        let handle: TaskHandle<()> = submit(|_| quiet_panic("global"));
        assert!(handle.join().unwrap_err().is_panicked());
        assert_eq!(panics.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_pool_of_one_thread_runs_joins_of_any_depth() {
    finishes(|| {
        fn count(depth: u32) -> u64 {
            if depth == 0 {
                return 1;
            }
            let tasks = [(); 2].map(|()| submit(move |_| count(depth - 1)));
            let sums = tasks.map(|task| task.join_or_run().unwrap());
            sums.iter().sum()
        }
        let pool = pool(1);
        assert_eq!(pool.submit(|_| count(8)).join().unwrap(), 256);
        // Of one that is pending behind the one that joins it, and one that has been stopped.
        let busy = occupy(&pool);
        let last = pool.submit(|_| "ran");
        let stopped = pool.submit(|_| "ran");
        stopped.cancel();
        let first = pool.submit(move |_| (last.join_or_run(), stopped.join_or_run()));
        drop(busy);
        let (last, stopped) = first.join().unwrap();
        assert_eq!(last.unwrap(), "ran");
        assert!(stopped.unwrap_err().is_never_started());
    });
}

/// Each thread joins what the others may have begun.
#[test]
fn joins_on_several_threads_end() {
    finishes(|| {
        let pool = pool(3);
        for _ in 0..50 {
            let drops = DropCounter::new();
            let sum = pool.submit({
                let drops = drops.clone();
                move |_| {
                    let tasks: Vec<_> = (0..20)
                        .map(|n| {
                            let token = drops.token();
                            submit(move |_| {
                                let _token = token;
                                submit(move |_| n).join_or_run().unwrap()
                            })
                        })
                        .collect();
                    let values = tasks.into_iter().map(|task| task.join_or_run().unwrap());
                    values.sum::<u64>()
                }
            });
            assert_eq!(sum.join().unwrap(), 190);
            assert_eq!(drops.count(), 20);
        }
    });
}

#[test]
fn a_parallel_iterator_inside_is_cut_short_with_the_task() {
    for threads in [1, 3] {
        finishes(move || {
            let pool = pool(threads);
            let (begun, gate) = (Gate::new(), Gate::new());
            let _open = OpenOnDrop(Arc::clone(&gate));
            let items = Arc::new(AtomicUsize::new(0));
            let handle = pool.submit({
                let (begun, gate, items) =
                    (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&items));
                move |stop| {
                    let numbers = (0..1_000_000_u64).into_par_iter().until_stopped(stop);
                    numbers.run(|numbers| {
                        numbers
                            .inspect(|_| {
                                items.fetch_add(1, Ordering::SeqCst);
                                begun.open();
                                gate.pass();
                            })
                            .count()
                    })
                }
            });
            begun.pass();
            handle.cancel();
            gate.open();
            match handle.outcome() {
                Outcome::Cancelled {
                    partial: Some(Err(stopped)),
                    ..
                } => assert_eq!(Stopped::reason(&stopped), StopReason::Requested),
                other => panic!("{other:?}"),
            }
            assert!(items.load(Ordering::SeqCst) <= threads);
            let whole = pool.submit(|stop| {
                let numbers = (0..1_000_u64).into_par_iter().until_stopped(stop);
                numbers.run(|numbers| numbers.sum::<u64>())
            });
            assert_eq!(whole.join().unwrap(), Ok(499_500));
        });
    }
}

#[test]
fn a_scope_ends_when_its_tasks_have() {
    finishes(|| {
        let pool = pool(1);
        let ended = Arc::new(AtomicUsize::new(0));
        let task = || {
            let ended = Arc::clone(&ended);
            move |_: &StopEvent| ended.fetch_add(1, Ordering::SeqCst)
        };
        let handles = pool.scope(|scope| {
            let handles = [(); 3].map(|()| scope.submit(task()));
            // The scope's body is on the only thread, so they are pending.
            handles[1].cancel();
            handles
        });
        assert_eq!(ended.load(Ordering::SeqCst), 2);
        let status = handles.each_ref().map(TaskHandle::status);
        assert_eq!(status[1], TaskStatus::NeverStarted);
        assert!(handles.iter().all(TaskHandle::is_done));
        let request = StopEvent::new();
        let handles =
            pool.scope_fifo(|scope| [(); 2].map(|()| scope.submit_under(&request, task())));
        assert_eq!(handles.map(|task| task.join().unwrap()), [2, 3], "in order");
        rayon::in_place_scope(|scope| drop(scope.submit(task())));
        assert_eq!(ended.load(Ordering::SeqCst), 5);
    });
}

#[test]
fn a_dropped_pool_runs_what_it_was_given() {
    finishes(|| {
        let pool = pool(1);
        let busy = occupy(&pool);
        let handle = pool.submit(|_| 1);
        drop(pool);
        assert!(handle.is_pending());
        drop(busy);
        assert_eq!(handle.join().unwrap(), 1);
    });
}

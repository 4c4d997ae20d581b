//! Waits on the workers of a pool: they run what is pending, and what could never end is a panic.

use super::{SOON, is};
use crate::common::{Gate, finishes, quiet_panic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use stoppable::{
    TaskHandle, ThreadPool, Waited, wait_all, wait_all_timeout, wait_any, wait_any_timeout,
    wait_first_error, wait_first_error_timeout,
};

#[test]
fn a_worker_runs_what_is_pending() {
    type Wait = fn(&[TaskHandle<thread::ThreadId>]) -> Waited;
    // And how many of three it runs.
    let waits: [(Wait, usize); 6] = [
        (|tasks| wait_all(tasks), 3),
        (|tasks| wait_first_error(tasks), 3),
        (|tasks| wait_any(tasks), 1),
        (|tasks| wait_all_timeout(tasks, SOON), 0),
        (|tasks| wait_any_timeout(tasks, SOON), 0),
        (|tasks| wait_first_error_timeout(tasks, SOON), 0),
    ];
    for (wait, runs) in waits {
        finishes(move || {
            let pool = ThreadPool::new(1);
            let submitter = pool.submitter();
            let outer = pool.submit(move |_| {
                let tasks: Vec<_> = (0..3)
                    .map(|_| submitter.submit(|_| thread::current().id()))
                    .collect();
                let waited = wait(&tasks);
                let done: Vec<_> = (0..runs).collect();
                let unfinished: Vec<_> = (runs..3).collect();
                is(&waited, &done, &unfinished, None);
                (tasks, thread::current().id())
            });
            let (tasks, worker) = outer.join().unwrap();
            for task in tasks {
                assert_eq!(task.join().unwrap(), worker);
            }
        });
    }
}

/// It runs the first one that is pending, and no more once that has failed.
#[test]
fn a_worker_stops_at_the_first_error() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let outer = pool.submit(move |_| {
            let tasks: Vec<_> = (0..4)
                .map(|n| {
                    submitter.submit(move |_| {
                        if n == 1 {
                            quiet_panic("second");
                        }
                    })
                })
                .collect();
            is(&wait_first_error(&tasks), &[0, 1], &[2, 3], Some(1));
            assert!(tasks[2].is_pending());
        });
        outer.join().unwrap();
    });
}

/// The text of the panic with which a task's wait for itself ends, among other tasks.
fn circle(wait: fn(&[TaskHandle<()>]) -> Waited, others: usize) -> String {
    finishes(move || {
        let pool = ThreadPool::new(1);
        let (give, given) = mpsc::channel::<Vec<TaskHandle<()>>>();
        let (tell, told) = mpsc::channel();
        let itself = pool.submit(move |_| {
            let tasks = given.recv().unwrap();
            let result = catch_unwind(AssertUnwindSafe(|| wait(&tasks)));
            let text = result.unwrap_err().downcast::<String>().unwrap();
            tell.send(*text).unwrap();
        });
        let mut tasks: Vec<_> = (0..others).map(|_| pool.submit(|_| ())).collect();
        tasks.push(itself);
        give.send(tasks).unwrap();
        let text = told.recv().unwrap();
        // It goes on, and so does the pool.
        assert_eq!(pool.submit(|_| 7).join().unwrap(), 7);
        text
    })
}

#[test]
fn to_wait_for_oneself_is_a_panic() {
    let expected = "task #0 was not joined: it waits for the task that joins it (#0)";
    for wait in [
        (|tasks| wait_all(tasks)) as fn(&[TaskHandle<()>]) -> Waited,
        |tasks| wait_any(tasks),
        |tasks| wait_first_error(tasks),
    ] {
        assert_eq!(circle(wait, 0), expected);
    }
    // When the others have ended.
    assert_eq!(circle(|tasks| wait_all(tasks), 3), expected);
    assert_eq!(circle(|tasks| wait_first_error(tasks), 3), expected);
}

/// One task waits for two, both of which join it: none of the three can end.
#[test]
fn a_circle_of_two_that_join_the_waiter_is_found() {
    finishes(|| {
        let pool = ThreadPool::new(3);
        let (give, given) = mpsc::channel::<TaskHandle<()>>();
        let (tell, told) = mpsc::channel();
        // Of one handle, the two joiners wait in turn.
        let shared = Arc::new(Mutex::new(None::<Arc<TaskHandle<()>>>));
        let ready = Gate::new();
        let joiners: Vec<_> = (0..2)
            .map(|_| {
                let (shared, ready, tell) = (Arc::clone(&shared), Arc::clone(&ready), tell.clone());
                pool.submit(move |_| {
                    ready.pass();
                    let outer = Arc::clone(shared.lock().unwrap().as_ref().unwrap());
                    let result = catch_unwind(AssertUnwindSafe(|| outer.wait()));
                    tell.send(result.is_err()).unwrap();
                })
            })
            .collect();
        for joiner in &joiners {
            joiner.wait_started();
        }
        let outer = pool.submit(move |_| {
            let _ = given.recv();
            let result = catch_unwind(AssertUnwindSafe(|| wait_all(&joiners)));
            tell.send(result.is_err()).unwrap();
        });
        *shared.lock().unwrap() = Some(Arc::new(outer));
        drop(give);
        ready.open();
        assert!(told.iter().any(|was_told| was_told), "somebody was told");
    });
}

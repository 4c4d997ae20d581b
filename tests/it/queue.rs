//! Where tasks wait: their order, the room that they take, and what a cancelled one leaves behind.

use crate::common::{finishes, until};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use stoppable::{
    CancelOutcome, Outcome, Shutdown, StopReason, SubmitError, TaskHandle, TaskStatus, ThreadPool,
};

/// Keeps one worker busy until the sender is dropped.
fn block(pool: &ThreadPool) -> (Sender<()>, TaskHandle<()>) {
    let (open, gate) = mpsc::channel();
    let handle = pool.submit(move |_| {
        // It gives an error when the sender is dropped.
        let _ = gate.recv();
    });
    handle.wait_started();
    (open, handle)
}

/// A list that tasks write their numbers into.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

impl Log {
    fn add(&self, n: usize) {
        self.0.lock().unwrap().push(n);
    }

    fn numbers(&self) -> Vec<usize> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn one_worker_starts_tasks_in_order() {
    let pool = ThreadPool::new(1);
    let (open, _blocker) = block(&pool);
    let log = Log::default();
    for n in 0..5_000 {
        let log = log.clone();
        drop(pool.submit(move |_| log.add(n)));
    }
    drop(open);
    pool.shutdown(Shutdown::Drain);
    assert_eq!(log.numbers(), (0..5_000).collect::<Vec<_>>());
}

#[test]
fn tasks_of_each_submitter_start_in_its_order() {
    let pool = ThreadPool::new(1);
    let logs = [Log::default(), Log::default(), Log::default()];
    thread::scope(|scope| {
        for log in &logs {
            let pool = &pool;
            scope.spawn(move || {
                for n in 0..2_000 {
                    let log = log.clone();
                    drop(pool.submit(move |_| log.add(n)));
                }
            });
        }
    });
    pool.shutdown(Shutdown::Drain);
    for log in logs {
        assert_eq!(log.numbers(), (0..2_000).collect::<Vec<_>>());
    }
}

#[test]
fn cancelling_some_keeps_the_order_of_the_rest() {
    let pool = ThreadPool::new(1);
    let (open, _blocker) = block(&pool);
    let log = Log::default();
    let handles: Vec<_> = (0..100)
        .map(|n| {
            let log = log.clone();
            pool.submit(move |_| log.add(n))
        })
        .collect();
    for n in (0..100).filter(|n| n % 3 == 1) {
        assert_eq!(handles[n].cancel(), CancelOutcome::NeverStarted);
    }
    drop(open);
    let report = pool.shutdown(Shutdown::Drain);
    let rest: Vec<_> = (0..100).filter(|n| n % 3 != 1).collect();
    assert_eq!(log.numbers(), rest);
    assert_eq!(report.never_started(), 33);
}

/// So many are cancelled, at different times and between others that stay, that the queue tidies
/// itself up, again and again, and while more comes in.
#[test]
fn sweeps_keep_the_order_and_lose_nothing() {
    let pool = ThreadPool::new(1);
    let log = Log::default();
    let mut expected = Vec::new();
    for round in 0..4 {
        let (open, _blocker) = block(&pool);
        let mut doomed = Vec::new();
        for n in 0..10_000 {
            let number = round * 10_000 + n;
            let log = log.clone();
            let handle = pool.submit(move |_| log.add(number));
            if n % 50 == 0 {
                expected.push(number);
            } else {
                doomed.push(handle);
            }
            // Half are cancelled as they come, the rest at the end and backwards.
            if n % 1_000 == 999 {
                for handle in doomed.drain(..doomed.len() / 2) {
                    assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
                }
            }
        }
        for handle in doomed.iter().rev() {
            assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
        }
        // These come in behind what the last sweep has left.
        for n in 0..20 {
            let number = 1_000_000 + round * 20 + n;
            let log = log.clone();
            drop(pool.submit(move |_| log.add(number)));
            expected.push(number);
        }
        drop(open);
        // The next round begins behind what is left of this one.
        if round % 2 == 0 {
            pool.submit(|_| ()).join().unwrap();
        }
    }
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(log.numbers(), expected);
    assert_eq!(report.never_started(), 4 * 9_800);
}

/// Workers take tasks out while others cancel and submit: none is lost, none is run twice.
#[test]
fn sweeps_while_workers_take_lose_nothing() {
    let pool = ThreadPool::new(2);
    let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..30_000).map(|_| AtomicUsize::new(0)).collect());
    let next = AtomicUsize::new(0);
    let cancelled = AtomicUsize::new(0);
    let (open, _blocker) = block(&pool);
    let (open_too, _blocker_too) = block(&pool);
    let mut gates = Some((open, open_too));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut batch = Vec::new();
                loop {
                    let n = next.fetch_add(1, SeqCst);
                    if n >= runs.len() {
                        break;
                    }
                    let runs = Arc::clone(&runs);
                    let handle = pool.submit(move |_| runs[n].fetch_add(1, SeqCst));
                    if n % 20 != 0 {
                        batch.push(handle);
                    }
                    if batch.len() == 700 {
                        let never = |h: &TaskHandle<_>| h.cancel() == CancelOutcome::NeverStarted;
                        let count = batch.drain(..).filter(never).count();
                        cancelled.fetch_add(count, SeqCst);
                    }
                }
            });
        }
        while next.load(SeqCst) < 10_000 {
            thread::yield_now();
        }
        gates.take();
    });
    let report = pool.shutdown(Shutdown::Drain);
    let ran = runs.iter().map(|runs| runs.load(SeqCst));
    assert!(ran.clone().all(|runs| runs <= 1));
    assert_eq!(ran.sum::<usize>() + cancelled.load(SeqCst), 30_000);
    assert_eq!(report.never_started(), cancelled.load(SeqCst) as u64);
    assert_eq!(report.completed() + report.never_started(), 30_002);
}

/// What cancelled tasks captured is gone at once, and so is nearly all of the tasks themselves: a
/// captured canary in each task's name stands for its memory.
#[test]
fn cancelled_tasks_leave_a_bounded_queue() {
    let pool = ThreadPool::new(1);
    let (open, _blocker) = block(&pool);
    let name: Arc<str> = Arc::from("a name that each task shares");
    let capture = Arc::new(());
    let stay = pool.task().name(name.clone()).submit(|_| ());
    for n in 0..50_000 {
        let capture = Arc::clone(&capture);
        let handle = pool
            .task()
            .name(name.clone())
            .submit(move |_| drop(capture));
        assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
        drop(handle);
        if n % 1_000 == 0 {
            assert!(Arc::strong_count(&name) < 3_000, "after {n}");
        }
    }
    assert_eq!(Arc::strong_count(&capture), 1);
    // Husks, the details of the report, the task that stays and its name here.
    assert!(Arc::strong_count(&name) < 3_000);
    drop(open);
    stay.join().unwrap();
}

#[test]
fn try_submit_gives_the_closure_back_and_leaves_no_trace() {
    let pool = ThreadPool::builder()
        .threads(1)
        .queue_capacity(2)
        .build()
        .unwrap();
    let (open, _blocker) = block(&pool);
    let pending = [pool.submit(|_| 1), pool.submit(|_| 2)];
    let before = pool.stats();
    let capture = Arc::new(AtomicUsize::new(0));
    let closure = {
        let capture = Arc::clone(&capture);
        move |_: &stoppable::StopEvent| capture.fetch_add(1, SeqCst)
    };
    let error = pool.try_submit(closure).unwrap_err();
    assert!(error.is_full() && !error.is_shut_down());
    assert!(matches!(error, SubmitError::Full(_)));
    assert_eq!(error.to_string(), "the pool's queue is full");
    assert_eq!(pool.stats(), before);
    assert_eq!(Arc::strong_count(&capture), 2, "the closure is still there");
    let closure = error.into_inner();
    assert!(
        pool.task()
            .try_submit(closure.clone())
            .unwrap_err()
            .is_full()
    );
    assert!(
        pool.submitter()
            .try_submit(closure.clone())
            .unwrap_err()
            .is_full()
    );
    assert_eq!(capture.load(SeqCst), 0, "it was not run");
    drop(open);
    assert_eq!(pending.map(|handle| handle.join().unwrap()), [1, 2]);
    // The very same closure is taken now, and it is the next task: no id was used up.
    let handle = pool.try_submit(closure).unwrap();
    assert_eq!(handle.id().as_u64(), 3);
    handle.join().unwrap();
    assert_eq!(capture.load(SeqCst), 1);
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!((report.submitted(), report.refused()), (4, 0));
}

#[test]
fn running_tasks_take_no_room() {
    let pool = ThreadPool::builder()
        .threads(2)
        .queue_capacity(1)
        .build()
        .unwrap();
    let first = block(&pool);
    let second = block(&pool);
    let third = pool.try_submit(|_| ()).unwrap();
    assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
    drop((first, second));
    third.join().unwrap();
}

/// Room that was given once comes back once, however the task leaves the queue.
#[test]
fn room_is_neither_lost_nor_made() {
    const ROOM: usize = 3;
    let pool = ThreadPool::builder()
        .threads(1)
        .queue_capacity(ROOM)
        .build()
        .unwrap();
    let check = || {
        let (open, _blocker) = block(&pool);
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
    // Cancelled by a handle, twice, and then met as a husk by the worker.
    let (open, _blocker) = block(&pool);
    let cancelled = pool.submit(|_| ());
    cancelled.cancel();
    cancelled.cancel();
    drop(open);
    check();
    // Cancelled by its own event.
    let (open, _blocker) = block(&pool);
    assert!(pool.submit(|_| ()).stop_event().set());
    drop(open);
    check();
    // Emptied from outside, with a husk among the live ones.
    let (open, _blocker) = block(&pool);
    let tasks = [(); ROOM].map(|()| pool.submit(|_| ()));
    tasks[1].cancel();
    assert_eq!(pool.cancel_pending(), ROOM - 1);
    drop(open);
    check();
    // Run early by a worker that joins it.
    let submitter = pool.submitter();
    pool.submit(move |_| submitter.submit(|_| ()).join().unwrap())
        .join()
        .unwrap();
    check();
    // Submitted over the limit by a task.
    let submitter = pool.submitter();
    let more = pool.submit(move |_| [(); 10].map(|()| submitter.submit(|_| ())));
    for handle in more.join().unwrap() {
        handle.join().unwrap();
    }
    check();
    // Panicked.
    let panicked = pool.submit(|_| std::panic::resume_unwind(Box::new(())));
    assert!(panicked.join().unwrap_err().is_panicked());
    check();
}

#[test]
fn a_cancel_frees_room_at_once() {
    let pool = ThreadPool::builder()
        .threads(1)
        .queue_capacity(1)
        .build()
        .unwrap();
    let (open, _blocker) = block(&pool);
    for _ in 0..2_000 {
        let handle = pool.try_submit(|_| ()).unwrap();
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
        assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
    }
    drop(open);
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!((report.never_started(), report.completed()), (2_000, 1));
}

#[test]
fn a_task_that_submits_to_its_own_full_pool_does_not_wait() {
    let pool = ThreadPool::builder()
        .threads(1)
        .queue_capacity(1)
        .build()
        .unwrap();
    let submitter = pool.submitter();
    let children = pool
        .submit(move |_| {
            let children: Vec<_> = (0..100).map(|n| submitter.submit(move |_| n)).collect();
            submitter.execute(|_| ()).unwrap();
            // It is full, and says so to who does not want to wait.
            assert!(submitter.try_submit(|_| ()).unwrap_err().is_full());
            children
        })
        .join()
        .unwrap();
    for (n, child) in children.into_iter().enumerate() {
        assert_eq!(child.join().unwrap(), n);
    }
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.completed(), 102);
}

#[test]
fn cancel_pending_empties_the_queue_and_leaves_the_pool_open() {
    let pool = ThreadPool::new(1);
    let (open, blocker) = block(&pool);
    let capture = Arc::new(());
    let pending: Vec<_> = (0..1_000)
        .map(|_| {
            let capture = Arc::clone(&capture);
            pool.submit(move |_| drop(capture))
        })
        .collect();
    pending[17].cancel();
    let line = line!() + 1;
    assert_eq!(pool.cancel_pending(), 999);
    assert_eq!(Arc::strong_count(&capture), 1, "captures have been dropped");
    assert_eq!(pool.cancel_pending(), 0);
    for (n, handle) in pending.into_iter().enumerate() {
        let Outcome::NeverStarted(cause) = handle.outcome() else {
            panic!("task {n} started");
        };
        assert_eq!(cause.reason, StopReason::Requested);
        assert_eq!(cause.location.line() == line, n != 17);
    }
    assert!(blocker.is_running() && !blocker.stop_event().peek());
    let after = pool.submit(|_| 5);
    drop(open);
    assert_eq!(after.join().unwrap(), 5);
    blocker.join().unwrap();
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!((report.completed(), report.never_started()), (2, 1_000));
}

/// A task that a join ran early is still in the queue, as a husk. Emptying the queue must leave it
/// alone: a later cancel wakes it, and is its cause.
#[test]
fn cancel_pending_does_not_touch_what_a_join_runs_early() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let (tell, told) = mpsc::channel();
        let outer = pool.submit(move |_| {
            let inner = submitter.submit(stoppable::StopEvent::wait);
            tell.send(inner.canceller()).unwrap();
            inner.outcome()
        });
        let inner = told.recv().unwrap();
        until(|| inner.status() == TaskStatus::Running);
        assert_eq!(pool.cancel_pending(), 0);
        let line = line!() + 1;
        assert_eq!(inner.cancel(), CancelOutcome::Requested);
        let Outcome::Cancelled { cause, .. } = outer.join().unwrap() else {
            panic!("it waits for its stop");
        };
        assert_eq!(cause.location.line(), line);
    });
}

/// Submitters that wait.
#[cfg(target_os = "linux")]
mod blocked {
    use super::*;
    use crate::blocked::spawn_blocked;

    fn full_pool() -> (Arc<ThreadPool>, Sender<()>, TaskHandle<()>) {
        let pool = ThreadPool::builder()
            .threads(1)
            .queue_capacity(1)
            .build()
            .unwrap();
        let (open, _) = block(&pool);
        let pending = pool.submit(|_| ());
        (Arc::new(pool), open, pending)
    }

    type Submitted = (usize, TaskHandle<usize>);

    fn block_submitters(pool: &Arc<ThreadPool>, count: usize) -> Receiver<Submitted> {
        let (tell, told) = mpsc::channel();
        for n in 0..count {
            let (pool, tell) = (Arc::clone(pool), tell.clone());
            drop(spawn_blocked(move || {
                let handle = pool.submit(move |_| n);
                tell.send((n, handle)).unwrap();
            }));
        }
        told
    }

    #[test]
    fn a_full_queue_lets_submitters_in_one_by_one_in_their_order() {
        let (pool, open, pending) = full_pool();
        let mut pending = pending.canceller();
        let told = block_submitters(&pool, 4);
        assert!(told.try_recv().is_err(), "a submit went through");
        assert_eq!(pool.stats().submitted, 2, "who waits has not submitted");
        // Nobody overtakes those who wait.
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
        for n in 0..4 {
            assert_eq!(pending.cancel(), CancelOutcome::NeverStarted);
            let (first, handle) = told.recv().unwrap();
            assert_eq!(first, n);
            assert!(told.try_recv().is_err(), "two came in for one place");
            assert_eq!(handle.id().as_u64(), n as u64 + 2);
            pending = handle.canceller();
        }
        drop(open);
    }

    #[test]
    fn a_worker_that_takes_a_task_lets_the_next_submitter_in() {
        let (pool, open, pending) = full_pool();
        let told = block_submitters(&pool, 3);
        drop(open);
        pending.join().unwrap();
        for _ in 0..3 {
            let (n, handle) = told.recv().unwrap();
            assert_eq!(handle.join().unwrap(), n);
        }
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!((report.completed(), report.refused()), (5, 0));
    }

    #[test]
    fn cancel_pending_lets_submitters_in() {
        let (pool, open, pending) = full_pool();
        let told = block_submitters(&pool, 1);
        assert_eq!(pool.cancel_pending(), 1);
        let (_, handle) = told.recv().unwrap();
        assert!(handle.is_pending());
        assert_eq!(pending.status(), TaskStatus::NeverStarted);
        drop(open);
        handle.join().unwrap();
    }

    #[test]
    fn a_shutdown_wakes_and_refuses_blocked_submitters() {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            let (pool, open, pending) = full_pool();
            let told = block_submitters(&pool, 3);
            let execute = {
                let pool = Arc::clone(&pool);
                spawn_blocked(move || pool.execute(|_| ()).map_err(|e| e.is_shut_down()))
            };
            pool.begin_shutdown(mode);
            for _ in 0..3 {
                let (_, handle) = told.recv().unwrap();
                let Outcome::NeverStarted(cause) = handle.outcome() else {
                    panic!("it was accepted after the shutdown");
                };
                assert_eq!(cause.reason, StopReason::Shutdown);
            }
            assert_eq!(execute.join().unwrap(), Err(true));
            drop(open);
            let report = pool.shutdown(mode);
            assert_eq!((report.submitted(), report.refused()), (2, 4), "{mode}");
            let drained = pending.status() == TaskStatus::Completed;
            assert_eq!(drained, mode == Shutdown::Drain);
        }
    }
}

//! Tasks without a pool.

use super::seeing::place;
use super::{Counted, get};
use crate::report::TaskStatus;
use crate::stop::StopEvent;
use crate::sync::{AtomicUsize, Ordering, model};
use crate::task::life::CancelOutcome;
use crate::task::{PendingTask, TaskHandle};
use loom::thread;
use std::sync::Arc;

/// A task without a pool, and counters of its runs, and of the drops of its closure and of its value.
fn without_pool() -> (PendingTask, TaskHandle<Counted>, [Arc<AtomicUsize>; 3]) {
    let counts = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let [runs, captured, value] = counts.each_ref().map(Arc::clone);
    let (captured, value) = (Counted(captured), Counted(value));
    let (task, handle) = PendingTask::new(move |_| {
        let _captured = captured;
        runs.fetch_add(1, Ordering::Relaxed);
        value
    });
    (task, handle, counts)
}

#[test]
fn a_task_without_a_pool_is_run_or_cancelled() {
    model(|| {
        let (task, handle, [runs, captures, values]) = without_pool();
        let executor = thread::spawn(move || task.run());
        let cancelled = handle.cancel();
        if cancelled == CancelOutcome::NeverStarted {
            // Prompt, although the executor has the shell still.
            assert_eq!((get(&captures), get(&values)), (1, 1));
        }
        let ran = executor.join().unwrap();
        let never = cancelled == CancelOutcome::NeverStarted;
        assert_eq!(get(&runs), usize::from(!never));
        assert_eq!(handle.status(), ran);
        assert_eq!(never, ran == TaskStatus::NeverStarted);
        drop(handle);
        assert_eq!((get(&captures), get(&values)), (1, 1));
    });
}

#[test]
fn a_task_without_a_pool_is_run_cancelled_or_dropped() {
    model(|| {
        let (task, handle, [runs, captures, values]) = without_pool();
        let canceller = handle.canceller();
        let executor = thread::spawn(move || drop(task));
        let other = thread::spawn(move || canceller.cancel());
        let joined = handle.join_or_run();
        executor.join().unwrap();
        let cancelled = other.join().unwrap();
        match &joined {
            Ok(_) => assert_eq!(get(&runs), 1),
            Err(error) => {
                assert!(error.is_never_started());
                assert_eq!(get(&runs), 0);
            }
        }
        assert!(joined.is_err() || cancelled != CancelOutcome::NeverStarted);
        drop(joined);
        assert_eq!((get(&captures), get(&values)), (1, 1));
    });
}

#[test]
fn of_an_executor_and_a_joiner_one_runs_a_task_without_a_pool() {
    model(|| {
        let (task, handle, [runs, captures, values]) = without_pool();
        let executor = thread::spawn(move || task.run());
        assert!(handle.join_or_run().is_ok());
        executor.join().unwrap();
        assert_eq!(get(&runs), 1);
        assert_eq!((get(&captures), get(&values)), (1, 1));
    });
}

/// It waits until it is called off, which comes when somebody has heard that it has begun.
#[test]
fn who_waits_for_the_start_of_a_task_without_a_pool_hears_of_it() {
    model(|| {
        let (task, handle) = PendingTask::new(StopEvent::wait);
        let executor = thread::spawn(move || task.run());
        handle.wait_started();
        handle.cancel();
        assert_eq!(executor.join().unwrap(), TaskStatus::Cancelled);
    });
}

#[test]
fn who_sees_that_a_task_without_a_pool_has_begun_sees_what_came_before() {
    model(|| {
        let place = place();
        let (task, handle) = PendingTask::new(|_| ());
        let looker = thread::spawn({
            let place = place.clone();
            move || {
                if handle.status() != TaskStatus::Pending {
                    place.add();
                }
            }
        });
        place.add();
        task.run();
        looker.join().unwrap();
    });
}

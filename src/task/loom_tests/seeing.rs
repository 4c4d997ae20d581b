//! What who sees something of a task sees with it.

use super::{claim_and_run, setup, task_of};
use crate::report::TaskStatus;
use crate::sync::model;
use crate::task::life::CancelOutcome;
use loom::thread;
use std::sync::Arc;

/// Whoever drops a value that nobody wants does so after what came before the drop of the handle.
#[test]
fn the_drop_of_a_value_comes_after_that_of_the_handle() {
    model(|| {
        let place = place();
        let value = Adds(place.clone());
        let (home, task, handle) = task_of(move |_| value);
        let worker = thread::spawn(move || claim_and_run(&home, task));
        place.add();
        drop(handle);
        worker.join().unwrap();
    });
}

/// Its drop touches the place.
#[derive(Debug)]
struct Adds(Place);

impl Drop for Adds {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[test]
fn a_stop_is_seen_or_came_too_late() {
    model(|| {
        let it = setup(|stop| {
            let _ = stop.is_set();
        });
        let worker = thread::spawn({
            let (home, task) = (it.home.clone(), it.task);
            move || claim_and_run(&home, task)
        });
        it.handle.wait_started();
        let asked = it.handle.cancel();
        let stats = it.home.ledger.stats();
        assert_eq!(stats.running + stats.done(), 1);
        worker.join().unwrap();
        let status = it.handle.outcome().status();
        match asked {
            CancelOutcome::Requested => assert!(
                matches!(status, TaskStatus::Completed | TaskStatus::Cancelled),
                "{status}"
            ),
            CancelOutcome::AlreadyDone(done) => assert_eq!(done, status),
            CancelOutcome::NeverStarted => unreachable!("it had started"),
        }
    });
}

/// A place that loom watches: an access that races with another one fails the model.
#[derive(Clone, Debug)]
pub(super) struct Place(Arc<loom::cell::UnsafeCell<u32>>);

#[allow(unsafe_code, reason = "loom finds out whether that is so")]
mod place {
    use super::Place;

    // SAFETY: that no two threads use it at a time is what the models are about.
    unsafe impl Send for Place {}
    // SAFETY: as above.
    unsafe impl Sync for Place {}

    impl Place {
        pub(in crate::task::loom_tests) fn add(&self) {
            // SAFETY: as above.
            self.0.with_mut(|it| unsafe { *it += 1 });
        }
    }
}

pub(super) fn place() -> Place {
    Place(Arc::new(loom::cell::UnsafeCell::new(0)))
}

#[test]
fn a_task_that_is_seen_running_is_counted_so() {
    model(|| {
        let it = setup(|_| {});
        let looker = thread::spawn({
            let (home, handle) = (it.home.clone(), it.handle);
            move || {
                if handle.status() != TaskStatus::Pending {
                    assert_eq!(home.ledger.stats().pending, 0);
                }
            }
        });
        claim_and_run(&it.home, it.task);
        looker.join().unwrap();
    });
}

/// Whoever is told that it came too late sees what the task did.
#[test]
fn a_cancel_that_comes_too_late_sees_what_the_task_did() {
    model(|| {
        let place = place();
        let it = setup({
            let place = place.clone();
            move |_| place.add()
        });
        let canceller = thread::spawn({
            let canceller = it.handle.canceller();
            move || {
                if let CancelOutcome::AlreadyDone(TaskStatus::Completed) = canceller.cancel() {
                    place.add();
                }
            }
        });
        claim_and_run(&it.home, it.task);
        canceller.join().unwrap();
    });
}

#[test]
fn a_task_that_sees_its_cancel_sees_what_came_before() {
    model(|| {
        let place = place();
        let it = setup({
            let place = place.clone();
            move |stop| {
                // To wait for it would take locks, which order more.
                while !stop.is_set() {
                    thread::yield_now();
                }
                place.add();
            }
        });
        let canceller = thread::spawn({
            let (canceller, place) = (it.handle.canceller(), place.clone());
            move || {
                place.add();
                canceller.cancel();
            }
        });
        claim_and_run(&it.home, it.task);
        canceller.join().unwrap();
    });
}

#[test]
fn who_sees_that_a_task_never_started_sees_what_came_before() {
    model(|| {
        let place = place();
        let it = setup(|_| {});
        let canceller = thread::spawn({
            let (canceller, place) = (it.handle.canceller(), place.clone());
            move || {
                place.add();
                canceller.cancel();
            }
        });
        while it.handle.status() != TaskStatus::NeverStarted {
            thread::yield_now();
        }
        place.add();
        canceller.join().unwrap();
    });
}

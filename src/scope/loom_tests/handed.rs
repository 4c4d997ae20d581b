//! Tasks of a scope that are handed back.

use super::{Captured, Trace};
use crate::pool::loom_tests::{core, counts, finish, spawn_worker, take_pending};
use crate::report::TaskStatus;
use crate::report::lane::Lane;
use crate::sync::{Ordering, bounded};
use crate::task::life;
use crate::task::slot::Slot;
use loom::thread;
use std::sync::Arc;

#[test]
fn of_a_cancel_and_who_was_handed_a_task_one_has_it() {
    bounded(2).check(|| {
        let core = core(1);
        let trace = Arc::new(Trace::default());
        let captured = Captured(Arc::clone(&trace));
        let handle = core.submit_code(move || captured.run());
        let canceller = handle.canceller();
        let canceller = thread::spawn(move || canceller.cancel());
        let mut taken = 0;
        for task in take_pending(&core) {
            taken += 1;
            if let Ok(claimed) = life::claim_taken(task) {
                claimed.run(&Lane::new(), &Slot::new(false));
            }
        }
        canceller.join().unwrap();
        let status = handle.outcome().status();
        let ran = trace.ran.load(Ordering::Relaxed);
        assert_eq!(ran == 0, status == TaskStatus::NeverStarted);
        assert_eq!(trace.dropped.load(Ordering::Relaxed), 1);
        // What was handed back is counted so, whatever became of it.
        assert_eq!(counts(&core), [1, 0, 1 - taken, taken]);
    });
}

#[test]
fn of_a_worker_and_who_was_handed_a_task_one_has_it() {
    bounded(2).check(|| {
        let core = core(1);
        let trace = Arc::new(Trace::default());
        let captured = Captured(Arc::clone(&trace));
        let handle = core.submit_code(move || captured.run());
        let worker = spawn_worker(&core, 0);
        let mut taken = 0;
        for task in take_pending(&core) {
            taken += 1;
            assert!(life::claim_taken(task).is_ok_and(|claimed| {
                claimed.run(&Lane::new(), &Slot::new(false));
                true
            }));
        }
        handle.join().unwrap();
        assert_eq!(trace.ran.load(Ordering::Relaxed), 1);
        finish(&core, worker);
        assert_eq!(counts(&core), [1, 1 - taken, 0, taken]);
    });
}

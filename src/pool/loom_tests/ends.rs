//! How a pool ends, against those who submit, and what is left to its workers.

use super::{Captured, all_ended, cause, core, drain, spawn_worker, work};
use crate::pool::ThreadPool;
use crate::pool::worker;
use crate::report::{Shutdown, TaskStatus};
use crate::stop::StopEvent;
use crate::sync::{AtomicUsize, Ordering, bounded, large_model, model};
use crate::task::home::Host;
use crate::task::life::{self};
use loom::thread;
use std::sync::Arc;

#[test]
fn a_submit_that_races_a_shutdown_is_refused_or_resolved() {
    for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
        large_model().check(move || {
            let core = core(1);
            let worker = spawn_worker(&core, 0);
            let submitter = thread::spawn({
                let core = core.clone();
                move || core.submit(None, (), |_| 7).outcome().status()
            });
            core.begin_and_bury(mode, &cause());
            let status = submitter.join().unwrap();
            worker.join().unwrap();
            assert!(
                matches!(status, TaskStatus::Completed | TaskStatus::NeverStarted),
                "{status}"
            );
            let stats = core.home.ledger.stats();
            assert_eq!(stats.submitted + stats.refused, 1);
            all_ended(&core);
        });
    }
}

/// Nobody but the submitter and the closer is there to end it.
#[test]
fn a_submit_that_races_a_shutdown_ends_though_no_worker_has_time() {
    for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
        model(move || {
            let core = core(1);
            let submitter = thread::spawn({
                let core = core.clone();
                move || core.submit(None, (), |_| 7).outcome().status()
            });
            core.begin_and_bury(mode, &cause());
            assert_eq!(submitter.join().unwrap(), TaskStatus::NeverStarted);
            all_ended(&core);
        });
    }
}

#[test]
fn a_task_that_submits_while_the_pool_drains() {
    model(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let outer = core.submit(None, (), {
            let core = core.clone();
            move |_| core.submit(None, (), |_| 7).status()
        });
        drain(&core);
        worker.join().unwrap();
        outer.join().unwrap();
        let stats = core.home.ledger.stats();
        assert_eq!((stats.completed, stats.refused), (2, 0));
        all_ended(&core);
    });
}

#[test]
fn a_shutdown_that_leaves_the_drops_to_the_worker() {
    model(|| {
        let core = core(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let worker = spawn_worker(&core, 0);
        let captured = Captured(Arc::clone(&dropped));
        let handle = core.submit(None, (), move |_| drop(captured));
        core.begin_and_leave(Shutdown::CancelPending, &cause());
        let _ = handle.outcome();
        worker.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        all_ended(&core);
    });
}

/// A thread that is not to run code of the user's calls a task off, while the only worker ends.
#[test]
fn what_is_called_off_elsewhere_is_dropped_before_the_last_worker_has_ended() {
    model(|| {
        let core = core(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        core.shared.thread_started();
        let captured = Captured(Arc::clone(&dropped));
        let handle = core.submit(None, (), move |_| drop(captured));
        let other = thread::spawn({
            let (core, handle) = (core.clone(), handle.task().clone());
            move || {
                core.shared.hold();
                match life::doom_later(&handle, &cause()) {
                    Some(doomed) => core.shared.leave(&core.home, doomed),
                    None => core.shared.let_be(),
                }
            }
        });
        drain(&core);
        work(core.clone(), 0);
        core.shared.thread_ended(&core.home);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        other.join().unwrap();
        all_ended(&core);
    });
}

/// What is left to the workers reaches one that sleeps, though another one, on which it relied, has found a task.
#[test]
fn a_task_may_wait_for_what_is_left_to_the_workers() {
    bounded(1).check(|| {
        let core = core(2);
        let dropped = StopEvent::new();
        let captured = Sets(dropped.clone());
        let doomed = core.submit(None, (), move |_| drop(captured));
        let doomed = life::doom_later(doomed.task(), &cause()).unwrap();
        core.shared.thread_started();
        let other = spawn_worker(&core, 0);
        let leaver = thread::spawn({
            let core = core.clone();
            move || {
                core.shared.bury(vec![doomed]);
            }
        });
        drop(core.submit_code({
            let core = core.clone();
            move || {
                dropped.wait();
                // Not before: who closes a pool wakes everyone.
                drain(&core);
            }
        }));
        work(core.clone(), 1);
        other.join().unwrap();
        leaver.join().unwrap();
        core.shared.thread_ended(&core.home);
        all_ended(&core);
    });
}

/// Sets an event when it is dropped.
struct Sets(StopEvent);

impl Drop for Sets {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// The setter is the worker as well; with a thread of its own for each, below, there are only so many orders that can be
/// tried.
#[test]
fn who_sets_the_pools_event_finds_what_was_submitted() {
    model(|| {
        let core = core(1);
        let setter = thread::spawn({
            let core = core.clone();
            move || {
                assert!(StopEvent::of(core.home.node().clone()).set());
                work(core, 0);
            }
        });
        let handle = core.submit(None, (), |_| 7);
        setter.join().unwrap();
        assert!(handle.is_done());
        all_ended(&core);
    });
}

#[test]
fn setting_the_pools_event_against_a_submit() {
    bounded(1).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let setter = thread::spawn({
            let core = core.clone();
            move || StopEvent::of(core.home.node().clone()).set()
        });
        let handle = core.submit(None, (), |_| 7);
        assert!(setter.join().unwrap());
        worker.join().unwrap();
        assert!(handle.is_done());
        all_ended(&core);
    });
}

/// A worker that finds the event set does what the setter is about to do.
#[test]
fn no_task_begins_after_one_that_has_seen_the_event_that_the_pool_stops_with() {
    model(|| {
        let event = StopEvent::new();
        let mode = Shutdown::StopAll;
        let core = ThreadPool::builder().core(1, Some(&(event.clone(), mode)));
        let seen = event.clone();
        let handles = (
            core.submit_code(move || seen.peek()),
            core.submit_code(|| ()),
        );
        let worker = thread::spawn({
            let (core, event) = (core.clone(), event.clone());
            move || worker::work(core, 0, Some((event, mode)))
        });
        event.set();
        core.begin_and_bury(mode, &cause());
        worker.join().unwrap();
        let saw = handles.0.outcome().completed() == Some(true);
        let began = handles.1.outcome().status() != TaskStatus::NeverStarted;
        assert!(!(saw && began));
        all_ended(&core);
    });
}

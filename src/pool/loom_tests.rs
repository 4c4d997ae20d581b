//! Models of the pool: submitting against sleeping, against shutting down, against a frozen queue.
//!
//! The threads are loom's; what they run is the pool's own code, with a queue under a lock in place of
//! crossbeam's injector.

use super::ThreadPool;
use super::idle::Idle;
use super::shared::Core;
use super::worker;
use crate::report::{Shutdown, TaskStatus};
use crate::stop::{StopCause, StopReason};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;

fn core(workers: usize) -> Core {
    ThreadPool::builder().core(workers, None)
}

fn cause() -> StopCause {
    StopCause::now(StopReason::Shutdown)
}

fn spawn_worker(core: &Core, lane: usize) -> thread::JoinHandle<()> {
    let core = core.clone();
    thread::spawn(move || worker::work(core, lane))
}

/// The queue holds references to tasks, which hold the home, which holds the queue: whatever a model
/// leaves there would be a leak, and loom reports it.
fn all_ended(core: &Core) {
    let stats = core.home.ledger.stats();
    assert_eq!(stats.pending + stats.running, 0);
    assert!(core.shared.queue.is_empty());
}

#[test]
fn a_task_that_is_submitted_while_the_worker_goes_to_sleep_runs() {
    loom::model(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let handle = core.submit(None, (), |_| 7);
        assert_eq!(handle.join().unwrap(), 7);
        core.begin_and_bury(Shutdown::Drain, &cause());
        worker.join().unwrap();
        all_ended(&core);
    });
}

#[test]
fn two_submitters_and_a_worker() {
    loom::model(|| {
        let core = core(1);
        let runs = Arc::new(AtomicUsize::new(0));
        let worker = spawn_worker(&core, 0);
        let other = thread::spawn({
            let (core, runs) = (core.clone(), Arc::clone(&runs));
            move || {
                core.execute(None, (), move |_| runs.fetch_add(1, Ordering::Relaxed))
                    .unwrap();
            }
        });
        let ours = Arc::clone(&runs);
        core.execute(None, (), move |_| ours.fetch_add(1, Ordering::Relaxed))
            .unwrap();
        other.join().unwrap();
        core.begin_and_bury(Shutdown::Drain, &cause());
        worker.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        all_ended(&core);
    });
}

#[test]
fn two_workers_and_two_tasks() {
    // Three threads that all do much: with more preemptions it takes minutes.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(1);
    model.check(|| {
        let core = core(2);
        let workers = [spawn_worker(&core, 0), spawn_worker(&core, 1)];
        let handles = [core.submit(None, (), |_| 1), core.submit(None, (), |_| 2)];
        core.begin_and_bury(Shutdown::Drain, &cause());
        for worker in workers {
            worker.join().unwrap();
        }
        let sum: i32 = handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum();
        assert_eq!(sum, 3);
        all_ended(&core);
    });
}

/// The sleep protocol alone: a number of tokens for the queue, workers that take one token each, and
/// hold it until all are taken. So as many workers have to be awake as there are tokens.
#[test]
fn as_many_workers_are_awake_as_there_is_work() {
    loom::model(|| {
        let idle = Arc::new(Idle::new(2));
        let tokens = Arc::new(AtomicUsize::new(0));
        let all_taken = crate::StopEvent::new();
        let workers: Vec<_> = (0..2)
            .map(|lane| {
                let (idle, tokens) = (Arc::clone(&idle), Arc::clone(&tokens));
                let all_taken = all_taken.clone();
                thread::spawn(move || take_one(&idle, &tokens, lane, &all_taken))
            })
            .collect();
        for _ in 0..2 {
            tokens.fetch_add(1, Ordering::Release);
            idle.notify();
        }
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

fn take_one(idle: &Idle, tokens: &AtomicUsize, lane: usize, all_taken: &crate::StopEvent) {
    const LAST: usize = 16;
    let is_left = |tokens: usize| tokens % LAST > 0;
    let more = || is_left(tokens.load(Ordering::Acquire));
    let mut searching = false;
    loop {
        // A token less, and one worker more that has taken one.
        let taken = tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, |tokens| {
            is_left(tokens).then(|| tokens - 1 + LAST)
        });
        if let Ok(before) = taken {
            if searching {
                idle.found(more);
            }
            if before / LAST == 1 {
                all_taken.set();
            }
            return all_taken.wait();
        }
        searching = searching || idle.start_searching();
        idle.sleep(lane, searching, more);
        searching = true;
    }
}

#[test]
fn a_submit_that_races_a_shutdown_is_refused_or_resolved() {
    for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
        loom::model(move || {
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

#[test]
fn a_task_that_submits_while_the_pool_drains() {
    loom::model(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let outer = core.submit(None, (), {
            let core = core.clone();
            move |_| core.submit(None, (), |_| 7).status()
        });
        core.begin_and_bury(Shutdown::Drain, &cause());
        worker.join().unwrap();
        outer.join().unwrap();
        let stats = core.home.ledger.stats();
        assert_eq!((stats.completed, stats.refused), (2, 0));
        all_ended(&core);
    });
}

#[test]
fn a_shutdown_that_leaves_the_drops_to_the_worker() {
    loom::model(|| {
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

struct Captured(Arc<AtomicUsize>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_frozen_queue_and_a_worker_do_not_both_have_a_task() {
    loom::model(|| {
        let core = core(1);
        let handle = core.submit(None, (), |_| 7);
        let worker = spawn_worker(&core, 0);
        let doomed = core.shared.cancel_pending(&core.home, &cause());
        // Whatever was pending has ended; what a worker had taken before has begun.
        assert_ne!(handle.status(), TaskStatus::Pending);
        let status = handle.outcome().status();
        let expected = [TaskStatus::Completed, TaskStatus::NeverStarted][doomed];
        assert_eq!(status, expected);
        core.begin_and_bury(Shutdown::Drain, &cause());
        worker.join().unwrap();
        all_ended(&core);
    });
}

#[test]
fn setting_the_pools_event_against_a_submit() {
    loom::model(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let setter = thread::spawn({
            let core = core.clone();
            move || crate::StopEvent::of(core.home.node().clone()).set()
        });
        let handle = core.submit(None, (), |_| 7);
        assert!(setter.join().unwrap());
        worker.join().unwrap();
        assert!(handle.is_done());
        all_ended(&core);
    });
}

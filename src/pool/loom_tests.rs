//! Models of the pool: submitting against sleeping, against shutting down, against a frozen queue.
//!
//! The threads are loom's; what they run is the pool's own code, with a queue of atomics in place of
//! crossbeam's injector, which orders no more than that one.

mod batches;
mod ends;

use super::ThreadPool;
use super::idle::Idle;
use super::shared::Core;
use super::worker;
use crate::report::{Shutdown, Stats, TaskStatus};
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::{AtomicUsize, Ordering, bounded, large_model, model};
use crate::task::TaskHandle;
use crate::task::cell::TaskRef;
use loom::thread;
use std::sync::Arc;

pub(crate) fn core(workers: usize) -> Core {
    ThreadPool::builder().core(workers, None)
}

fn cause() -> StopCause {
    StopCause::now(StopReason::Shutdown)
}

pub(crate) fn spawn_worker(core: &Core, lane: usize) -> thread::JoinHandle<()> {
    let core = core.clone();
    thread::spawn(move || worker::work(core, lane, None))
}

pub(crate) fn work(core: Core, lane: usize) {
    worker::work(core, lane, None);
}

/// Lets the workers end when everything is done.
pub(crate) fn drain(core: &Core) {
    core.begin_and_bury(Shutdown::Drain, &cause());
}

/// Lets the worker of lane 0 end, and looks at what is left.
pub(crate) fn finish(core: &Core, worker: thread::JoinHandle<()>) {
    drain(core);
    worker.join().unwrap();
    all_ended(core);
}

impl Core {
    pub(crate) fn submit_code<T: Send + 'static>(
        &self,
        code: impl FnOnce() -> T + Send + 'static,
    ) -> TaskHandle<T> {
        self.submit(None, (), move |_| code())
    }
}

/// Stops the pool, and leaves the drops to others.
pub(crate) fn stop_and_leave(core: &Core) {
    core.begin_and_leave(Shutdown::StopAll, &cause());
}

/// What [`ThreadPool::take_pending`] hands back, bare.
pub(crate) fn take_pending(core: &Core) -> Vec<TaskRef> {
    core.shared.take_pending(&core.home)
}

/// How many tasks have started.
pub(crate) fn started(core: &Core) -> u64 {
    let stats = core.home.ledger.stats();
    stats.running + stats.done() - stats.never_started
}

/// Counts of submitted, completed, never started and taken.
pub(crate) fn counts(core: &Core) -> [u64; 4] {
    let stats = core.home.ledger.stats();
    let Stats {
        submitted,
        completed,
        never_started,
        taken,
        ..
    } = stats;
    [submitted, completed, never_started, taken]
}

/// Whether the queue has nothing in it, be it a husk.
pub(crate) fn is_empty(core: &Core) -> bool {
    core.shared.queue.is_empty()
}

/// The queue holds references to tasks, which hold the home, which holds the queue: whatever a model
/// leaves there would be a leak, and loom reports it.
fn all_ended(core: &Core) {
    let stats = core.home.ledger.stats();
    assert_eq!(stats.pending + stats.running, 0);
    assert!(is_empty(core));
}

struct Captured(Arc<AtomicUsize>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_that_is_submitted_while_the_worker_goes_to_sleep_runs() {
    model(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let handle = core.submit(None, (), |_| 7);
        assert_eq!(handle.join().unwrap(), 7);
        drain(&core);
        worker.join().unwrap();
        all_ended(&core);
    });
}

#[test]
fn two_submitters_and_a_worker() {
    large_model().check(|| {
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
        drain(&core);
        worker.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        all_ended(&core);
    });
}

#[test]
fn two_workers_and_two_tasks() {
    // Three threads that all do much: with more preemptions it takes minutes.
    bounded(1).check(|| {
        let core = core(2);
        let workers = [spawn_worker(&core, 0), spawn_worker(&core, 1)];
        let handles = [core.submit(None, (), |_| 1), core.submit(None, (), |_| 2)];
        drain(&core);
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
    model(|| {
        let idle = Arc::new(Idle::new(2));
        let tokens = Arc::new(AtomicUsize::new(0));
        let all_taken = StopEvent::new();
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

fn take_one(idle: &Idle, tokens: &AtomicUsize, lane: usize, all_taken: &StopEvent) {
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
fn a_task_that_has_begun_takes_no_room_in_a_full_queue() {
    model(|| {
        let core = ThreadPool::builder().queue_capacity(1).core(1, None);
        let worker = spawn_worker(&core, 0);
        let first = core.submit(None, (), |_| ());
        let has_begun = first.status() != TaskStatus::Pending;
        let second = core.try_submit(None, (), |_| ());
        assert!(second.is_ok() || !has_begun, "there was room");
        finish(&core, worker);
    });
}

#[test]
fn who_waits_for_room_in_a_full_queue_gets_it() {
    model(|| {
        let core = ThreadPool::builder().queue_capacity(1).core(1, None);
        let worker = spawn_worker(&core, 0);
        core.execute(None, (), |_| ()).unwrap();
        let second = core.submit(None, (), |_| 7);
        assert_eq!(second.join().unwrap(), 7);
        finish(&core, worker);
    });
}

#[test]
fn who_waits_for_room_in_a_full_queue_is_let_go_by_a_shutdown() {
    model(|| {
        let core = ThreadPool::builder().queue_capacity(1).core(1, None);
        core.execute(None, (), |_| ()).unwrap();
        let closer = thread::spawn({
            let core = core.clone();
            move || core.begin_and_bury(Shutdown::StopAll, &cause())
        });
        assert!(core.submit(None, (), |_| 7).join().is_err());
        closer.join().unwrap();
        all_ended(&core);
    });
}

#[test]
fn a_frozen_queue_and_a_worker_do_not_both_have_a_task() {
    model(|| {
        let core = core(1);
        let handle = core.submit(None, (), |_| 7);
        let worker = spawn_worker(&core, 0);
        let doomed = core.shared.cancel_pending(&core.home, &cause());
        // Whatever was pending has ended; what a worker had taken before has begun.
        assert_ne!(handle.status(), TaskStatus::Pending);
        let status = handle.outcome().status();
        let expected = [TaskStatus::Completed, TaskStatus::NeverStarted][doomed];
        assert_eq!(status, expected);
        drain(&core);
        worker.join().unwrap();
        all_ended(&core);
    });
}

/// A task that is moved from the injector to the front is seen by a worker that falls asleep meanwhile.
#[test]
fn a_sweep_strands_no_task() {
    model(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let handle = core.submit(None, (), |_| 7);
        core.shared.queue.sweep(&core.home.ledger);
        assert_eq!(handle.join().unwrap(), 7);
        finish(&core, worker);
    });
}

/// What was moved to the front still comes before what was submitted later.
#[test]
fn a_sweep_keeps_the_order() {
    model(|| {
        let core = core(1);
        let begun = Arc::new(AtomicUsize::new(0));
        let place = |begun: &Arc<AtomicUsize>| {
            let begun = Arc::clone(begun);
            move || begun.fetch_add(1, Ordering::Relaxed)
        };
        let worker = spawn_worker(&core, 0);
        let first = core.submit_code(place(&begun));
        core.shared.queue.sweep(&core.home.ledger);
        let second = core.submit_code(place(&begun));
        assert_eq!(first.join().unwrap(), 0);
        assert_eq!(second.join().unwrap(), 1);
        finish(&core, worker);
    });
}

/// Whoever looks at the counts while a worker counts sees a task once, and no end without a start.
#[test]
fn the_law_holds_at_each_moment() {
    model(|| {
        let core = core(1);
        drop(core.submit_code(|| ()));
        let looker = thread::spawn({
            let core = core.clone();
            move || {
                let stats = core.home.ledger.stats();
                let Stats {
                    pending,
                    running,
                    completed,
                    ..
                } = stats;
                assert!(pending <= 1 && running <= 1 && completed <= 1, "{stats:?}");
                assert_eq!(pending + running + completed, 1);
            }
        });
        drain(&core);
        work(core.clone(), 0);
        looker.join().unwrap();
        all_ended(&core);
    });
}

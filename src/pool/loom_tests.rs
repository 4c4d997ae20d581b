//! Models of the pool: submitting against sleeping, against shutting down, against a frozen queue.
//!
//! The threads are loom's; what they run is the pool's own code, with a queue of atomics in place of
//! crossbeam's injector, which orders no more than that one.

use super::ThreadPool;
use super::idle::Idle;
use super::runs::{Run, Runs};
use super::shared::Core;
use super::worker;
use crate::report::{Shutdown, Stats, TaskStatus};
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::large_model;
use crate::task::cell::TaskRef;
use crate::task::entry::Entry;
use crate::task::home::Host;
use crate::task::life::{self, Doomed};
use crate::task::slab::{Draft, SlabRef};
use crate::task::slot::Slot;
use crate::task::{Outcome, TaskHandle};
use loom::sync::atomic::{AtomicUsize, Ordering};
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

#[test]
fn a_task_that_is_submitted_while_the_worker_goes_to_sleep_runs() {
    loom::model(|| {
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
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(1);
    model.check(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
        loom::model(move || {
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
    loom::model(|| {
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

/// A thread that is not to run code of the user's calls a task off, while the only worker ends.
#[test]
fn what_is_called_off_elsewhere_is_dropped_before_the_last_worker_has_ended() {
    loom::model(|| {
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
        drain(&core);
        worker.join().unwrap();
        all_ended(&core);
    });
}

/// The setter is the worker as well; with a thread of its own for each, below, there are only so many orders that can be
/// tried.
#[test]
fn who_sets_the_pools_event_finds_what_was_submitted() {
    loom::model(|| {
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

/// A task that is moved from the injector to the front is seen by a worker that falls asleep meanwhile.
#[test]
fn a_sweep_strands_no_task() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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

// Batches. A worker's pace is one when it begins, so that these take back nothing; longer runs are
// below.

fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model
}

#[test]
fn a_batch_of_two_and_a_worker() {
    bounded(2).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let handles = core.submit_all([1, 2].map(|n| move |_: &StopEvent| n));
        drain(&core);
        worker.join().unwrap();
        let values = handles.into_iter().map(|handle| handle.join().unwrap());
        assert_eq!(values.collect::<Vec<_>>(), [1, 2]);
        all_ended(&core);
    });
}

/// One of the workers is the thread that submits.
#[test]
fn a_batch_of_two_and_two_workers() {
    bounded(1).check(|| {
        let core = core(2);
        let other = spawn_worker(&core, 0);
        let handles = core.submit_all([1, 2].map(|n| move |_: &StopEvent| n));
        drain(&core);
        work(core.clone(), 1);
        other.join().unwrap();
        let values = handles.into_iter().map(|handle| handle.join().unwrap());
        assert_eq!(values.collect::<Vec<_>>(), [1, 2]);
        all_ended(&core);
    });
}

/// Whoever opens the batch must have told the other worker, which may be going to sleep.
#[test]
fn a_task_of_a_batch_waits_for_the_next_one() {
    bounded(1).check(|| {
        let core = core(2);
        let other = spawn_worker(&core, 0);
        let opened = StopEvent::new();
        let handles = core.submit_all([true, false].map(|waits| {
            let (core, opened) = (core.clone(), opened.clone());
            move |_: &StopEvent| {
                if waits {
                    opened.wait();
                    // Not before: who closes a pool wakes everyone.
                    drain(&core);
                } else {
                    opened.set();
                }
            }
        }));
        work(core.clone(), 1);
        other.join().unwrap();
        assert!(handles.iter().all(TaskHandle::is_done));
        all_ended(&core);
    });
}

#[test]
fn a_batch_that_is_cancelled_while_a_worker_takes_from_it() {
    bounded(2).check(|| {
        let core = core(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let handles = core.submit_all([1, 2].map(|n| {
            let captured = Captured(Arc::clone(&dropped));
            move |_: &StopEvent| {
                drop(captured);
                n
            }
        }));
        let worker = spawn_worker(&core, 0);
        let doomed = core.shared.cancel_pending(&core.home, &cause());
        let mut never = 0;
        for (n, handle) in handles.into_iter().enumerate() {
            assert_ne!(handle.status(), TaskStatus::Pending);
            match handle.outcome() {
                Outcome::Completed(value) => assert_eq!(value, n + 1),
                other => never += usize::from(other.status() == TaskStatus::NeverStarted),
            }
        }
        assert_eq!(never, doomed);
        drain(&core);
        worker.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        let stats = core.home.ledger.stats();
        assert_eq!((stats.submitted, stats.done()), (2, 2));
        all_ended(&core);
    });
}

/// A slab of tasks that have been accepted, and their handles.
#[allow(unsafe_code, reason = "a slab and its handles are made by hand")]
fn slab<F>(core: &Core, closures: impl IntoIterator<Item = F>) -> (SlabRef, Vec<TaskHandle<()>>)
where
    F: FnOnce(&StopEvent) + Send + 'static,
{
    let mut draft = Draft::new(core.home.node().clone(), 8);
    closures.into_iter().for_each(|closure| draft.push(closure));
    let first = core
        .home
        .ledger
        .admit(crate::report::ledger::Caller::Outside, draft.len() as u64)
        .unwrap();
    // SAFETY: closures and values are `'static`, and there are some.
    let slab = unsafe { draft.finish(first, first, true, None) };
    let handles = (0..slab.len()).map(|index| {
        // SAFETY: once for each task.
        let task = unsafe { slab.cells().handle(index) };
        // SAFETY: it was made with a handle, for a value of this type, and this is it.
        unsafe { TaskHandle::new(task) }
    });
    let handles = handles.collect();
    (slab, handles)
}

/// Accepted before the pool was closed, pushed and called off after: what is left of it in the queue would keep the pool.
#[test]
fn a_worker_that_ends_has_seen_what_was_pushed_before() {
    bounded(2).check(|| {
        let core = core(1);
        let (slab, handles) = slab(&core, [|_: &StopEvent| ()]);
        drain(&core);
        let worker = spawn_worker(&core, 0);
        core.push(Entry::of_slab(slab));
        for handle in handles {
            handle.cancel();
        }
        worker.join().unwrap();
        all_ended(&core);
    });
}

/// What a worker does with a run.
fn walk(core: &Core, runs: &Runs, index: usize, run: Run) {
    let lane = core.home.ledger.lane(index);
    for task in run.range.clone() {
        if task > run.range.start && !runs.come_to(index, task) {
            return runs.hide(index);
        }
        lane.begin();
        let claimed = life::claim_lent(run.slab.lend(task));
        lane.leave(claimed.is_ok());
        if task + 1 == run.range.end {
            runs.hide(index);
        }
        if let Ok(claimed) = claimed {
            claimed.run_shown(lane, &Slot::new(false));
        }
    }
}

/// What a worker does as long as there are runs of two to be had.
fn take_and_walk(core: &Core, runs: &Runs, index: usize) {
    loop {
        if let Some(run) = runs.take(index, |_| 2) {
            walk(core, runs, index, run);
        } else if !runs.take_back(&mut Vec::new()) {
            return;
        }
    }
}

fn take_and_walk_on_two_lanes(core: &Core, runs: &Arc<Runs>) {
    let other = thread::spawn({
        let (core, runs) = (core.clone(), Arc::clone(runs));
        move || take_and_walk(&core, &runs, 1)
    });
    take_and_walk(core, runs, 0);
    other.join().unwrap();
    assert!(runs.is_empty());
    let stats = core.home.ledger.stats();
    assert_eq!((stats.submitted, stats.completed), (3, 3));
}

#[test]
fn runs_that_are_taken_back_are_run_once() {
    bounded(2).check(|| {
        let core = core(2);
        let runs = Arc::new(Runs::new(2));
        let count: [_; 3] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
        let closures = count.clone().map(|count| {
            move |_: &StopEvent| {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (slab, handles) = slab(&core, closures);
        drop(handles);
        runs.open(slab);
        take_and_walk_on_two_lanes(&core, &runs);
        for count in count {
            assert_eq!(count.load(Ordering::Relaxed), 1);
        }
    });
}

/// The first run is of two, of which the first waits for the second.
#[test]
fn a_run_is_taken_back_from_a_worker_that_waits() {
    bounded(2).check(|| {
        let core = core(2);
        let runs = Arc::new(Runs::new(2));
        let opened = StopEvent::new();
        let (slab, handles) = slab(
            &core,
            (0..3).map(|n| {
                let opened = opened.clone();
                move |_: &StopEvent| match n {
                    0 => opened.wait(),
                    1 => drop(opened.set()),
                    _ => {}
                }
            }),
        );
        drop(handles);
        runs.open(slab);
        take_and_walk_on_two_lanes(&core, &runs);
    });
}

/// A shutdown takes what is open, and out of the hand of the worker, what that has not begun.
#[test]
fn a_run_is_in_reach_of_a_shutdown() {
    bounded(2).check(|| {
        let core = core(1);
        let runs = Arc::new(Runs::new(1));
        let count = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(AtomicUsize::new(0));
        let (slab, handles) = slab(
            &core,
            (0..3).map(|_| {
                let (count, captured) = (Arc::clone(&count), Captured(Arc::clone(&dropped)));
                move |_: &StopEvent| {
                    count.fetch_add(1, Ordering::Relaxed);
                    drop(captured);
                }
            }),
        );
        runs.open(slab);
        let run = runs.take(0, |_| 2).unwrap();
        assert_eq!(run.range, 0..2);
        let worker = thread::spawn({
            let (core, runs) = (core.clone(), Arc::clone(&runs));
            move || walk(&core, &runs, 0, run)
        });
        let (tasks, _runs) = runs.drain();
        let (never, doomed) = life::doom_all(&core.home, tasks, &cause(), &mut Vec::new());
        assert!(handles.iter().all(|handle| !handle.is_pending()));
        doomed.into_iter().for_each(Doomed::drop_closure);
        worker.join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed) + never, 3);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        assert!(runs.is_empty());
        let stats = core.home.ledger.stats();
        assert_eq!((stats.never_started, stats.done()), (never as u64, 3));
    });
}

//! Batches. A worker's pace is one when it begins, so that batches take back nothing; longer runs are further below.

use super::{Captured, all_ended, cause, core, drain, is_empty, spawn_worker, work};
use crate::pool::runs::{Run, Runs};
use crate::pool::shared::Core;
use crate::report::TaskStatus;
use crate::report::ledger::Caller;
use crate::stop::StopEvent;
use crate::sync::{AtomicUsize, Ordering, bounded, model};
use crate::task::entry::Entry;
use crate::task::life::{self, Doomed};
use crate::task::slab::{Draft, SlabRef};
use crate::task::slot::Slot;
use crate::task::{Outcome, TaskHandle};
use loom::thread;
use std::sync::Arc;

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
        .admit(Caller::Outside, draft.len() as u64)
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

/// The last look of a worker alone: of all that goes before it in the model above, loom leaves out the run in which that look
/// is the first to see the end.
#[test]
fn who_sees_that_it_is_over_sees_what_was_pushed_before() {
    model(|| {
        let core = core(1);
        let (slab, mut handles) = slab(&core, [|_: &StopEvent| ()]);
        drain(&core);
        let looker = {
            let core = core.clone();
            thread::spawn(move || core.shared.may_end() && is_empty(&core))
        };
        let handle = handles.remove(0);
        let canceller = thread::spawn(move || handle.cancel());
        core.push(Entry::of_slab(slab));
        canceller.join().unwrap();
        if !looker.join().unwrap() {
            work(core.clone(), 0);
        }
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

/// What a worker counts of the tasks that it has in its hand, for which it does not look at the queue.
#[test]
fn the_law_holds_while_a_worker_walks_along_a_run() {
    model(|| {
        let core = core(1);
        core.home.ledger.admit(Caller::Outside, 2).unwrap();
        let looker = thread::spawn({
            let core = core.clone();
            move || {
                let stats = core.home.ledger.stats();
                assert!(stats.running <= 1, "{stats:?}");
            }
        });
        let lane = core.home.ledger.lane(0);
        lane.enter();
        lane.leave(true);
        lane.complete();
        lane.begin();
        lane.leave(true);
        lane.complete();
        looker.join().unwrap();
    });
}

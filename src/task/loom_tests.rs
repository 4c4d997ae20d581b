//! Models of one task: its start against its cancel, its end against its handle.

mod no_pool;
mod seeing;
mod slabs;

use super::cell::{Birth, TaskRef};
use super::home::{Home, HomeRef, Host};
use super::life::{self, CancelOutcome, first_word};
use super::slot::Slot;
use super::{Outcome, TaskHandle};
use crate::report::ledger::{Caller, Ledger};
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCause, StopEvent};
use crate::sync::{AtomicUsize, Ordering, model};
use loom::thread;
use std::any::Any;
use std::sync::Arc;

/// A host without a pool, with something that is dropped with it.
struct NoHost<X = ()>(X);

impl<X: Send + Sync> Host for NoHost<X> {
    fn left_queue(&self, _home: &Home, _husks: usize) {}
    fn leave(&self, _home: &Home, doomed: life::Doomed) {
        doomed.drop_closure();
    }
    fn stop(&self, _home: &Home, _cause: &StopCause, raise: &mut dyn FnMut()) {
        raise();
    }
    fn unhandled_panic(&self, _id: TaskId, _name: Option<&str>, _payload: &(dyn Any + Send)) {}
}

/// Counts its drops.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Setup {
    home: HomeRef,
    task: TaskRef,
    handle: TaskHandle<Counted>,
    runs: Arc<AtomicUsize>,
    closures: Arc<AtomicUsize>,
    values: Arc<AtomicUsize>,
}

#[allow(unsafe_code, reason = "a task and its handle are made by hand")]
fn task_of<T: Send + 'static>(
    closure: impl FnOnce(&StopEvent) -> T + Send + 'static,
) -> (HomeRef, TaskRef, TaskHandle<T>) {
    let home = HomeRef::new(None, Ledger::new(1, 10, false), Arc::new(NoHost(())));
    let birth = Birth {
        parent: home.node().clone(),
        id: home.ledger.admit(Caller::Outside, 1).unwrap(),
        word: first_word(true, true),
        count: 2,
        extra: (),
    };
    // SAFETY: both are `'static`.
    let task = unsafe { TaskRef::new(birth, closure) };
    // SAFETY: it was born with two references, and this is the second.
    let twin = unsafe { task.twin() };
    // SAFETY: it was born with a handle, for this type, and this is it.
    let handle = unsafe { TaskHandle::new(twin) };
    (home, task, handle)
}

fn setup(work: impl FnOnce(&StopEvent) + Send + 'static) -> Setup {
    let count = || Arc::new(AtomicUsize::new(0));
    let (runs, closures, values) = (count(), count(), count());
    let captured = Counted(Arc::clone(&closures));
    let value = Counted(Arc::clone(&values));
    let ran = Arc::clone(&runs);
    let (home, task, handle) = task_of(move |stop| {
        let _captured = captured;
        ran.fetch_add(1, Ordering::Relaxed);
        work(stop);
        value
    });
    Setup {
        home,
        task,
        handle,
        runs,
        closures,
        values,
    }
}

/// What a worker does with a task that it has taken from the queue.
fn claim_and_run(home: &HomeRef, task: TaskRef) {
    claim_and_run_in(home, task, &Slot::new(false));
}

/// As `claim_and_run`, and who looks at the slot sees the task.
fn claim_and_run_in(home: &HomeRef, task: TaskRef, slot: &Slot) {
    let lane = home.ledger.lane(0);
    lane.enter();
    let claimed = life::claim(task);
    lane.leave(claimed.is_ok());
    if let Ok(claimed) = claimed {
        claimed.run(lane, slot);
    }
}

fn get(count: &AtomicUsize) -> usize {
    count.load(Ordering::Relaxed)
}

#[test]
fn of_start_and_cancel_one_wins() {
    model(|| {
        let it = setup(|_| {});
        let worker = thread::spawn({
            let (home, task) = (it.home.clone(), it.task);
            move || claim_and_run(&home, task)
        });
        let cancelled = it.handle.cancel();
        if cancelled == CancelOutcome::NeverStarted {
            // Prompt: the end is final, and the closure is gone, before `cancel` returns.
            assert_eq!(get(&it.closures), 1);
            assert_eq!(it.handle.status(), TaskStatus::NeverStarted);
            assert_eq!(it.home.ledger.stats().never_started, 1);
        }
        worker.join().unwrap();
        let outcome = it.handle.outcome();
        match cancelled {
            CancelOutcome::NeverStarted => {
                assert!(matches!(outcome, Outcome::NeverStarted(_)));
                assert_eq!(get(&it.runs), 0);
            }
            _ => {
                assert_eq!(outcome.status(), TaskStatus::Completed);
                assert_eq!(get(&it.runs), 1);
            }
        }
        drop(outcome);
        assert_eq!((get(&it.closures), get(&it.values)), (1, 1));
        let stats = it.home.ledger.stats();
        assert_eq!((stats.submitted, stats.done()), (1, 1));
    });
}

#[test]
fn two_cancels_and_a_start() {
    model(|| {
        let it = setup(|_| {});
        let worker = thread::spawn({
            let (home, task) = (it.home.clone(), it.task);
            move || claim_and_run(&home, task)
        });
        let canceller = it.handle.canceller();
        let other = thread::spawn(move || canceller.cancel());
        let ours = it.handle.cancel();
        let theirs = other.join().unwrap();
        worker.join().unwrap();
        let never = [&ours, &theirs]
            .into_iter()
            .filter(|out| **out == CancelOutcome::NeverStarted)
            .count();
        assert_eq!(never + get(&it.runs), 1);
        drop(it.handle);
        assert_eq!((get(&it.closures), get(&it.values)), (1, 1));
    });
}

#[test]
fn a_join_hears_of_the_end() {
    model(|| {
        let it = setup(|_| {});
        let worker = thread::spawn({
            let (home, task) = (it.home.clone(), it.task);
            move || claim_and_run(&home, task)
        });
        let value = it.handle.join();
        assert!(value.is_ok());
        // Never behind what the handle has shown.
        assert_eq!(it.home.ledger.stats().completed, 1);
        drop(value);
        assert_eq!(get(&it.values), 1);
        worker.join().unwrap();
    });
}

#[test]
fn a_join_hears_of_a_cancel() {
    model(|| {
        let it = setup(|_| {});
        let canceller = it.handle.canceller();
        let other = thread::spawn(move || canceller.cancel());
        assert!(it.handle.join().unwrap_err().is_never_started());
        other.join().unwrap();
        drop(it.task);
        assert_eq!((get(&it.closures), get(&it.values)), (1, 1));
    });
}

#[test]
fn a_dropped_handle_drops_the_value_once() {
    model(|| {
        let it = setup(|_| {});
        let worker = thread::spawn({
            let (home, task) = (it.home.clone(), it.task);
            move || claim_and_run(&home, task)
        });
        drop(it.handle);
        worker.join().unwrap();
        assert_eq!((get(&it.closures), get(&it.values)), (1, 1));
    });
}

/// It is told of the start, and not with the end alone.
#[test]
fn who_waits_for_a_start_hears_of_it_while_the_task_runs() {
    model(|| {
        let seen = StopEvent::new();
        let it = setup({
            let seen = seen.clone();
            move |_| seen.wait()
        });
        let worker = thread::spawn({
            let (home, task) = (it.home.clone(), it.task);
            move || claim_and_run(&home, task)
        });
        it.handle.wait_started();
        seen.set();
        worker.join().unwrap();
    });
}

#[test]
fn a_look_at_a_slot_gets_a_living_task() {
    model(|| {
        let slot = Arc::new(Slot::new(false));
        // Before there is a task: that it is whole, the slot has to say.
        let looker = thread::spawn({
            let slot = Arc::clone(&slot);
            move || {
                assert!(
                    slot.look()
                        .is_none_or(|task| task.state().load().has_begun())
                )
            }
        });
        let it = setup(|_| {});
        drop(it.handle);
        // Whoever lets go of it last frees it: the worker, unless it has been looked at.
        let lane = it.home.ledger.lane(0);
        lane.enter();
        let claimed = life::claim(it.task).unwrap();
        lane.leave(true);
        claimed.run(lane, &slot);
        looker.join().unwrap();
        assert!(slot.look().is_none());
        assert_eq!((get(&it.closures), get(&it.values)), (1, 1));
    });
}

/// As the task of a worker that waits for another one, and runs it itself.
#[test]
fn a_look_at_what_is_shown_in_place_of_another_task_gets_it_whole() {
    model(|| {
        let slot = Arc::new(Slot::new(false));
        let looker = thread::spawn({
            let slot = Arc::clone(&slot);
            move || {
                assert!(
                    slot.look()
                        .is_none_or(|task| task.state().load().has_begun())
                )
            }
        });
        let outer = setup(|_| {});
        assert!(life::claim(outer.task.clone()).is_ok());
        slot.showing(&outer.task, || {
            let inner = setup(|_| {});
            claim_and_run_in(&inner.home, inner.task, &slot);
        });
        looker.join().unwrap();
    });
}

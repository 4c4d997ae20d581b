//! Models of one task: its start against its cancel, its end against its handle.

use super::cell::{Birth, TaskRef};
use super::home::{Home, HomeRef, Host};
use super::life::{self, CancelOutcome, first_word};
use super::slab::{Draft, SlabRef};
use super::slot::Slot;
use super::{Outcome, PendingTask, TaskHandle};
use crate::report::ledger::{Caller, Ledger};
use crate::report::{TaskId, TaskStatus};
use crate::stop::{StopCause, StopEvent};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::any::Any;
use std::sync::Arc;

struct NoHost;

impl Host for NoHost {
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
    let home = HomeRef::new(None, Ledger::new(1, 10, false), Arc::new(NoHost));
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
    let lane = home.ledger.lane(0);
    lane.enter();
    let claimed = life::claim(task);
    lane.leave(claimed.is_ok());
    if let Ok(claimed) = claimed {
        claimed.run(lane, &Slot::new(false));
    }
}

fn get(count: &AtomicUsize) -> usize {
    count.load(Ordering::Relaxed)
}

#[test]
fn of_start_and_cancel_one_wins() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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

/// Whoever drops a value that nobody wants does so after what came before the drop of the handle.
#[test]
fn the_drop_of_a_value_comes_after_that_of_the_handle() {
    loom::model(|| {
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
    loom::model(|| {
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
struct Place(Arc<loom::cell::UnsafeCell<u32>>);

#[allow(unsafe_code, reason = "loom finds out whether that is so")]
mod place {
    use super::Place;

    // SAFETY: that no two threads use it at a time is what the models are about.
    unsafe impl Send for Place {}
    // SAFETY: as above.
    unsafe impl Sync for Place {}

    impl Place {
        pub(super) fn add(&self) {
            // SAFETY: as above.
            self.0.with_mut(|it| unsafe { *it += 1 });
        }
    }
}

fn place() -> Place {
    Place(Arc::new(loom::cell::UnsafeCell::new(0)))
}

/// It is told of the start, and not with the end alone.
#[test]
fn who_waits_for_a_start_hears_of_it_while_the_task_runs() {
    loom::model(|| {
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
fn a_task_that_is_seen_running_is_counted_so() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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

#[test]
fn a_look_at_a_slot_gets_a_living_task() {
    loom::model(|| {
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

/// Counts its own drop, which is that of the home.
struct CountedHost(#[expect(dead_code, reason = "it is there to be dropped")] Counted);

impl Host for CountedHost {
    fn left_queue(&self, _home: &Home, _husks: usize) {}
    fn leave(&self, _home: &Home, doomed: life::Doomed) {
        doomed.drop_closure();
    }
    fn stop(&self, _home: &Home, _cause: &StopCause, raise: &mut dyn FnMut()) {
        raise();
    }
    fn unhandled_panic(&self, _id: TaskId, _name: Option<&str>, _payload: &(dyn Any + Send)) {}
}

/// A batch of two, whose slab holds the last reference to the home.
struct SlabSetup {
    home: HomeRef,
    slab: SlabRef,
    handles: [TaskHandle<Counted>; 2],
    closures: Arc<AtomicUsize>,
    values: Arc<AtomicUsize>,
    homes: Arc<AtomicUsize>,
}

#[allow(unsafe_code, reason = "a slab and its handles are made by hand")]
fn slab_setup() -> SlabSetup {
    let count = || Arc::new(AtomicUsize::new(0));
    let (closures, values, homes) = (count(), count(), count());
    let host = Arc::new(CountedHost(Counted(Arc::clone(&homes))));
    let home = HomeRef::new(None, Ledger::new(1, 10, false), host);
    let mut draft = Draft::new(home.node().clone(), 2);
    for _ in 0..2 {
        let captured = Counted(Arc::clone(&closures));
        let value = Counted(Arc::clone(&values));
        draft.push(move |_: &StopEvent| {
            drop(captured);
            value
        });
    }
    let first = home.ledger.admit(Caller::Outside, 2).unwrap();
    // SAFETY: closures and values are `'static`, and there are some.
    let slab = unsafe { draft.finish(first, first, true, None) };
    let handles = [0, 1].map(|index| {
        // SAFETY: once for each task.
        let task = unsafe { slab.cells().handle(index) };
        // SAFETY: it was made with a handle, for a value of this type, and this is it.
        unsafe { TaskHandle::new(task) }
    });
    SlabSetup {
        home,
        slab,
        handles,
        closures,
        values,
        homes,
    }
}

/// What a worker does with the tasks of a slab.
fn claim_and_run_all(home: &HomeRef, slab: &SlabRef) {
    let lane = home.ledger.lane(0);
    for index in 0..slab.len() {
        lane.begin();
        let claimed = life::claim_lent(slab.lend(index));
        lane.leave(claimed.is_ok());
        if let Ok(claimed) = claimed {
            claimed.run_shown(lane, &Slot::new(false));
        }
    }
}

#[test]
fn a_task_of_a_batch_that_is_seen_running_is_counted_so() {
    loom::model(|| {
        let it = slab_setup();
        let [first, _second] = it.handles;
        let looker = thread::spawn({
            let home = it.home.clone();
            move || {
                if first.status() != TaskStatus::Pending {
                    assert!(home.ledger.stats().pending <= 1);
                }
            }
        });
        claim_and_run_all(&it.home, &it.slab);
        looker.join().unwrap();
    });
}

#[test]
fn a_slab_is_freed_once_whoever_lets_go_last() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let it = slab_setup();
        let [first, second] = it.handles;
        let event = first.stop_event();
        let worker = thread::spawn({
            let (home, slab) = (it.home, it.slab);
            move || {
                claim_and_run_all(&home, &slab);
                drop(home);
                drop(slab);
            }
        });
        let other = thread::spawn(move || {
            drop(second);
            drop(event);
        });
        drop(first);
        other.join().unwrap();
        worker.join().unwrap();
        assert_eq!((get(&it.closures), get(&it.values)), (2, 2));
        assert_eq!(get(&it.homes), 1);
    });
}

#[test]
fn of_the_tasks_of_a_slab_each_is_cancelled_alone() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let it = slab_setup();
        let [first, second] = it.handles;
        let worker = thread::spawn({
            let (home, slab) = (it.home.clone(), it.slab);
            move || claim_and_run_all(&home, &slab)
        });
        let cancelled = second.cancel();
        if cancelled == CancelOutcome::NeverStarted {
            // Its captures are gone at once, and its neighbour has its own.
            assert!(get(&it.closures) >= 1);
            assert_eq!(second.status(), TaskStatus::NeverStarted);
        }
        assert!(first.join().is_ok());
        let status = second.outcome().status();
        match cancelled {
            CancelOutcome::NeverStarted => assert_eq!(status, TaskStatus::NeverStarted),
            _ => assert_eq!(status, TaskStatus::Completed),
        }
        worker.join().unwrap();
        assert_eq!((get(&it.closures), get(&it.values)), (2, 2));
        let stats = it.home.ledger.stats();
        assert_eq!((stats.submitted, stats.done()), (2, 2));
        drop(it.home);
        assert_eq!(get(&it.homes), 1);
    });
}

/// A look at the slot of a worker that walks along a slab gets one of its tasks, alive.
#[test]
fn a_look_at_a_slab_gets_a_living_task() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let it = slab_setup();
        let ids = it.handles.each_ref().map(TaskHandle::id);
        for handle in &it.handles {
            handle.cancel();
        }
        drop(it.handles);
        drop(it.home);
        let slot = Arc::new(Slot::new(false));
        let looker = thread::spawn({
            let slot = Arc::clone(&slot);
            move || {
                let task = slot.look();
                assert!(task.is_none_or(|task| ids.contains(&task.id())));
            }
        });
        slot.turn_to(0);
        slot.showing_slab(&it.slab, || slot.turn_to(1));
        drop(it.slab);
        looker.join().unwrap();
        assert!(slot.look().is_none());
        assert_eq!((get(&it.closures), get(&it.values)), (2, 2));
        assert_eq!(get(&it.homes), 1);
    });
}

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
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
        let (task, handle, [runs, captures, values]) = without_pool();
        let executor = thread::spawn(move || task.run());
        assert!(handle.join_or_run().is_ok());
        executor.join().unwrap();
        assert_eq!(get(&runs), 1);
        assert_eq!((get(&captures), get(&values)), (1, 1));
    });
}

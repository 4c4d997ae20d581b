//! Tasks of a batch, which share their memory.

use super::{Counted, NoHost, get};
use crate::report::TaskStatus;
use crate::report::ledger::{Caller, Ledger};
use crate::stop::StopEvent;
use crate::sync::{AtomicUsize, bounded, model};
use crate::task::TaskHandle;
use crate::task::home::HomeRef;
use crate::task::life::{self, CancelOutcome};
use crate::task::slab::{Draft, SlabRef};
use crate::task::slot::Slot;
use loom::thread;
use std::sync::Arc;

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
    let host = Arc::new(NoHost(Counted(Arc::clone(&homes))));
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
    model(|| {
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
    bounded(2).check(|| {
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
    bounded(2).check(|| {
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
    bounded(2).check(|| {
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

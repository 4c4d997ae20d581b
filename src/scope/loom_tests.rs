//! Models of scopes and groups: their end against that of their tasks, and their stop against submits and
//! claims; and of what a handle shows to a future, and what becomes of tasks that are handed back.

mod handed;

use super::scoped::scope;
use super::work::Work;
use crate::pool::Core;
use crate::pool::loom_tests::{
    core, drain, finish, is_empty, spawn_worker, started, stop_and_leave, work,
};
use crate::stop::{StopCause, StopReason};
use crate::sync::{AtomicUsize, Ordering, bounded};
use crate::task::TaskHandle;
use loom::cell::UnsafeCell;
use loom::thread;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

fn here() -> &'static Location<'static> {
    Location::caller()
}

/// A place that loom watches: an access that races with another one fails the model.
struct Place(UnsafeCell<usize>);

#[allow(unsafe_code, reason = "loom finds out whether that is so")]
// SAFETY: that no two threads use it at a time is what the models are about.
unsafe impl Sync for Place {}

#[allow(unsafe_code, reason = "as above")]
impl Place {
    fn new() -> Self {
        Place(UnsafeCell::new(0))
    }

    fn add(&self) {
        // SAFETY: as above.
        self.0.with_mut(|place| unsafe { *place += 1 });
    }

    fn get(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|place| unsafe { *place })
    }
}

/// Its drop touches what it borrows.
struct Touches<'a>(&'a Place);

impl Drop for Touches<'_> {
    fn drop(&mut self) {
        self.0.add();
    }
}

// The end of a scope.

/// The closure, its capture and its value: all that borrows is gone when the scope has ended.
#[test]
fn a_scope_ends_after_all_that_its_task_borrows() {
    bounded(2).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let (ran, value) = (Place::new(), Place::new());
        let result = scope(&core, here(), |s| {
            let value = Touches(&value);
            let ran = Touches(&ran);
            s.submit(move |_| {
                let _ran = ran;
                value
            });
        });
        assert!(result.is_ok());
        assert_eq!((ran.get(), value.get()), (1, 1));
        finish(&core, worker);
    });
}

#[test]
fn a_scope_ends_after_the_last_of_two_tasks() {
    bounded(1).check(|| {
        let core = core(2);
        let workers = [spawn_worker(&core, 0), spawn_worker(&core, 1)];
        let places = [Place::new(), Place::new()];
        let result = scope(&core, here(), |s| {
            for place in &places {
                s.submit(|_| place.add());
            }
        });
        assert!(result.is_ok());
        assert!(places.iter().all(|place| place.get() == 1));
        let [one, other] = workers;
        finish(&core, one);
        other.join().unwrap();
    });
}

/// The scope is opened by the only worker there is, which runs the tasks itself.
#[test]
fn a_worker_runs_the_tasks_of_its_scope() {
    bounded(2).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let outer = core.submit_code({
            let core = core.clone();
            move || {
                let place = Place::new();
                let result = scope(&core, here(), |s| {
                    s.submit(|_| place.add());
                });
                assert!(result.is_ok());
                place.get()
            }
        });
        assert_eq!(outer.join().unwrap(), 1);
        finish(&core, worker);
    });
}

/// Who stops the pool does not drop what its tasks have captured: the scope does.
#[test]
fn a_scope_drops_what_was_left_to_it() {
    bounded(2).check(|| {
        let core = core(1);
        let place = Place::new();
        let stopper = {
            let core = core.clone();
            thread::spawn(move || stop_and_leave(&core))
        };
        let result = scope(&core, here(), |s| {
            let captured = Touches(&place);
            s.submit(move |_| drop(captured));
        });
        assert!(result.is_err());
        assert_eq!(place.get(), 1);
        stopper.join().unwrap();
    });
}

// The stop of a scope. What has been stopped never starts, whatever way it would have taken.

/// What came of a closure.
#[derive(Default)]
struct Trace {
    ran: AtomicUsize,
    dropped: AtomicUsize,
}

struct Captured(Arc<Trace>);

impl Captured {
    fn run(&self) {
        self.0.ran.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// A scope of one task, which is stopped by another thread. Says whether the task had started when the stop
/// returned, if it ever did.
fn stop_one(core: &Core) -> bool {
    let trace = Arc::new(Trace::default());
    let before = started(core);
    let mut stopper = None;
    let result = scope(core, here(), |s| {
        let captured = Captured(Arc::clone(&trace));
        s.submit(move |_| captured.run());
        let (event, core) = (s.stop_event(), core.clone());
        stopper = Some(thread::spawn(move || {
            assert!(event.set());
            started(&core)
        }));
    });
    let when_stopped = stopper.unwrap().join().unwrap() - before;
    let ran = trace.ran.load(Ordering::Relaxed);
    assert_eq!(result.is_ok(), ran == 1);
    assert_eq!(trace.dropped.load(Ordering::Relaxed), 1);
    when_stopped == ran as u64
}

#[test]
fn of_a_stop_and_a_worker_one_has_the_task() {
    bounded(1).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let in_time = stop_one(&core);
        finish(&core, worker);
        assert!(in_time, "it started after the stop");
    });
}

#[test]
fn of_a_stop_and_who_waits_for_the_scope_one_has_the_task() {
    bounded(1).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let outer = core.submit_code({
            let core = core.clone();
            move || stop_one(&core)
        });
        let in_time = outer.join().unwrap();
        finish(&core, worker);
        assert!(in_time, "it started after the stop");
    });
}

/// The worker is the thread that has stopped the scope, so whatever it runs starts after the stop.
#[test]
fn a_task_that_is_submitted_while_its_scope_is_stopped_does_not_start_later() {
    bounded(2).check(|| {
        let core = core(1);
        let trace = Arc::new(Trace::default());
        let mut worker = None;
        let result = scope(&core, here(), |s| {
            let (event, core) = (s.stop_event(), core.clone());
            worker = Some(thread::spawn(move || {
                assert!(event.set());
                work(core, 0);
            }));
            let captured = Captured(Arc::clone(&trace));
            s.submit(move |_| captured.run());
        });
        finish(&core, worker.unwrap());
        assert_eq!(trace.dropped.load(Ordering::Relaxed), 1);
        let ran = trace.ran.load(Ordering::Relaxed);
        assert_eq!(ran, 0, "it started after the stop");
        assert!(result.is_err());
    });
}

// Groups.

#[allow(unsafe_code, reason = "the task borrows nothing")]
fn submit(work: &Work, code: impl FnOnce() + Send + 'static) -> TaskHandle<()> {
    // SAFETY: both are `'static`.
    unsafe { work.submit(move |_| code()) }
}

#[test]
fn two_wait_for_one_group() {
    bounded(2).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let work = Arc::new(Work::new(&core, true, here()));
        let place = Arc::new(Place::new());
        let handle = {
            let place = Arc::clone(&place);
            submit(&work, move || place.add())
        };
        let other = {
            let work = Arc::clone(&work);
            let place = Arc::clone(&place);
            thread::spawn(move || {
                work.wait();
                assert_eq!(place.get(), 1);
            })
        };
        work.wait();
        assert_eq!(place.get(), 1);
        other.join().unwrap();
        drop(handle);
        work.stop(&StopCause::now(StopReason::Dropped));
        work.close();
        finish(&core, worker);
    });
}

/// A member is let in, its group is stopped, the pool drains and its worker ends: what is pushed then would keep the
/// queue, which would keep the pool. It runs or it does not; nothing is left.
#[test]
fn a_task_that_is_stopped_before_it_is_pushed_is_not_left_in_a_pool_that_has_ended() {
    bounded(2).check(|| {
        let core = core(1);
        let group = Arc::new(Work::new(&core, true, here()));
        let worker = {
            let (core, group) = (core.clone(), Arc::clone(&group));
            thread::spawn(move || {
                group.stop(&StopCause::now(StopReason::Dropped));
                drain(&core);
                work(core, 0);
            })
        };
        let handle = submit(&group, || {});
        worker.join().unwrap();
        assert!(handle.is_done());
        assert!(is_empty(&core), "something was left in the queue");
        group.close();
        group.forget();
    });
}

/// A group that is opened by a member of another one, while that is being stopped: what is submitted to it starts before
/// the stop has returned, or never.
#[test]
fn a_group_that_is_opened_while_the_one_around_it_is_stopped_starts_nothing_later() {
    bounded(2).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let outer = Work::new(&core, true, here());
        let kept = Arc::new(loom::sync::Mutex::new(None));
        drop(submit(&outer, {
            let (core, kept) = (core.clone(), Arc::clone(&kept));
            move || {
                let inner = Work::new(&core, true, here());
                drop(submit(&inner, || {}));
                *kept.lock().unwrap() = Some(inner);
            }
        }));
        outer.stop(&StopCause::now(StopReason::Dropped));
        let when_stopped = started(&core);
        finish(&core, worker);
        let inner = kept.lock().unwrap().take();
        for work in inner.iter().chain([&outer]) {
            work.close();
            work.forget();
        }
        assert_eq!(started(&core), when_stopped, "it started after the stop");
    });
}

// What a handle shows.

/// Counts how often it was woken.
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_handle_is_never_pending_with_nobody_to_wake_it() {
    bounded(2).check(|| {
        let core = core(1);
        let worker = spawn_worker(&core, 0);
        let mut handle = core.submit_code(|| 7);
        let [old, new] = [(); 2].map(|()| Arc::new(Counts(AtomicUsize::new(0))));
        let mut poll = |counts: &Arc<Counts>| {
            let waker = Waker::from(Arc::clone(counts));
            Pin::new(&mut handle).poll(&mut Context::from_waker(&waker))
        };
        let first = poll(&old);
        let mut last = first;
        if last.is_pending() {
            last = poll(&new);
        }
        finish(&core, worker);
        if last.is_pending() {
            assert_eq!(new.0.load(Ordering::Relaxed), 1);
            last = poll(&new);
        }
        assert!(matches!(last, Poll::Ready(Ok(7))));
    });
}
